import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DemoService, mustRun, type ProgramName, run } from '../demo/programs.ts';
import { losing, ways } from './lost-output.ts';
import { flipBit, packRecords } from './packs.ts';
import { type AgentPlace, statusOf, World } from './world.ts';

/**
 * Standard output that nothing can be delivered to: work is done all the same, and no command ends
 * with 0. Standard error is for the eye: without it nothing changes.
 */

let world: World;
let pc: AgentPlace;
let file: string;
/** Numbers what each run makes, so that none finds what another made. */
let runs = 0;

beforeAll(async () => {
  world = await World.open();
  pc = await world.agent('pc');
  file = await world.write('data/run-1/signal.csv', 'one,two\n');
  await world.write('data/run-1/other.csv', 'three\n');
  await world.backup(pc, [join(world.folder, 'data')]);
});
afterAll(() => world.close());

interface Case {
  readonly name: string;
  readonly program?: ProgramName;
  /** The command, and what shows that its work was done. */
  readonly make: () => Promise<{ readonly args: readonly string[]; readonly done?: () => unknown }>;
  /** What it ends with when nothing is lost. */
  readonly own?: number;
  readonly passphrase?: string;
}

const token = () => ['--token-file', join(world.collectorData, 'admin.token')];
const withKit = () => ['--kit', world.kit, ...token()];
const fresh = (name: string) => join(world.folder, `${name}-${runs++}`);
const there = (path: string) => () => expect(existsSync(path)).toBe(true);
const plain = (name: string, ...args: (string | (() => string[]))[]): Case => ({
  name,
  make: async () => ({ args: args.flatMap((arg) => (typeof arg === 'string' ? [arg] : arg())) }),
});
const data = () => ['--data', pc.data];

/** Reads and nothing else: there is no work to be done, only words that are lost. */
const readers: readonly Case[] = [
  plain('aliquot --help', '--help'),
  plain('aliquot --version', '--version'),
  plain('aliquot agents', 'agents', token),
  plain('aliquot agents --json', 'agents', '--json', token),
  plain('aliquot ls', 'ls', token),
  plain('aliquot ls --json', 'ls', '--json', token),
  plain('aliquot versions', 'versions', '--agent', 'pc', '--path', () => [file], token),
  plain('aliquot cat', 'cat', '--agent', 'pc', '--path', () => [file], withKit),
  plain('aliquot diff', 'diff', '--agent', 'pc', '--from', '3d', '--to', 'latest', token),
  plain('aliquot stats', 'stats', token),
  plain('aliquot log status', 'log', 'status', token),
  plain('aliquot fork list', 'fork', 'list', token),
  plain('aliquot check', 'check', withKit),
  plain('aliquot kit verify', 'kit', 'verify', '--kit', () => [world.kit]),
  plain('aliquot fsck', 'fsck', '--data', () => [world.collectorData]),
  { ...plain('aliquot-agent status', 'status', data), program: 'aliquot-agent' },
  { ...plain('aliquot-agent status --json', 'status', '--json', data), program: 'aliquot-agent' },
  { ...plain('aliquot-agent versions', 'versions', () => [file], data), program: 'aliquot-agent' },
  { ...plain('aliquot-agent fsck', 'fsck', data), program: 'aliquot-agent' },
];

