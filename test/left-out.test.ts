import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  decodeCommitHeader,
  decodeHistoryCommit,
  decodeSignedCommit,
  decodeStateRecord,
  encodeStateRecord,
} from '@aliquot/proto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Finished, mustRun, run, stopPrograms } from '../demo/programs.ts';
import { AnswerProxy, type Edits } from './answer-proxy.ts';
import { type AgentPlace, World } from './world.ts';

/*
 * A collector that leaves something out, to an operator who has seen the head of its log: whatever
 * command reads, it names what is missing.
 */

let world: World;
let proxy: AnswerProxy;
let beforeMs = 0;

const data = (name: string): string => join(world.folder, 'data', name);

/** What a busy machine captures slowly would go in two commits, were the collector there. */
async function inOneCommit(agent: AgentPlace, folder: string): Promise<void> {
  await world.backup(agent, [join(world.folder, folder)], ['--offline']);
  await mustRun('aliquot-agent', ['flush', '--data', agent.data]);
}

/** Three commits of `pc`: two files, a new version of one, a third file; and one of `other`. */
beforeAll(async () => {
  world = await World.open();
  proxy = await AnswerProxy.open(world.url);
  const [pc, other] = [await world.agent('pc'), await world.agent('other')];
  await world.write('data/result.csv', 'first version, 1.0\n');
  await world.write('data/kept.csv', 'never changed\n');
  await world.write('else/file.csv', 'of another PC\n');
  await inOneCommit(pc, 'data');
  await inOneCommit(other, 'else');
  beforeMs = Date.now();
  await world.write('data/result.csv', 'corrected version, 2.0\n');
  await inOneCommit(pc, 'data');
  await world.write('data/second.csv', 'a second result\n');
  await inOneCommit(pc, 'data');
  // It corrects nothing, and stands among the leaves.
  const span = `${new Date(beforeMs - 3_600_000).toISOString()}..latest`;
  const clock = ['collector', 'clock', '--correct', span, '--by', '+0s', '--yes'];
  await world.aliquot([...clock, '--kit', world.kit]);
  await world.aliquot(['log', 'status']);
}, 120_000);

afterAll(async () => {
  proxy.close();
  await world.close();
  await stopPrograms();
});

async function hostile(edits: Edits, args: readonly string[]): Promise<Finished> {
  proxy.edits = edits;
  await rm(join(world.folder, 'back'), { recursive: true, force: true });
  const token = ['--token-file', join(world.collectorData, 'admin.token')];
  return run('aliquot', [...args, '--kit', world.kit, ...token], world.environment(proxy.url));
}

const kinds = ['state', 'versions', 'version', 'results'];
const isRecords = (path: string): boolean =>
  kinds.some((kind) => new RegExp(`/agents/[^/]+/${kind}([/?]|$)`).test(path));
const sequenceIn = (record: Uint8Array): number =>
  decodeCommitHeader(decodeSignedCommit(decodeStateRecord(record).commit).header).sequence;

/** Keeps back a commit of `pc` in whatever is asked. */
const without = (sequence: number, { lists }: { readonly lists: boolean }): Edits => ({
  records(path, records) {
    if (isRecords(path) && path.includes(pcId))
      return records.filter((record) => sequenceIn(record) !== sequence);
    if (lists && path.includes('/commits?') && path.includes(pcId))
      return records.filter(
        (record) => decodeCommitHeader(decodeHistoryCommit(record).header).sequence !== sequence,
      );
    return records;
  },
  json: noteIds,
});

let pcId = '';
/** Learns the agents' ids from the list that passes by. */
function noteIds(path: string, value: unknown): unknown {
  if (!path.endsWith('/agents')) return value;
  const { agents } = value as { agents: { name: string; agentId: string }[] };
  pcId = agents.find(({ name }) => name === 'pc')?.agentId ?? '';
  return value;
}

/** Edits every record about `pc` of one commit. */
const changed = (sequence: number, change: (slots: number[]) => number[]): Edits => ({
  json: noteIds,
  records: (path, records) =>
    isRecords(path) && path.includes(pcId)
      ? records.map((bytes) => {
          const record = decodeStateRecord(bytes);
          if (sequenceIn(bytes) !== sequence) return bytes;
          const live = change([...record.live]);
          const versionTimesMs = record.versionTimesMs.slice(0, live.length);
          return encodeStateRecord({ ...record, live, versionTimesMs });
        })
      : records,
});

const back = (): string => join(world.folder, 'back');
const listing = (): readonly (readonly string[])[] => [
  ['ls', '--agent', 'pc'],
  ['ls'],
  ['ls', '--agent', 'pc', '--path', data('')],
  ['restore', '--agent', 'pc', '--to', back()],
  ['check'],
  ['check', '--agent', 'pc', '--sample', '1%'],
  ['diff', '--agent', 'pc', '--from', '1h', '--to', 'latest'],
];
const versionsOf = (name: string): readonly (readonly string[])[] => [
  ['versions', '--agent', 'pc', '--path', data(name)],
  ['cat', '--agent', 'pc', '--path', data(name)],
  ['restore', '--agent', 'pc', '--path', data(name), '--to', back()],
];
const every = (): readonly (readonly string[])[] => [['find', 'csv', '--agent', 'pc']];

