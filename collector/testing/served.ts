/** A collector with its PCs and operators, for tests of what these do. Tests alone import this. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { OperatorPurpose } from '@aliquot/proto';
import type { RowDraft } from '@aliquot/shared/commit/block-seal';
import { openBundle } from '@aliquot/shared/keys/bundle';
import { expect, vi } from 'vitest';
import { WebSocket } from 'ws';
import { AGENT_PATH } from '../src/ingest/upgrade.ts';
import { SessionTestAgent, type TestFile } from './agent.ts';
import { aliquot, type CliOptions, type CliResult, serving } from './cli.ts';
import { writeWeakKey, writeWeakKit } from './kits.ts';
import { sendRules } from './retention/send-rules.ts';
import { socketWire } from './wire.ts';

export const DAY_MS = 86_400_000;
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

  /** Where operators keep what they witnessed; undefined: nowhere. */
  readonly #state: string | undefined;

  private constructor(dir: string, state: string | undefined) {
    this.#dir = dir;
    this.#state = state;
  }

  /**
   * Kits, keys and commands share one passphrase, which stands in the environment until the end.
   * Operators keep nothing of what they witness, unless they are to.
   */
  static async start({ keepsState = false } = {}): Promise<ServedCollector> {
    vi.stubEnv('ALIQUOT_PASSPHRASE', PASSPHRASE);
    const dir = await mkdtemp(join(tmpdir(), 'aliquot-served-'));
    const served = new ServedCollector(dir, keepsState ? join(dir, 'state') : undefined);
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
    return aliquot(args, this.#standing);
  }

  get #standing(): CliOptions {
    const { url, token, clock } = this;
    const state = this.#state;
    return { url, token, clock, ...(state === undefined ? {} : { state }) };
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

  /** Makes the key of an operator; answers with its file. */
  async addOperator(
    vault: string,
    name: string,
    purposes: readonly OperatorPurpose[] = ['retention'],
  ): Promise<string> {
    const key = this.keyOf(vault, name);
    await writeWeakKey(key, { kit: this.kitOf(vault), name, purposes }, PASSPHRASE);
    return key;
  }

  keyOf(vault: string, name: string): string {
    return this.at(`${vault}-${name}.key`);
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
