import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { mustRun, type ProgramName } from '../../demo/programs.ts';
import { type AgentPlace, statusOf, World } from '../world.ts';
import { losing, type Way, ways } from './losing.ts';

/** A command whose words are lost. */
export interface LostCase {
  readonly name: string;
  readonly program?: ProgramName;
  /** The command, and what shows that its work was done. */
  readonly make: () => Promise<{
    readonly args: readonly string[];
    readonly done?: () => unknown;
  }>;
  /** What it ends with when nothing is lost. */
  readonly own?: number;
}

const there = (path: string) => () => assert.ok(existsSync(path), `${path} is not there`);
const plain = (name: string, ...args: (string | (() => string[]))[]): LostCase => ({
  name,
  make: async () => ({ args: args.flatMap((arg) => (typeof arg === 'string' ? [arg] : arg())) }),
});

/**
 * Every command of both programs, with a collector and a PC on which each can be run again and
 * again, and what must hold when its standard output or standard error is of no use.
 */
export class OutputLab {
  #opened: { readonly world: World; readonly pc: AgentPlace; readonly file: string } | undefined;
  /** Numbers what each run makes, so that none finds what another made. */
  #runs = 0;

  async open(): Promise<void> {
    const world = await World.open();
    const pc = await world.agent('pc');
    const file = await world.write('data/run-1/signal.csv', 'one,two\n');
    await world.write('data/run-1/other.csv', 'three\n');
    await world.backup(pc, [join(world.folder, 'data')]);
    this.#opened = { world, pc, file };
  }

  get #here() {
    if (this.#opened === undefined) throw new Error('open it first');
    return this.#opened;
  }

  get world(): World {
    return this.#here.world;
  }

  get pc(): AgentPlace {
    return this.#here.pc;
  }

  /** One that was backed up. */
  get file(): string {
    return this.#here.file;
  }

  async close(): Promise<void> {
    await this.#opened?.world.close();
  }

  /** Ends with 1, and says on standard error why, unless its reader has just left. */
  async mustFail(way: Way, { program = 'aliquot', make }: LostCase): Promise<void> {
    const { args } = await make();
    const { code, heard } = await losing(way, program, args, this.world.environment());
    assert.equal(code, 1, heard);
    assert.ok(!heard.includes('UNEXPECTED'), heard);
    if (way !== 'gone') assert.match(heard, /\[OUTPUT_LOST\]\n$/);
  }

  /** Does its work, and does not end with 0. */
  async mustWork(way: Way, { program = 'aliquot', make, own = 1 }: LostCase): Promise<void> {
    const { args, done } = await make();
    const { code, heard } = await losing(way, program, args, this.world.environment());
    assert.equal(code, own, heard);
    assert.match(heard, /\[OUTPUT_LOST\]\n$/);
    await done?.();
  }

  /** Standard error is for the eye: without it all is as ever. */
  async mustNotMind(way: Way, { program = 'aliquot', make, own = 0 }: LostCase): Promise<void> {
    const { args, done } = await make();
    const { code } = await losing(way, program, args, this.world.environment(), 2);
    assert.equal(code, own);
    await done?.();
  }

