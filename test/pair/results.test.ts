import { clearHashOf } from '@aliquot/shared/commit/block-leaf';
import { MemberSet } from '@aliquot/shared/commit/results';
import { readCommit, resultsBySlot, rowsIn } from '@aliquot/shared/commit/rows';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { resultIdFor } from '@aliquot/shared/keys/derive';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { judgedResult, memberOf } from '../../agent/testing/queue/results.ts';
import { type SampleFile, sample } from '../../agent/testing/queue/support.ts';
import { Pair, type PairAgent } from './pair.ts';

const ROOT = '/data/run.D';

let pair: Pair;

beforeEach(async () => {
  pair = await Pair.open();
});
afterEach(() => pair.close());

const membersOf = (...names: readonly string[]) =>
  names.map((name) => memberOf(ROOT, sample(`${ROOT}/${name}`)));

/** Rows of the result at the collector, oldest first, and whether their members are all there. */
async function rowsAt(agent: PairAgent) {
  const { lineageId } = agent.identity.certificate.enrolment;
  const id = resultIdFor(agent.identity.pathKey, Buffer.from(ROOT));
  const found: { progress: string; grade: string; members: number; isWhole: boolean }[] = [];
  for await (const { commit, live } of pair.vault.reading.resultVersions(lineageId, id))
    for (const slot of live) {
      const row = resultsBySlot(readCommit(commit).rows).get(slot);
      if (row === undefined) continue;
      const { progress, grade, members, size, membersRoot } = row;
      const set = await membersBefore(agent, id, commit, slot);
      const isWhole =
        set.count === members && set.size === size && equalBytes(set.root(), membersRoot);
      found.push({ progress, grade, members, isWhole });
    }
  return found;
}

/** The newest versions of a result's members that the collector has before a row of it. */
async function membersBefore(
  agent: PairAgent,
  id: Uint8Array,
  until: Uint8Array,
  slot: number,
): Promise<MemberSet> {
  const newest = new Map<string, { fileId: never; size: number; hash: Uint8Array }>();
  for (let sequence = 1; ; sequence += 1) {
    const commit = (await agent.queue.outbox.signedCommit(sequence))?.bytes;
    if (commit === undefined) break;
    const isLast = equalBytes(commit, until);
    for (const { slot: at, entry } of rowsIn(readCommit(commit).rows)) {
      if (isLast && at >= slot) break;
      const name = Buffer.from(entry.fileId).toString('hex');
      newest.delete(name);
      if (entry.kind !== 'gone' && entry.resultId !== undefined && equalBytes(entry.resultId, id))
        newest.set(name, {
          fileId: entry.fileId as never,
          size: entry.size,
          hash: clearHashOf(entry),
        });
    }
    if (isLast) break;
  }
  const set = new MemberSet();
  for (const { fileId, size, hash } of newest.values()) set.add(fileId, size, hash);
  return set;
}

async function captured(agent: PairAgent, ...files: readonly SampleFile[]): Promise<void> {
  await agent.capture(...files);
}

describe('a folder result', () => {
  test('I-A16 goes with a row behind its members that says that it is closed and of which they are', async () => {
    const agent = await pair.agent('gcms-1');
    const members = membersOf('acq.txt', 'data.ms', 'sub/method');
    await captured(agent, ...members, sample('/data/plain'));
    const put = await agent.queue.results.put(judgedResult(ROOT, members));
    expect(put).toEqual({ progress: 'closed', differs: false, isNew: true });
    await agent.queue.sync();
    agent.start();
    await agent.uplink.drained();
    await agent.mustHold(members);
    expect(await rowsAt(agent)).toEqual([
      { progress: 'closed', grade: 'assumed', members: 3, isWhole: true },
    ]);
  });

  test('I-A16 whose member changes later has a new version of its row, made of members in several commits', async () => {
    const agent = await pair.agent('gcms-1');
    const members = membersOf('a', 'b', 'c');
    await captured(agent, ...members);
    await agent.queue.results.put(judgedResult(ROOT, members));
    await agent.queue.sync();
    agent.start();
    await agent.uplink.drained();
    const [other] = membersOf('b').map((file) => ({
      ...file,
      known: { ...file.known, mtimeNs: 99n },
    }));
    const now = [members[0], other, members[2]] as SampleFile[];
    await captured(agent, other as SampleFile);
    await agent.queue.results.put(judgedResult(ROOT, now));
    await agent.queue.sync();
    await agent.uplink.drained();
    const closed = { progress: 'closed', grade: 'assumed', members: 3, isWhole: true };
    expect(await rowsAt(agent)).toEqual([closed, closed]);
  });

  test('I-A16 that is judged twice before it is signed has its rows in two commits', async () => {
    const agent = await pair.agent('gcms-1');
    const some = membersOf('a', 'b');
    const all = [...some, ...membersOf('c')];
    await captured(agent, ...some);
    await agent.queue.results.put(judgedResult(ROOT, some));
    await captured(agent, ...all.slice(2));
    await agent.queue.results.put(judgedResult(ROOT, all));
    await agent.queue.sync();
    agent.start();
    await agent.uplink.drained();
    expect(await rowsAt(agent)).toEqual([
      { progress: 'closed', grade: 'assumed', members: 2, isWhole: true },
      { progress: 'closed', grade: 'assumed', members: 3, isWhole: true },
    ]);
    expect(await agent.commits()).toBe(2);
  });
});