const works: readonly Case[] = [
  {
    name: 'aliquot init',
    make: async () => {
      const folder = fresh('collector');
      return { args: ['init', '--data', folder], done: there(join(folder, 'admin.token')) };
    },
  },
  {
    name: 'aliquot kit create',
    make: async () => {
      const kit = fresh('kit');
      return {
        args: ['kit', 'create', '--out', kit],
        done: () => mustRun('aliquot', ['kit', 'verify', '--kit', kit], world.environment()),
      };
    },
  },
  {
    name: 'aliquot vault add',
    make: async () => ({
      args: ['vault', 'add', ...withKit()],
      done: () => world.aliquot(['stats']),
    }),
  },
  {
    name: 'aliquot enroll',
    make: async () => {
      const name = `new-${runs++}`;
      const bundle = fresh('bundle');
      const done = () => mustRun('aliquot-agent', ['enroll', bundle, '--data', fresh('agent')]);
      return { args: ['enroll', name, '--out', bundle, ...withKit()], done };
    },
  },
  {
    name: 'aliquot agent revoke',
    make: async () => {
      const name = `revoked-${runs++}`;
      await world.agent(name);
      const done = async () => {
        const { lines } = await world.aliquot(['agents', '--json']);
        expect(lines.find(({ agent }) => agent === name)).toMatchObject({ state: 'revoked' });
      };
      return { args: ['agent', 'revoke', name, ...token()], done };
    },
  },
  {
    name: 'aliquot restore',
    make: async () => {
      const to = fresh('restored');
      return {
        args: ['restore', '--agent', 'pc', '--to', to, '--json', ...withKit()],
        done: there(join(to, file)),
      };
    },
  },
  {
    name: 'aliquot-agent enroll',
    program: 'aliquot-agent',
    make: async () => {
      const bundle = await world.bundle(`enrolled-${runs++}`);
      const folder = fresh('agent');
      return {
        args: ['enroll', bundle, '--data', folder],
        done: () => statusOf({ name: '', data: folder, bundle }),
      };
    },
  },
  {
    name: 'aliquot-agent backup',
    program: 'aliquot-agent',
    make: async () => {
      const written = await world.write(`new-data/${runs++}/a`, 'new');
      const done = () =>
        mustRun(
          'aliquot',
          ['versions', '--agent', 'pc', '--path', written, ...token()],
          world.environment(),
        );
      return { args: ['backup', join(written, '..'), '--json', ...data()], done };
    },
  },
  {
    name: 'aliquot-agent backup, of which a part cannot be protected',
    program: 'aliquot-agent',
    own: 3,
    make: async () => {
      const written = await world.write(`new-data/${runs++}/a`, 'new');
      const missing = join(world.folder, 'not-there');
      const done = () =>
        mustRun(
          'aliquot',
          ['versions', '--agent', 'pc', '--path', written, ...token()],
          world.environment(),
        );
      return { args: ['backup', join(written, '..'), missing, ...data()], done };
    },
  },
  {
    name: 'aliquot-agent flush',
    program: 'aliquot-agent',
    make: async () => {
      await world.backup(
        pc,
        [join(await world.write(`new-data/${runs++}/a`, 'new'), '..')],
        ['--offline'],
      );
      const done = async () => expect(await statusOf(pc)).toMatchObject({ queue: { entries: 0 } });
      return { args: ['flush', ...data()], done };
    },
  },
  {
    name: 'aliquot-agent queue export, and both imports',
    program: 'aliquot-agent',
    make: async () => {
      await world.backup(
        pc,
        [join(await world.write(`new-data/${runs++}/a`, 'new'), '..')],
        ['--offline'],
      );
      const queue = fresh('queue');
      const done = async () => {
        const receipts = fresh('receipts');
        const way = ways[runs % ways.length] ?? 'full';
        const brought = await losing(
          way,
          'aliquot',
          ['queue', 'import', queue, '--out', receipts, ...token()],
          world.environment(),
        );
        expect(brought.code, brought.heard).toBe(1);
        const taken = await losing(way, 'aliquot-agent', ['queue', 'import', receipts, ...data()]);
        expect(taken.code, taken.heard).toBe(1);
        expect(await statusOf(pc)).toMatchObject({ queue: { entries: 0 } });
      };
      return { args: ['queue', 'export', queue, ...data()], done };
    },
  },
  {
    name: 'aliquot-agent restore',
    program: 'aliquot-agent',
    make: async () => {
      const to = fresh('own');
      return { args: ['restore', file, '--to', to, ...data()], done: there(join(to, file)) };
    },
  },
];

