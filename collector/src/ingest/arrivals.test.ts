import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Front } from '../../testing/front.ts';

let front: Front;
beforeEach(async () => {
  front = await Front.open();
});
afterEach(async () => {
  await front.close();
});

/** The log's lines about an agent, without what differs from run to run. */
const said = () =>
  front.logged
    .map((line) => JSON.parse(line))
    .filter(({ agent }) => agent === 'hplc-1')
    .map(({ msg, because, items }) => ({
      msg,
      ...(because === undefined ? {} : { because }),
      ...(items === undefined ? {} : { items }),
    }));

describe('the log', () => {
  it('has a line when an agent comes, and one when it goes', async () => {
    const agent = await front.agent('hplc-1');
    const { wire, done } = front.connect();
    await agent.open(wire);
    expect(said()).toEqual([{ msg: 'agent connected' }]);
    wire.close();
    await done;
    expect(said()).toEqual([{ msg: 'agent connected' }, { msg: 'agent left' }]);
  });

  it('says why, when the collector sent it away', async () => {
    const agent = await front.agent('hplc-1');
    const { wire, done } = front.connect();
    await agent.open(wire);
    front.hub.endAgent(front.vault.descriptor.vaultId, agent.bundle.enrolment.agentId, 'revoked');
    await done;
    expect(said()).toEqual([{ msg: 'agent connected' }, { msg: 'agent left', because: 'revoked' }]);
  });

  it('says when an agent reads its own content back, and how much, but no line for each question', async () => {
    const agent = await front.agent('hplc-1');
    const { wire, done } = front.connect();
    await agent.open(wire);
    const made = agent.commitOf([
      { path: '/data/secret-name', bytes: Buffer.alloc(9000, 1), chunkBytes: 4000 },
    ]);
    await agent.upload(made.items);
    const ids = made.items.map((item) => item.id);
    for (let times = 0; times < 3; times += 1)
      await agent.ask((requestId) => ({ type: 'fetch', requestId, ids }));
    wire.close();
    await done;
    expect(said()).toEqual([
      { msg: 'agent connected' },
      { msg: 'the agent begins to read content' },
      { msg: 'the agent has read content', items: 3 * ids.length },
      { msg: 'agent left' },
    ]);
    expect(front.logged.join('')).not.toContain('secret-name');
  });
});