  async #nothingIsQueued(): Promise<void> {
    const { queue } = await statusOf(this.pc);
    assert.equal((queue as { readonly entries: number }).entries, 0);
  }

  readonly #token = () => ['--token-file', join(this.world.collectorData, 'admin.token')];
  readonly #withKit = () => ['--kit', this.world.kit, ...this.#token()];
  readonly #fresh = (name: string) => join(this.world.folder, `${name}-${this.#runs++}`);
  readonly #data = () => ['--data', this.pc.data];

  /** Reads and nothing else: there is no work to be done, only words that are lost. */
  readonly readers: readonly LostCase[] = [
    plain('aliquot --help', '--help'),
    plain('aliquot --version', '--version'),
    plain('aliquot agents', 'agents', this.#token),
    plain('aliquot agents --json', 'agents', '--json', this.#token),
    plain('aliquot ls', 'ls', this.#token),
    plain('aliquot ls --json', 'ls', '--json', this.#token),
    plain(
      'aliquot versions',
      'versions',
      '--agent',
      'pc',
      '--path',
      () => [this.file],
      this.#token,
    ),
    plain('aliquot cat', 'cat', '--agent', 'pc', '--path', () => [this.file], this.#withKit),
    plain('aliquot diff', 'diff', '--agent', 'pc', '--from', '3d', '--to', 'latest', this.#token),
    plain('aliquot stats', 'stats', this.#token),
    plain('aliquot log status', 'log', 'status', this.#token),
    plain('aliquot fork list', 'fork', 'list', this.#token),
    plain('aliquot check', 'check', this.#withKit),
    plain('aliquot kit verify', 'kit', 'verify', '--kit', () => [this.world.kit]),
    plain('aliquot fsck', 'fsck', '--data', () => [this.world.collectorData]),
    { ...plain('aliquot-agent status', 'status', this.#data), program: 'aliquot-agent' },
    {
      ...plain('aliquot-agent status --json', 'status', '--json', this.#data),
      program: 'aliquot-agent',
    },
    {
      ...plain('aliquot-agent versions', 'versions', () => [this.file], this.#data),
      program: 'aliquot-agent',
    },
    { ...plain('aliquot-agent fsck', 'fsck', this.#data), program: 'aliquot-agent' },
  ];

  /** Each does something, and says that it did. */
  readonly works: readonly LostCase[] = [
    {
      name: 'aliquot init',
      make: async () => {
        const folder = this.#fresh('collector');
        return { args: ['init', '--data', folder], done: there(join(folder, 'admin.token')) };
      },
    },
    {
      name: 'aliquot kit create',
      make: async () => {
        const kit = this.#fresh('kit');
        return {
          args: ['kit', 'create', '--out', kit],
          done: () => mustRun('aliquot', ['kit', 'verify', '--kit', kit], this.world.environment()),
        };
      },
    },
    {
      name: 'aliquot vault add',
      make: async () => ({
        args: ['vault', 'add', ...this.#withKit()],
        done: () => this.world.aliquot(['stats']),
      }),
    },
    {
      name: 'aliquot enroll',
      make: async () => {
        const name = `new-${this.#runs++}`;
        const bundle = this.#fresh('bundle');
        const done = () =>
          mustRun('aliquot-agent', ['enroll', bundle, '--data', this.#fresh('agent')]);
        return { args: ['enroll', name, '--out', bundle, ...this.#withKit()], done };
      },
    },
    {
      name: 'aliquot agent revoke',
      make: async () => {
        const name = `revoked-${this.#runs++}`;
        await this.world.agent(name);
        const done = async () => {
          const { lines } = await this.world.aliquot(['agents', '--json']);
          assert.equal(lines.find(({ agent }) => agent === name)?.['state'], 'revoked');
        };
        return { args: ['agent', 'revoke', name, ...this.#token()], done };
      },
    },
    {
      name: 'aliquot restore',
      make: async () => {
        const to = this.#fresh('restored');
        return {
          args: ['restore', '--agent', 'pc', '--to', to, '--json', ...this.#withKit()],
          done: there(join(to, this.file)),
        };
      },
    },
    {
      name: 'aliquot-agent enroll',
      program: 'aliquot-agent',
      make: async () => {
        const bundle = await this.world.bundle(`enrolled-${this.#runs++}`);
        const folder = this.#fresh('agent');
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
        const written = await this.world.write(`new-data/${this.#runs++}/a`, 'new');
        const done = () =>
          mustRun(
            'aliquot',
            ['versions', '--agent', 'pc', '--path', written, ...this.#token()],
            this.world.environment(),
          );
        return { args: ['backup', join(written, '..'), '--json', ...this.#data()], done };
      },
    },
    {
      name: 'aliquot-agent backup, of which a part cannot be protected',
      program: 'aliquot-agent',
      own: 3,
      make: async () => {
        const written = await this.world.write(`new-data/${this.#runs++}/a`, 'new');
        const missing = join(this.world.folder, 'not-there');
        const done = () =>
          mustRun(
            'aliquot',
            ['versions', '--agent', 'pc', '--path', written, ...this.#token()],
            this.world.environment(),
          );
        return { args: ['backup', join(written, '..'), missing, ...this.#data()], done };
      },
    },
    {
      name: 'aliquot-agent flush',
      program: 'aliquot-agent',
      make: async () => {
        await this.world.backup(
          this.pc,
          [join(await this.world.write(`new-data/${this.#runs++}/a`, 'new'), '..')],
          ['--offline'],
        );
        const done = () => this.#nothingIsQueued();
        return { args: ['flush', ...this.#data()], done };
      },
    },
    {
      name: 'aliquot-agent queue export, and both imports',
      program: 'aliquot-agent',
      make: async () => {
        await this.world.backup(
          this.pc,
          [join(await this.world.write(`new-data/${this.#runs++}/a`, 'new'), '..')],
          ['--offline'],
        );
        const queue = this.#fresh('queue');
        const done = async () => {
          const receipts = this.#fresh('receipts');
          const way = ways[this.#runs % ways.length] ?? 'full';
          const brought = await losing(
            way,
            'aliquot',
            ['queue', 'import', queue, '--out', receipts, ...this.#token()],
            this.world.environment(),
          );
          assert.equal(brought.code, 1, brought.heard);
          const taken = await losing(way, 'aliquot-agent', [
            'queue',
            'import',
            receipts,
            ...this.#data(),
          ]);
          assert.equal(taken.code, 1, taken.heard);
          await this.#nothingIsQueued();
        };
        return { args: ['queue', 'export', queue, ...this.#data()], done };
      },
    },
    {
      name: 'aliquot-agent restore',
      program: 'aliquot-agent',
      make: async () => {
        const to = this.#fresh('own');
        return {
          args: ['restore', this.file, '--to', to, ...this.#data()],
          done: there(join(to, this.file)),
        };
      },
    },
  ];
}
