import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createKit, sealKit } from '@aliquot/shared/keys/kit';
import { systemRandom } from '@aliquot/shared/ports';
import {
  DemoService,
  type Finished,
  type JsonLine,
  killNaming,
  mustRun,
  run,
} from '../demo/programs.ts';
import type { TlsPair } from './certificates.ts';
import { freePort } from './ports.ts';

/**
 * A whole Aliquot on loopback for one test: a collector, a vault, and as many agents as it asks
 * for.
 */

export const PASSPHRASE = 'correct horse battery staple';

export interface AgentPlace {
  readonly name: string;
  readonly data: string;
  readonly bundle: string;
}

export class World {
  readonly folder: string;
  readonly kit: string;
  readonly collectorData: string;
  #server: DemoService | undefined;
  #url = '';

  private constructor(folder: string) {
    this.folder = folder;
    this.kit = join(folder, 'lab.kit');
    this.collectorData = join(folder, 'collector');
  }

  /** A collector with one vault, serving on a port of its own. */
  static async open(options: { blind?: boolean } = {}): Promise<World> {
    const world = new World(await mkdtemp(join(tmpdir(), 'aliquot-world-')));
    await world.aliquot(['init', '--data', world.collectorData]);
    await world.serve();
    // A kit as `kit create` makes it, but with a weak passphrase function: tests open it hundreds
    // of times, and it protects nothing.
    const kit = createKit(
      { name: 'lab', blind: options.blind ?? false, nowMs: Date.now() },
      systemRandom,
    );
    await writeFile(world.kit, sealKit(kit, PASSPHRASE, systemRandom, { logN: 4, r: 8, p: 1 }), {
      mode: 0o600,
    });
    await world.aliquot(['vault', 'add', '--kit', world.kit]);
    return world;
  }

  /** The base address of the collector. */
  get url(): string {
    return this.#url;
  }