for (const way of ways) {
  describe(`I-HEARD with a standard output that is ${way}`, () => {
    it.each(readers)('$name ends with 1', async ({ program = 'aliquot', make }) => {
      const { code, heard } = await losing(way, program, (await make()).args, world.environment());
      expect(code, heard).toBe(1);
      expect(heard).not.toContain('UNEXPECTED');
      if (way !== 'gone') expect(heard).toMatch(/\[OUTPUT_LOST\]\n$/);
    });

    it.each(works)(
      '$name does its work, and does not end with 0',
      async ({ program = 'aliquot', make, own = 1 }) => {
        const { args, done } = await make();
        const { code, heard } = await losing(way, program, args, world.environment());
        expect(code, heard).toBe(own);
        expect(heard).toMatch(/\[OUTPUT_LOST\]\n$/);
        await done?.();
      },
    );
  });
}

// One way for each command in turn: what becomes of standard error is one place's work, and no
// command has words of its own in it.
describe('I-HEARD with a standard error that nothing can be delivered to', () => {
  const each = works.map((work, at) => ({ way: ways[at % ways.length] ?? 'full', ...work }));
  it.each(each)(
    '$name is as ever where it is $way',
    async ({ way, program = 'aliquot', make, own = 0 }) => {
      const { args, done } = await make();
      expect((await losing(way, program, args, world.environment(), 2)).code).toBe(own);
      await done?.();
    },
  );
});

describe('a command that the running service carries out', () => {
  it.each(ways)('does its work though its output is %s, and does not end with 0', async (way) => {
    await world.place('watched');
    const config = join(pc.data, 'agent.yaml');
    writeFileSync(config, `sources: [{path: ${JSON.stringify(join(world.folder, 'watched'))}}]\n`);
    const service = new DemoService('aliquot-agent', ['run', '--data', pc.data]);
    try {
      await service.event('running');
      const written = await world.write(`new-data/${runs++}/a`, 'new');
      expect(
        (await losing(way, 'aliquot-agent', ['backup', join(written, '..'), '--json', ...data()]))
          .code,
      ).toBe(1);
      await mustRun(
        'aliquot',
        ['versions', '--agent', 'pc', '--path', written, ...token()],
        world.environment(),
      );
      const to = fresh('own');
      expect(
        (await losing(way, 'aliquot-agent', ['restore', file, '--to', to, '--json', ...data()]))
          .code,
      ).toBe(1);
      expect(existsSync(join(to, file))).toBe(true);
      expect((await losing(way, 'aliquot-agent', ['status', '--json', ...data()])).code).toBe(1);
    } finally {
      expect(await service.stop()).toBe(0);
      rmSync(config);
    }
  });
});

describe('I-HEARD a store or a queue that is damaged', () => {
  it('is never told of with 0, whatever becomes of the output', async () => {
    const other = await World.open();
    try {
      const agent = await other.agent('pc');
      await other.backup(agent, [join(await other.write('data/a', 'x'.repeat(5000)), '..')]);
      await other.backup(
        agent,
        [join(await other.write('data2/b', 'y'.repeat(5000)), '..')],
        ['--offline'],
      );
      await other.unserve();
      const chunk = (await packRecords(other.collectorData)).find(({ kind }) => kind === 'chunk');
      if (chunk === undefined) throw new Error('the store holds no chunk');
      for (const [program, folder, damage] of [
        ['aliquot', other.collectorData, () => flipBit(chunk)],
        [
          'aliquot-agent',
          agent.data,
          () => filesBelow(join(agent.data, 'queue'), /\.seg$/).forEach(flipInTheMiddle),
        ],
      ] as const) {
        await damage();
        const plainly = await run(program, ['fsck', '--data', folder, '--json']);
        expect(plainly.code, plainly.stdout + plainly.stderr).toBe(1);
        expect(plainly.lines.some(({ event }) => event === 'finding')).toBe(true);
        for (const way of ways)
          expect((await losing(way, program, ['fsck', '--data', folder])).code).toBe(1);
      }
    } finally {
      await other.close();
    }
  });
});

function filesBelow(folder: string, name: RegExp): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && name.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name));
}

function flipInTheMiddle(path: string): void {
  const bytes = readFileSync(path);
  const at = Math.floor(bytes.length / 2);
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  writeFileSync(path, bytes);
}
