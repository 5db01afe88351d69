import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { decodeReceiptBody, decodeTreeHeadBody } from '@aliquot/proto';
import { NO_PREDECESSOR } from '@aliquot/shared/commit/commit';
import { withoutVersions } from '@aliquot/shared/commit/loss';
import { hex } from '@aliquot/shared/crypto/bytes';
import { issueEpochOpening } from '@aliquot/shared/keys/certificates';
import { verifyConsistency } from '@aliquot/shared/log/proofs';
import { verifyHead } from '@aliquot/shared/log/receipt';
import { systemRandom } from '@aliquot/shared/ports';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type MadeCommit, SessionTestAgent } from '../../testing/agent.ts';
import { ending, Front } from '../../testing/front.ts';

let front: Front;

beforeEach(async () => {
  front = await Front.open();
});

afterEach(async () => {
  await front.close();
});

const text = (words: string) => new Uint8Array(Buffer.from(words));
const commitFrame = (requestId: number) => ({ type: 'commit', requestId }) as const;

/** What `aliquot log reopen` does: the authority approves the loss of every reported head. */
async function openEpoch() {
  const base = front.vault.log.treeHead();
  const opening = issueEpochOpening(front.authority, {
    version: 1,
    vaultId: front.vault.descriptor.vaultId,
    logEpoch: base.logEpoch + 1,
    base,
    lost: front.vault.log.reportedHeads().map((reported) => reported.head),
    approvedAtMs: front.nowMs,
  });
  await front.vault.events.append({ type: 'epochOpened', timeMs: front.nowMs, opening });
  return { base, opening };
}

const data = () => join(front.dir, 'data');
const aside = () => join(front.dir, 'aside');
const putAside = () => cp(data(), aside(), { recursive: true });
const putBack = async () => {
  await rm(data(), { recursive: true });
  await cp(aside(), data(), { recursive: true });
};

describe('a collector that came back with an older disk', () => {
  /** Two commits, of which the collector then loses the second. */
  async function rolledBack(): Promise<{ agent: SessionTestAgent; lost: MadeCommit }> {
    const agent = await front.agent('hplc-1');
    await agent.open(front.connect().wire);
    await agent.backUp([{ path: '/data/a', bytes: text('kept') }]);
    await front.restart(putAside);
    await agent.open(front.connect().wire);
    const lost = agent.commitOf([{ path: '/data/b', bytes: text('lost') }]);
    await agent.upload(lost.items);
    const answer = await agent.ask(commitFrame, lost.bytes);
    if (answer.type !== 'receipt') throw new Error(answer.type);
    agent.remember(answer.head);
    await front.restart(putBack);
    return { agent, lost };
  }

  it('P5: says so in ready, records the lost head, and takes no commit of that agent', async () => {
    const { agent, lost } = await rolledBack();
    const ready = await agent.open(front.connect().wire);
    expect(ready.rolledBack).toBe(true);
    expect(front.vault.log.reportedHeads()).toHaveLength(1);
    expect(await agent.ask(commitFrame, lost.bytes)).toMatchObject({
      type: 'refused',
      code: 'log-rolled-back',
    });
    expect(
      front.vault.register.agentByName('hplc-1')?.problems.map((problem) => problem.code),
    ).toContain('log-rolled-back');
  });

  it('does not believe a head that it never signed', async () => {
    const { agent } = await rolledBack();
    const { head } = agent;
    if (head === undefined) throw new Error('no head');
    agent.head = { ...head, signed: { ...head.signed, signature: systemRandom.bytes(64) } };
    const connection = front.connect();
    await agent.greet(connection.wire);
    expect(await ending(agent, connection)).toMatchObject({ refused: { code: 'bad-signature' } });
    expect(front.vault.log.reportedHeads()).toEqual([]);
  });

  it('P5 P6: takes a commit again without what nobody has any more, once the epoch is open', async () => {
    const { agent } = await rolledBack();
    await agent.open(front.connect().wire);
    const made = agent.commitOf([
      { path: '/data/b', bytes: text('gone for good') },
      { path: '/data/c', bytes: text('still here') },
    ]);
    await openEpoch();
    await agent.open(front.connect().wire);
    await agent.upload(made.items.slice(1));
    expect(await agent.ask(commitFrame, made.bytes)).toMatchObject({
      type: 'commitMissing',
      ids: [made.items[0]?.id],
    });
    expect(
      await agent.ask(commitFrame, withoutVersions(made.bytes, [0], agent.signKey)),
    ).toMatchObject({
      type: 'receipt',
    });
    expect(front.vault.register.agentByName('hplc-1')?.problems).toMatchObject([
      { code: 'versions-lost' },
    ]);
  });

  it('P5: heals when the authority opens a new epoch: the same commit is taken again byte for byte', async () => {
    const { agent, lost } = await rolledBack();
    await agent.open(front.connect().wire);
    const { base, opening } = await openEpoch();
    const ready = await agent.open(front.connect().wire);
    expect(ready).toMatchObject({
      rolledBack: false,
      openings: [{ opening: { body: opening.body } }],
    });
    expect(decodeTreeHeadBody(ready.head.body).head.logEpoch).toBe(base.logEpoch + 1);
    await agent.upload(lost.items);
    const again = await agent.ask(commitFrame, lost.bytes);
    if (again.type !== 'receipt') throw new Error(again.type);
    expect(hex(decodeReceiptBody(again.receipt.body).commitHash)).toBe(hex(lost.hash));
  });
});