  get server(): DemoService {
    if (!this.#server) throw new Error('the collector is not running');
    return this.#server;
  }

  /** Starts the collector; on the port it had before, when it had one and no other is asked for. */
  async serve(
    data = this.collectorData,
    {
      tls,
      port,
      more = [],
    }: {
      readonly tls?: TlsPair;
      readonly port?: number;
      readonly more?: readonly string[];
    } = {},
  ): Promise<void> {
    const at = port ?? (this.#url === '' ? await freePort() : Number(new URL(this.#url).port));
    const secure = tls === undefined ? [] : ['--tls-cert', tls.cert, '--tls-key', tls.key];
    this.#server = new DemoService('aliquot', [
      'serve',
      '--data',
      data,
      '--listen',
      `127.0.0.1:${at}`,
      ...secure,
      ...more,
    ]);
    const url = String((await this.#server.event('listening'))['url']);
    this.#url = tls === undefined ? url : `https://localhost:${new URL(url).port}`;
  }

  /** The PEM by which operators trust the collector's TLS; the system's authorities unless set. */
  trust: string | undefined;

  /** Ends the collector and waits for it. */
  async unserve(signal: NodeJS.Signals = 'SIGTERM'): Promise<number> {
    const code = await this.server.stop(signal);
    this.#server = undefined;
    return code;
  }

  /** What an operator has in the environment. */
  environment(url = this.#url): NodeJS.ProcessEnv {
    return {
      ALIQUOT_PASSPHRASE: PASSPHRASE,
      ALIQUOT_KIT: undefined,
      ALIQUOT_URL: url,
      ALIQUOT_TOKEN_FILE: undefined,
      ALIQUOT_STATE: join(this.folder, 'operator'),
      ALIQUOT_TLS_CA: this.trust,
    };
  }

  /** Runs an operator's command; throws unless it ends with 0. */
  async aliquot(args: readonly string[]): Promise<Finished> {
    return mustRun('aliquot', this.#withToken(args), this.environment());
  }

  /** Runs an operator's command and leaves its exit code to the caller. */
  async tryAliquot(args: readonly string[]): Promise<Finished> {
    return run('aliquot', this.#withToken(args), this.environment());
  }

  #withToken(args: readonly string[]): string[] {
    const local =
      ['init', 'serve', 'fsck'].includes(args[0] ?? '') ||
      (args[0] === 'kit' && args[1] !== undefined);
    return local ? [...args] : [...args, '--token-file', join(this.collectorData, 'admin.token')];
  }

  /** A bundle for a new PC, not used yet. */
  async bundle(name: string, options: readonly string[] = [], url = this.#url): Promise<string> {
    const file = join(this.folder, `${name}.bundle`);
    await mustRun(
      'aliquot',
      this.#withToken(['enroll', name, '--kit', this.kit, '--out', file, ...options]),
      this.environment(url),
    );
    return file;
  }

  /** An enrolled agent with an empty queue. */
  async agent(name: string, options: readonly string[] = [], url = this.#url): Promise<AgentPlace> {
    const bundle = await this.bundle(name, options, url);
    const data = join(this.folder, `agent-${name}`);
    await mustRun('aliquot-agent', ['enroll', bundle, '--data', data]);
    return { name, data, bundle };
  }

  /** One backup; gives the summary line. Throws unless it ends with 0. */
  async backup(
    agent: AgentPlace,
    paths: readonly string[],
    options: readonly string[] = [],
  ): Promise<JsonLine> {
    const finished = await mustRun('aliquot-agent', [
      'backup',
      ...paths,
      '--data',
      agent.data,
      '--json',
      ...options,
    ]);
    return summaryOf(finished);
  }

  /** A folder below the world's own, made when missing. */
  async place(name: string): Promise<string> {
    const folder = join(this.folder, name);
    await mkdir(folder, { recursive: true });
    return folder;
  }

  async write(path: string, content: string | Uint8Array): Promise<string> {
    const file = join(this.folder, path);
    await mkdir(join(file, '..'), { recursive: true });
    await writeFile(file, content);
    return file;
  }

  async close(): Promise<void> {
    if (this.#server) await this.unserve('SIGKILL');
    // A test that failed half way may have left a service, which would write into the folder again.
    await killNaming(this.folder);
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** The summary event of a command's JSON lines. */
export function summaryOf(finished: Finished): JsonLine {
  const summary = finished.lines.find((line) => line['event'] === 'summary');
  if (!summary) throw new Error(`no summary line: ${finished.stdout}${finished.stderr}`);
  return summary;
}

/**
 * The status event of an agent's folder: what its service says at its socket, for tests look often,
 * and where none runs, what the command says.
 */
export async function statusOf(agent: AgentPlace): Promise<JsonLine> {
  const said = await askedAtSocket(join(agent.data, 'run', 'agent.sock'));
  if (said !== undefined) return said;
  const finished = await mustRun('aliquot-agent', ['status', '--data', agent.data, '--json']);
  const status = finished.lines.find((line) => line['event'] === 'status');
  if (!status) throw new Error(`no status line: ${finished.stdout}${finished.stderr}`);
  return status;
}

/** Undefined where nobody answers, or not to the end. */
function askedAtSocket(path: string): Promise<JsonLine | undefined> {
  return new Promise((resolve) => {
    let text = '';
    const socket = connect(path, () => socket.write('{"op":"status","results":false}\n'));
    socket.setEncoding('utf8');
    socket.on('data', (more: string) => {
      text += more;
    });
    socket.on('error', () => resolve(undefined));
    socket.on('close', () => {
      const whole = text
        .slice(0, text.lastIndexOf('\n') + 1)
        .split('\n')
        .slice(0, -1);
      const lines = whole.map((line) => JSON.parse(line) as JsonLine);
      const ended = lines.at(-1)?.['end'] !== undefined;
      resolve(ended ? lines.find((line) => line['event'] === 'status') : undefined);
    });
  });
}
