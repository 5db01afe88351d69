import { cp, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createKit, sealKit } from '@aliquot/shared/keys/kit';
import { systemRandom } from '@aliquot/shared/ports';
import { type Finished, run, Service } from '../../demo/programs.ts';
import { freePort } from '../../test/ports.ts';

const PASSPHRASE = 'correct horse battery staple';

/** How a program is started: what is added to its environment, and the program that runs it, if any. */
export interface Start {
  readonly environment?: NodeJS.ProcessEnv;
  readonly under?: readonly string[];
}

/** Something that had to hold and did not; its message is what a scenario reports. */
export class Unmet extends Error {}

/** Throws `Unmet` unless it holds. */
export function must(holds: boolean, says: string): asserts holds {
  if (!holds) throw new Unmet(says);
}

/**
 * One collector and one agent of the built programs in a folder of their own, whose state can be kept as an image and put
 * back, so that every case begins with the same bytes at the same paths. The recovery kit has a weak passphrase function:
 * these cases open it thousands of times, and it protects nothing.
 */
export class Stage {
  readonly #root: string;
  readonly #port: number;
  #server: Service | undefined;

  private constructor(root: string, port: number) {
    this.#root = root;
    this.#port = port;
  }

  static async open(): Promise<Stage> {
    const stage = new Stage(await mkdtemp(join(tmpdir(), 'aliquot-torture-')), await freePort());
    await mkdir(stage.folder);
    const kit = createKit({ name: 'lab', blind: false, nowMs: Date.now() }, systemRandom);
    await writeFile(stage.kit, sealKit(kit, PASSPHRASE, systemRandom, { logN: 4, r: 8, p: 1 }), { mode: 0o600 });
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
    return join(this.folder, 'data');
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
    await cp(this.folder, this.beside('image'), { recursive: true, preserveTimestamps: true });
  }

  /** Puts everything back to the image; programs must not be running. */
  async putBack(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
    await cp(this.beside('image'), this.folder, { recursive: true, preserveTimestamps: true });
  }

  /** Sets the sources aside, as somebody does who clears the instrument's disk; gives where they are now. */
  async takeSourcesAway(): Promise<string> {
    const away = join(this.folder, 'away');
    await rename(this.source, away);
    await mkdir(this.source);
    return away;
  }

  /** Starts the collector; resolves when it listens, throws if it ends before. */
  async serve(start: Start = {}): Promise<Service> {
    const server = this.startServer(start);
    await server.event('listening');
    return server;
  }

  /** Starts the collector and does not wait for it. */
  startServer({ environment = {}, under = [] }: Start = {}): Service {
    const address = new URL(this.url).host;
    this.#server = new Service('aliquot', ['serve', '--data', this.collectorData, '--listen', address], environment, under);
    return this.#server;
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

  async operate(args: readonly string[], { environment = {}, under = [] }: Start = {}): Promise<Finished> {
    const all = { ALIQUOT_PASSPHRASE: PASSPHRASE, ALIQUOT_URL: this.url, ALIQUOT_KIT: undefined, ...(await this.#token()), ...environment };
    return run('aliquot', args, all, under);
  }

  async mustOperate(args: readonly string[], start?: Start): Promise<Finished> {
    return succeeded('aliquot', args, await this.operate(args, start));
  }

  async #token(): Promise<NodeJS.ProcessEnv> {
    try {
      return { ALIQUOT_TOKEN: (await readFile(join(this.collectorData, 'admin.token'), 'utf8')).trim() };
    } catch {
      return {}; // not made yet
    }
  }

  async close(): Promise<void> {
    await this.unserve('SIGKILL');
    await rm(this.#root, { recursive: true, force: true });
  }
}

function succeeded(program: string, args: readonly string[], finished: Finished): Finished {
  const says = finished.stderr.trim().split('\n').slice(-3).join(' | ');
  const findings = finished.lines.filter((line) => line['event'] === 'finding').map((line) => JSON.stringify(line));
  must(
    finished.code === 0,
    `${program} ${args.slice(0, 2).join(' ')} ended with ${finished.code}: ${says} ${findings.join(' ')}`.trimEnd(),
  );
  return finished;
}