describe('a collector that came back with an older disk, and took commits of others before anybody noticed', () => {
  it('P5: heals too: the agent that lost something is led from the approved base on', async () => {
    const [agent, other] = [await front.agent('hplc-1'), await front.agent('hplc-2')];
    await front.restart(putAside);
    await agent.open(front.connect().wire);
    await agent.backUp([{ path: '/data/a', bytes: text('lost') }]);
    await front.restart(putBack);
    await other.open(front.connect().wire);
    for (const name of ['b', 'c', 'd'])
      await other.backUp([{ path: `/data/${name}`, bytes: text(name) }]);
    expect((await agent.open(front.connect().wire)).rolledBack).toBe(true);
    expect(front.vault.log.reportedHeads()[0]?.head.size).toBeLessThan(
      front.vault.log.treeHead().size,
    );
    const { base } = await openEpoch();
    const ready = await agent.open(front.connect().wire);
    expect(ready.rolledBack).toBe(false);
    const { head } = verifyHead(ready.head, front.vault.certificate);
    verifyConsistency(base.size, base.root, head.size, head.root, ready.consistency);
    // The one that lost nothing is led from its own head.
    const seen = other.head && decodeTreeHeadBody(other.head.signed.body).head;
    const otherReady = await other.open(front.connect().wire);
    if (seen === undefined) throw new Error('no head');
    verifyConsistency(seen.size, seen.root, head.size, head.root, otherReady.consistency);
  });
});

describe('a collector that came back from a time before an agent enrolled', () => {
  /** An agent that backed something up, and a collector that knows at most its bundle. */
  async function forgotten(known: 'nothing' | 'the bundle'): Promise<SessionTestAgent> {
    if (known === 'nothing') await front.restart(putAside);
    const agent = new SessionTestAgent(await front.bundle('hplc-1'));
    if (known === 'the bundle') await front.restart(putAside);
    const { signedEnrolment: enrolment } = agent.bundle;
    await front.vault.events.append({
      type: 'agentEnrolled',
      timeMs: front.nowMs,
      enrolment,
      binding: agent.binding,
    });
    await agent.open(front.connect().wire);
    await agent.backUp([{ path: '/data/a', bytes: text('lost') }]);
    await front.restart(putBack);
    return agent;
  }

  it.each(['nothing', 'the bundle'] as const)(
    'P5: knows it again by its certificates and a head that it signed, when it has %s',
    async (known) => {
      const agent = await forgotten(known);
      expect((await agent.open(front.connect().wire)).rolledBack).toBe(true);
      expect(front.vault.register.agentByName('hplc-1')).toMatchObject({
        state: 'enrolled',
        problems: [{ code: 'log-rolled-back' }],
      });
      await openEpoch();
      expect((await agent.open(front.connect().wire)).rolledBack).toBe(false);
      Object.assign(agent, { sequence: 1, predecessor: NO_PREDECESSOR });
      await agent.backUp([{ path: '/data/a', bytes: text('lost') }]);
    },
  );

  it('P5: and when the loss was approved before it came back', async () => {
    const agent = await forgotten('nothing');
    const other = await front.agent('hplc-2');
    const signedHead = agent.head;
    if (signedHead === undefined) throw new Error('no head');
    const head = { ...signedHead.signed };
    await front.vault.events.append({
      type: 'headReported',
      timeMs: front.nowMs,
      agentId: other.bundle.enrolment.agentId,
      head,
      collectorCertificate: signedHead.certificate,
    });
    await openEpoch();
    expect((await agent.open(front.connect().wire)).rolledBack).toBe(false);
  });

  it.each([
    ['without a head', (agent: SessionTestAgent) => Object.assign(agent, { head: undefined })],
    [
      'with a head that nobody certified signed',
      (agent: SessionTestAgent) =>
        agent.head &&
        Object.assign(agent, {
          head: {
            ...agent.head,
            signed: { ...agent.head.signed, signature: systemRandom.bytes(64) },
          },
        }),
    ],
    [
      'with a head that this log contains',
      (agent: SessionTestAgent) =>
        Object.assign(agent, {
          head: {
            signed: front.vault.log.head(front.nowMs),
            certificate: front.vault.signedCertificate,
          },
        }),
    ],
    ['when its name was given away meanwhile', () => front.bundle('hplc-1')],
  ] as const)('P4: stays "not enrolled" %s', async (_, change) => {
    const agent = await forgotten('nothing');
    await change(agent);
    const { size } = front.vault.log.treeHead();
    const connection = front.connect();
    await agent.greet(connection.wire);
    expect(await ending(agent, connection)).toMatchObject({ refused: { code: 'not-enrolled' } });
    expect(front.vault.log.treeHead().size).toBe(size);
  });
});
