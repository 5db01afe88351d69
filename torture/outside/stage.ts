import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import { createKit, sealKit } from '@aliquot/shared/keys/kit';
import { systemRandom } from '@aliquot/shared/ports';
import { fsckQueue } from '../../agent/src/queue/log/fsck.ts';
import { fsckIdentity } from '../../agent/src/uplink/fsck.ts';
import { aliquot, type CliResult, serving } from '../../collector/testing/cli.ts';
import { DemoService, type Finished, run } from '../../demo/programs.ts';
import { freePort } from '../../test/ports.ts';

const PASSPHRASE = 'correct horse battery staple';
// Where commands look for it, those of this process too.
process.env['ALIQUOT_PASSPHRASE'] = PASSPHRASE;

/**
 * How a program is started: what is added to its environment, and the program that runs it, if any.
 */
export interface Start {
  readonly environment?: NodeJS.ProcessEnv;
  readonly under?: readonly string[];
}

/** Something that had to hold and did not; its message is what a scenario reports. */
export class StageUnmet extends Error {}

/** Throws `StageUnmet` unless it holds. */
export function must(holds: boolean, says: string): asserts holds {
  if (!holds) throw new StageUnmet(says);
}

/**
 * One collector and one agent of the built programs in a folder of their own, whose state can be
 * kept as an image and put back, so that every case begins with the same bytes at the same paths.
 * The recovery kit has a weak passphrase function: these cases open it thousands of times, and it
 * protects nothing.
 */
export class Stage {
  readonly #root: string;
  readonly #port: number;
  readonly #collectorInside: boolean;
  readonly #sourceStays: boolean;
  #server: { stop(signal?: NodeJS.Signals): Promise<unknown> } | undefined;

  private constructor(
    root: string,
    port: number,
    is: { readonly collectorInside: boolean; readonly sourceStays: boolean },
  ) {
    this.#root = root;
    this.#port = port;
    this.#collectorInside = is.collectorInside;
    this.#sourceStays = is.sourceStays;
  }

  /**
   * @param collectorInside the collector is not under test: it serves in this process, which spares
   * its start in every case
   * @param sourceStays what the instruments wrote is not in the images: an agent that knows it
   * finds the same files in each case, and no copies of them
   */
  static async open({
    collectorInside = false,
    sourceStays = false,
  }: {
    collectorInside?: boolean;
    sourceStays?: boolean;
  } = {}): Promise<Stage> {
    const stage = new Stage(await mkdtemp(join(tmpdir(), 'aliquot-torture-')), await freePort(), {
      collectorInside,
      sourceStays,
    });
    await mkdir(stage.folder);
    const kit = createKit({ name: 'lab', blind: false, nowMs: Date.now() }, systemRandom);
    await writeFile(stage.kit, sealKit(kit, PASSPHRASE, systemRandom, { logN: 4, r: 8, p: 1 }), {
      mode: 0o600,
    });
    return stage;
  }

