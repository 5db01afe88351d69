import { resultIdFor } from '@aliquot/shared/keys/derive';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  judgedResult,
  memberOf,
  rowsInChain,
  signedCommits,
} from '../../agent/testing/queue/results.ts';
import {
  putTogether,
  type SampleFile,
  sample,
  sampleFile,
} from '../../agent/testing/queue/support.ts';
import { Pair, type PairAgent } from './pair.ts';

const ROOT = '/data/run.D';

let pair: Pair;

beforeEach(async () => {
  pair = await Pair.open();
});
afterEach(() => pair.close());

const membersOf = (...names: readonly string[]) =>
  names.map((name) => memberOf(ROOT, sample(`${ROOT}/${name}`)));

/** Rows of the result as the collector has them, oldest first. */
async function rowsAt(agent: PairAgent) {
  const { lineageId } = agent.identity.certificate.enrolment;
  const id = resultIdFor(agent.identity.pathKey, Buffer.from(ROOT));
  let rows = 0;
  for await (const { live } of pair.vault.reading.resultVersions(lineageId, id))
    rows += live.length;
  const seen = await rowsInChain(signedCommits(agent.queue));
  expect(rows).toBe(seen.length);
  return seen.map(({ progress, grade, members, fits }) => ({ progress, grade, members, fits }));
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
      { progress: 'closed', grade: 'assumed', members: 3, fits: true },
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
    const closed = { progress: 'closed', grade: 'assumed', members: 3, fits: true };
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
      { progress: 'closed', grade: 'assumed', members: 2, fits: true },
      { progress: 'closed', grade: 'assumed', members: 3, fits: true },
    ]);
    expect(await agent.commits()).toBe(2);
  });
  test('I-A16 of five thousand members over several commits is closed by one row behind them all', async () => {
    const agent = await pair.agent('gcms-1');
    agent.start();
    const members = Array.from({ length: 5000 }, (_, at) =>
      memberOf(ROOT, sampleFile(`${ROOT}/${String(at).padStart(5, '0')}`, [])),
    );
    for (let from = 0; from < members.length; from += 1700) {
      await putTogether(agent.queue, members.slice(from, from + 1700));
      await agent.queue.sync();
      await agent.uplink.drained();
      // Nothing says yet that these are all.
      expect(await rowsAt(agent)).toEqual([]);
    }
    await agent.queue.results.put(judgedResult(ROOT, members));
    await agent.queue.sync();
    await agent.uplink.drained();
    expect(await agent.commits()).toBeGreaterThan(2);
    expect(await rowsAt(agent)).toEqual([
      { progress: 'closed', grade: 'assumed', members: 5000, fits: true },
    ]);
  });
});