describe('a collector that leaves something out', () => {
  it('is believed while it leaves out nothing', async () => {
    const all = [
      ...listing(),
      ...versionsOf('result.csv'),
      ...versionsOf('second.csv'),
      ...every(),
    ];
    for (const args of all) {
      const { code, stderr } = await hostile({ json: noteIds }, args);
      expect([args, code, stderr]).toEqual([args, 0, expect.not.stringMatching(/leaves out/)]);
    }
  }, 60_000);

  const cases: readonly (readonly [
    string,
    () => Edits,
    () => readonly (readonly string[])[],
    RegExp,
  ])[] = [
    [
      'P5: the newest commit',
      () => without(3, { lists: false }),
      () => [...listing(), ...versionsOf('second.csv'), ...every()],
      /leaves out the .*version.* commit 3\b/,
    ],
    [
      'P5: the newest commit, and says that there is none',
      () => without(3, { lists: true }),
      () => [...listing(), ...versionsOf('second.csv'), ...versionsOf('result.csv'), ...every()],
      /leaves out 1 of the 3 commits of agent pc, the newest received on \S+ after commit 2/,
    ],
    [
      'P5: a commit in the middle',
      () => without(2, { lists: false }),
      () => [...listing(), ...versionsOf('result.csv'), ...every()],
      /leaves out the .*version.* commit 2\b/,
    ],
    [
      'P5: a commit in the middle, and says that there is none',
      () => without(2, { lists: true }),
      () => [...listing(), ...versionsOf('kept.csv'), ...every()],
      /leaves out commit 2 of agent pc/,
    ],
    [
      'P5: one version of several in a commit',
      () => changed(1, (slots) => slots.slice(1)),
      () => [...listing(), ...every()],
      /leaves out .*version.* commit 1\b/,
    ],
    [
      'P5: the newest version, and shows an older one as the newest',
      () => ({
        path: (path) =>
          path.includes('/state') && !path.includes('at=') ? `${path}?at=${beforeMs}` : path,
      }),
      () => listing().filter(([verb]) => verb !== 'diff'),
      /leaves out the version in commit [23] of agent pc of a file, and shows the one in commit 1 as its newest/,
    ],
    [
      'P5: everything since last week',
      () => ({
        path: (path) =>
          path.includes('/state') ? `${path.replace(/\?.*/, '')}?at=${beforeMs}` : path,
      }),
      listing,
      /leaves out the version in commit [23] of agent pc of a file/,
    ],
    [
      'P5: an agent with its history',
      () => ({
        json(path, value) {
          if (!path.endsWith('/agents')) return value;
          const { agents, ...more } = value as { agents: { name: string }[] };
          return { ...more, agents: agents.filter(({ name }) => name !== 'other') };
        },
      }),
      () => [...listing(), ...versionsOf('kept.csv'), ...every()],
      /leaves out an agent of its list, [0-9a-f]{8}, with \d+ commits?/,
    ],
    [
      'P5: a correction of times',
      () => ({
        records: (path, records) => (path.includes('/log/decisions') ? [] : records),
      }),
      () => [...listing(), ...versionsOf('kept.csv'), ...every()],
      /leaves out the correction of times at leaf \d+/,
    ],
  ];
  it.each(cases)(
    'is found out when it keeps back %s',
    async (_, edits, commands, says) => {
      await hostile({ json: noteIds }, ['ls', '--agent', 'pc']);
      for (const args of commands()) {
        const { code, stderr } = await hostile(edits(), args);
        expect([args, code, stderr]).toEqual([args, 1, expect.stringMatching(says)]);
        expect([args, stderr]).toEqual([args, expect.stringContaining('[COMMAND_LEFT_OUT]')]);
      }
    },
    120_000,
  );

  const ofOneFile = (edit: (records: readonly Buffer[]) => readonly Uint8Array[]): Edits => ({
    records: (path, records) => (path.includes('/versions/') ? edit(records) : records),
  });
  const disguised: readonly (readonly [string, () => Edits, string, RegExp])[] = [
    [
      'the newest version of a file first, so that an older one comes last',
      () => ofOneFile((records) => records.toReversed()),
      'result.csv',
      /shows commit 1 twice, or out of its order/,
    ],
    [
      'an older version of a file once more behind the newest',
      () => ofOneFile((records) => [...records, ...records.slice(0, 1)]),
      'result.csv',
      /shows commit 1 twice, or out of its order/,
    ],
    [
      'another file of the same commit as the one that was asked for',
      () =>
        ofOneFile((records) =>
          records.map((bytes) => {
            const record = decodeStateRecord(bytes);
            const times = Array.from({ length: 3 }, () => record.versionTimesMs[0] ?? 0);
            return encodeStateRecord({ ...record, live: [0, 1, 2], versionTimesMs: times });
          }),
        ),
      'kept.csv',
      /passes something else in commit 1 off as what was asked for/,
    ],
  ];
  it.each(disguised)(
    'P5: is found out when it shows %s',
    async (_, edits, name, says) => {
      for (const args of versionsOf(name)) {
        const { code, stderr } = await hostile(edits(), args);
        expect([args, code, stderr]).toEqual([args, 1, expect.stringMatching(says)]);
        expect([args, stderr]).toEqual([args, expect.stringContaining('[COMMAND_UNVERIFIED]')]);
      }
    },
    60_000,
  );

  it('P5: cannot leave leaves out of its log, for a PC that walks over it for the first time', async () => {
    await rm(join(world.folder, 'operator'), { recursive: true });
    const edits: Edits = {
      records: (path, records) => (path.includes('/log/leaves') ? records.slice(0, -1) : records),
    };
    const { code, stderr } = await hostile(edits, ['ls', '--agent', 'pc']);
    expect([code, stderr]).toEqual([1, expect.stringContaining('[COMMAND_UNVERIFIED]')]);
  }, 60_000);
});
