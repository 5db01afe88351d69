import { decodeCommitHeader, decodeSignedCommit } from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { SessionTestAgent } from '../../testing/agent.ts';
import { Front } from '../../testing/front.ts';

let front: Front;

beforeEach(async () => {
  front = await Front.open();
});

afterEach(async () => {
  await front.close();
});

const file = (name: string) => ({
  path: `/data/${name}`,
  bytes: new Uint8Array(Buffer.from(name)),
});

/**
 * An agent with two commits, and a copy of its folder from between them, that has found out and
 * gone on under a new chain.
 */
async function twoOfOne(): Promise<{ agent: SessionTestAgent; copy: SessionTestAgent }> {
  const agent = await front.agent('hplc-1');
  await agent.open(front.connect().wire);
  await agent.backUp([file('both')]);
  const copy = agent.copy();
  await agent.backUp([file('original')]);
  return { agent, copy };
}

async function decide(agent: SessionTestAgent, name = ''): Promise<void> {
  const { agentId } = agent.bundle.enrolment;
  const branchId = front.vault.register.agentById(agentId)?.histories[0]?.branchId;
  if (branchId === undefined) throw new Error('no history');
  const decision = name === '' ? 'restored' : 'clone';
  await front.vault.events.append({
    type: 'forkDecided',
    timeMs: front.nowMs,
    agentId,
    branchId,
    decision,
    name,
  });
}

describe('two PCs with one identity', () => {
  it('I-C12 P6: are connected side by side, each told of its own chain, and the second that it is held apart', async () => {
    const { agent, copy } = await twoOfOne();
    const theirs = await copy.open(front.connect().wire);
    expect(theirs.chainHead).toMatchObject({ sequence: 2 });
    copy.fork();
    const fresh = await copy.open(front.connect().wire);
    expect(fresh.chainHead).toBeUndefined();
    await copy.backUp([file('copy')]);
    expect((await copy.next()).frame).toMatchObject({
      type: 'notice',
      code: 'chain-held',
      message: expect.stringMatching(/hplc-1~[0-9a-f]{8}/),
    });
    // No second notice, and the original's session of the same agent goes on beside it.
    await copy.backUp([file('copy 2')]);
    expect((await agent.open(front.connect().wire)).chainHead).toMatchObject({
      sequence: 2,
      hash: agent.predecessor,
    });
    await agent.backUp([file('original 2')]);
    expect((await copy.open(front.connect().wire)).chainHead).toMatchObject({
      sequence: copy.sequence - 1,
      hash: copy.predecessor,
    });
    expect((await copy.next()).frame).toMatchObject({ type: 'notice', code: 'chain-held' });
  });

  it('I-C12: a decided clone hears that it is one; a PC that was put back hears nothing any more', async () => {
    const { agent, copy } = await twoOfOne();
    copy.fork();
    await copy.open(front.connect().wire);
    await copy.backUp([file('copy')]);
    await decide(agent, 'hplc-9');
    await copy.open(front.connect().wire);
    expect((await copy.next()).frame).toMatchObject({
      type: 'notice',
      code: 'chain-clone',
      message: expect.stringContaining('hplc-9'),
    });
    const other = agent.copy();
    other.fork();
    await other.open(front.connect().wire);
    await other.backUp([file('put back')]);
    expect((await other.next()).frame).toMatchObject({ code: 'chain-held' });
    const { agentId } = agent.bundle.enrolment;
    const held = front.vault.register
      .agentById(agentId)
      ?.histories.find(({ state }) => state === 'held');
    if (held === undefined) throw new Error('nothing is held');
    const event = {
      type: 'forkDecided',
      timeMs: front.nowMs,
      agentId,
      branchId: held.branchId,
      decision: 'restored',
      name: '',
    } as const;
    await front.vault.events.append(event);
    expect((await other.open(front.connect().wire)).chainHead).toMatchObject({
      hash: other.predecessor,
    });
    expect(
      await other.ask(() => ({
        type: 'have',
        requestId: 7,
        ids: [agent.commitOf([file('x')]).items[0]?.id ?? (undefined as never)],
      })),
    ).toMatchObject({
      type: 'haveAnswer',
    });
  });

  it('I-C12 P2: the one held apart gets its own files back first, then what the trunk has besides', async () => {
    const { copy } = await twoOfOne();
    copy.fork();
    await copy.open(front.connect().wire);
    await copy.backUp([file('copy'), { path: '/data/both', bytes: new Uint8Array([1, 2, 3]) }]);
    await copy.next(); // the notice
    copy.send({ type: 'state', requestId: 9, atMs: 0 });
    const told: [number, number][] = [];
    for (
      let { frame, body } = await copy.next();
      frame.type === 'commitData';
      { frame, body } = await copy.next()
    ) {
      const { chainId } = decodeCommitHeader(decodeSignedCommit(body).header);
      told.push([hex(chainId) === hex(copy.chainId) ? 1 : 0, frame.live.length]);
    }
    // Both of its own; of the trunk the one file that it has no version of.
    expect(told).toEqual([
      [1, 2],
      [0, 1],
    ]);
  });
});

describe('an epoch of the sweep', () => {
  it('I-C11: is in ready, pushed into sessions, and an answer is noted for the chain of the session', async () => {
    const agent = await front.agent('hplc-1');
    expect((await agent.open(front.connect().wire)).gcEpoch).toBe(0);
    await agent.backUp([file('one')]);
    const epoch = await front.vault.sweep.announceGcEpoch(
      agent.bundle.enrolment.lineageId,
      front.nowMs,
    );
    expect((await agent.next()).frame).toEqual({ type: 'gcEpoch', gcEpoch: epoch });
    expect(front.vault.sweep.sweepWaitsFor(agent.bundle.enrolment.lineageId, epoch)).toMatchObject([
      { agent: 'hplc-1' },
    ]);
    agent.send({ type: 'gcLearned', gcEpoch: epoch });
    await agent.backUp([file('two')]); // frames are worked on in order
    expect(front.vault.sweep.sweepWaitsFor(agent.bundle.enrolment.lineageId, epoch)).toEqual([]);
    expect((await agent.open(front.connect().wire)).gcEpoch).toBe(epoch);
  });

  it('I-C11: an answer of a chain without a commit counts from its first commit on', async () => {
    const agent = await front.agent('hplc-1');
    await agent.open(front.connect().wire);
    const epoch = await front.vault.sweep.announceGcEpoch(
      agent.bundle.enrolment.lineageId,
      front.nowMs,
    );
    await agent.next();
    agent.send({ type: 'gcLearned', gcEpoch: epoch });
    await agent.backUp([file('one')]);
    expect(front.vault.sweep.sweepWaitsFor(agent.bundle.enrolment.lineageId, epoch)).toEqual([]);
  });
});