  /** What images are made of. */
  get folder(): string {
    return join(this.#root, 'case');
  }

  get agentData(): string {
    return join(this.folder, 'agent');
  }

  get collectorData(): string {
    return join(this.folder, 'collector');
  }

  /** Where the instruments write. */
  get source(): string {
    return join(this.#sourceStays ? this.#root : this.folder, 'data');
  }

  get bundle(): string {
    return join(this.folder, 'pc.bundle');
  }

  /** Not in the images. */
  get kit(): string {
    return join(this.#root, 'lab.kit');
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Everything of this stage is below it. */
  get root(): string {
    return this.#root;
  }

  /** A file beside the images: traces, restored trees. */
  beside(name: string): string {
    return join(this.#root, name);
  }

  /** Makes the collector with its vault, and the agent's bundle; nothing runs afterwards. */
  async found(): Promise<void> {
    await this.mustOperate(['init', '--data', this.collectorData]);
    await this.serve();
    await this.mustOperate(['vault', 'add', '--kit', this.kit]);
    await this.mustOperate(['enroll', 'pc', '--kit', this.kit, '--out', this.bundle]);
    await this.unserve();
  }

  /** Keeps everything as it is now, as the image to begin from. */
  async keep(): Promise<void> {
    await rm(this.beside('image'), { recursive: true, force: true });
    await copyExactly(this.folder, this.beside('image'));
  }

  /** Puts everything back to the image; programs must not be running. */
  async putBack(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
    await copyExactly(this.beside('image'), this.folder);
  }

  /**
   * Sets the sources aside, as somebody does who clears the instrument's disk; gives where they are
   * now.
   */
  async takeSourcesAway(): Promise<string> {
    const away = join(this.folder, 'away');
    await rename(this.source, away);
    await mkdir(this.source);
    return away;
  }

  /** Starts the collector, unless it runs; resolves when it listens, throws if it ends before. */
  async serve(start: Start = {}): Promise<void> {
    if (this.#server) return;
    if (this.#collectorInside && start.environment === undefined && start.under === undefined) {
      this.#server = await serving([
        '--data',
        this.collectorData,
        '--listen',
        new URL(this.url).host,
      ]);
      return;
    }
    await this.startServer(start).event('listening');
  }

  /** Starts the collector in this process, with a clock that is so much behind. */
  async serveBehind(behindMs: number): Promise<void> {
    const listen = ['--data', this.collectorData, '--listen', new URL(this.url).host];
    this.#server = await serving(listen, { clock: { nowMs: () => Date.now() - behindMs } });
  }

  /** Starts the collector and does not wait for it. */
  startServer({ environment = {}, under = [] }: Start = {}): DemoService {
    const address = new URL(this.url).host;
    const server = new DemoService(
      'aliquot',
      ['serve', '--data', this.collectorData, '--listen', address],
      environment,
      under,
    );
    this.#server = server;
    return server;
  }

  async unserve(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    await server?.stop(signal);
  }

  agent(args: readonly string[], { environment = {}, under = [] }: Start = {}): Promise<Finished> {
    return run('aliquot-agent', [...args, '--data', this.agentData], environment, under);
  }

  async mustAgent(args: readonly string[], start?: Start): Promise<Finished> {
    return succeeded('aliquot-agent', args, await this.agent(args, start));
  }

  /** An operator's command as a program of its own: one that is under test. */
  async operate(
    args: readonly string[],
    { environment = {}, under = [] }: Start = {},
  ): Promise<Finished> {
    const all = {
      ALIQUOT_URL: this.url,
      ALIQUOT_KIT: undefined,
      ALIQUOT_STATE: this.#state,
      ALIQUOT_TOKEN: await this.#token(),
      ...environment,
    };
    return run('aliquot', args, all, under);
  }

  /**
   * An operator's command that is not under test itself: in this process, which spares the start of
   * a program.
   */
  async mustOperate(args: readonly string[]): Promise<CliResult> {
    const done = await this.tryOperate(args);
    const says = [
      ...done.stderr.trim().split('\n').slice(-3),
      ...done.stdout.split('\n').filter((line) => /fault|error/.test(line)),
    ].join(' | ');
    must(done.code === 0, `aliquot ${args.slice(0, 2).join(' ')} ended with ${done.code}: ${says}`);
    return done;
  }

  /** As `mustOperate`, however it ends. */
  async tryOperate(args: readonly string[]): Promise<CliResult> {
    const token = await this.#token();
    return aliquot(args, {
      url: this.url,
      state: this.#state,
      ...(token === undefined ? {} : { token }),
    });
  }

  /** Both folders are proved, as both `fsck` do; beside whatever runs. */
  async mustBeSound(): Promise<void> {
    const options = {
      port: nodeDisk,
      dataDir: this.agentData,
      random: systemRandom,
      repair: false,
    };
    for (const findings of [fsckIdentity(nodeDisk, this.agentData, false), fsckQueue(options)]) {
      for await (const finding of findings)
        must(finding.severity !== 'error', `agent fsck: ${JSON.stringify(finding)}`);
    }
    await this.mustOperate(['fsck', '--data', this.collectorData]);
  }

  /**
   * What the operator's commands remember of the log: in the image, for it is put back with the
   * collector.
   */
  get #state(): string {
    return join(this.folder, 'operator');
  }

  /** Of the collector's first operator; undefined before there is one. */
  async #token(): Promise<string | undefined> {
    try {
      return (await readFile(join(this.collectorData, 'admin.token'), 'utf8')).trim();
    } catch {
      return undefined;
    }
  }

  async close(): Promise<void> {
    await this.unserve('SIGKILL');
    await rm(this.#root, { recursive: true, force: true });
  }
}

/** Times to the nanosecond, which Node's own copy rounds. */
export async function copyExactly(from: string, to: string): Promise<void> {
  await promisify(execFile)('cp', ['-a', from, to]);
}

function succeeded(program: string, args: readonly string[], finished: Finished): Finished {
  const says = finished.stderr.trim().split('\n').slice(-3).join(' | ');
  const findings = finished.lines
    .filter((line) => line['event'] === 'finding')
    .map((line) => JSON.stringify(line));
  must(
    finished.code === 0,
    `${program} ${args.slice(0, 2).join(' ')} ended with ${finished.code}: ${says} ${findings.join(' ')}`.trimEnd(),
  );
  return finished;
}
