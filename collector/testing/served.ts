/** A collector with its PCs and operators, for tests of what these do. Tests alone import this. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RowDraft } from '@aliquot/shared/commit/block-seal';
import { openBundle } from '@aliquot/shared/keys/bundle';
import { expect, vi } from 'vitest';
import { WebSocket } from 'ws';
import { AGENT_PATH } from '../src/ingest/upgrade.ts';
import { SessionTestAgent, type TestFile } from './agent.ts';
import { aliquot, type CliResult, serving } from './cli.ts';
import { writeWeakKit } from './kits.ts';
import { sendRules } from './retention/send-rules.ts';
import { socketWire } from './wire.ts';

const DAY_MS = 86_400_000;
const PASSPHRASE = 'correct horse battery staple';

/** How an operator asks: of the whole collector, or of one vault. */
interface Commands {
  /** Runs `aliquot`. */
  tried(...args: string[]): Promise<CliResult>;
  /** The same for a command that succeeds. */
  ok(...args: string[]): Promise<CliResult>;
}

/**
 * Serves a collector in this process, over a folder of its own. The test moves its clock, which is
 * that of the operators too; until then it is right.
 */
export class ServedCollector implements Commands {
  readonly #dir: string;
  /** By how much the clock is ahead. */
  aheadMs = 0;
  readonly clock = { nowMs: () => Date.now() + this.aheadMs };
  #url = '';
  #token = '';
  #stop: (() => Promise<CliResult>) | undefined;

  private constructor(dir: string) {
    this.#dir = dir;
  }

  /** Kits, keys and commands share one passphrase, which stands in the environment until the end. */
  static async start(): Promise<ServedCollector> {
    vi.stubEnv('ALIQUOT_PASSPHRASE', PASSPHRASE);
    const served = new ServedCollector(await mkdtemp(join(tmpdir(), 'aliquot-served-')));
    expect((await aliquot(['init', '--data', served.data, '--name', 'test'])).code).toBe(0);
    served.#token = (await readFile(join(served.data, 'admin.token'), 'utf8')).trim();
    await served.serve();
    return served;
  }

  async end(): Promise<void> {
    await this.stop();
    await rm(this.#dir, { recursive: true, force: true });
    vi.unstubAllEnvs();
  }

  /** Where a file of the test lies. */
  at(name: string): string {
    return join(this.#dir, name);
  }

  get data(): string {
    return this.at('data');
  }

  get url(): string {
    return this.#url;
  }

  get token(): string {
    return this.#token;
  }

  async serve(): Promise<void> {
    const { url, stop } = await serving(['--data', this.data, '--listen', '127.0.0.1:0'], {
      clock: this.clock,
    });
    this.#url = url;
    this.#stop = stop;
  }

  async stop(): Promise<void> {
    await this.#stop?.();
    this.#stop = undefined;
  }

  /** The collector was off for some days. */
  async wait(days: number): Promise<void> {
    await this.stop();
    this.aheadMs += days * DAY_MS;
    await this.serve();
  }

  tried(...args: string[]): Promise<CliResult> {
    const { url, token, clock } = this;
    return aliquot(args, { url, token, clock });
  }

  ok(...args: string[]): Promise<CliResult> {
    return succeeded(this.tried(...args));
  }

  /** Asks of one vault, without its kit. */
  asking(vault: string): Commands {
    const tried = (...args: string[]) => this.tried(...args, '--vault', vault);
    return { tried, ok: (...args) => succeeded(tried(...args)) };
  }

  kitOf(vault: string): string {
    return this.at(`${vault}.kit`);
  }

  /** Writes a new kit, and has the collector serve its vault. */
  async addVault(vault: string, { blind = false } = {}): Promise<void> {
    await this.writeKit(vault, { blind });
    await this.ok('vault', 'add', '--kit', this.kitOf(vault));
  }

  writeKit(vault: string, { blind = false } = {}): Promise<void> {
    return writeWeakKit(this.kitOf(vault), vault, PASSPHRASE, { blind });
  }

  /** Makes the key of an operator for retention; answers with its file. */
  async addOperator(vault: string, name: string): Promise<string> {
    const key = this.at(`${vault}-${name}.key`);
    const kit = ['--kit', this.kitOf(vault), '--out', key];
    await this.ok('operator', 'add', name, ...kit, '--purposes', 'retention');
    return key;
  }

  /** A PC that is enrolled and has sent nothing. */
  async addPc(vault: string, name: string): Promise<SessionTestAgent> {
    const bundle = this.at(`${vault}-${name}.bundle`);
    await this.ok('enroll', name, '--kit', this.kitOf(vault), '--out', bundle);
    const pc = new SessionTestAgent(openBundle(await readFile(bundle, 'utf8'), Date.now()));
    await pc.enrol(pc.bundle.url);
    return pc;
  }

  /** One commit in a session of its own. */
  async send(
    pc: SessionTestAgent,
    files: readonly TestFile[],
    results: readonly RowDraft[] = [],
  ): Promise<void> {
    await pc.open(await socketWire(new WebSocket(this.url.replace('http', 'ws') + AGENT_PATH)));
    await pc.backUp(files, true, results);
  }

  /** As `aliquot policy set` does, of rules alone, which are the first of the vault. */
  sendRules(vault: string, ...rules: readonly string[]): Promise<Response> {
    const kit = { path: this.kitOf(vault), passphrase: PASSPHRASE };
    return sendRules({ url: this.url, token: this.token }, kit, ...rules);
  }
}

async function succeeded(command: Promise<CliResult>): Promise<CliResult> {
  const result = await command;
  expect([result.stderr, result.code]).toEqual([expect.not.stringMatching(/^aliquot:/m), 0]);
  return result;
}
