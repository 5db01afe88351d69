import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../../demo/programs.ts';
import { type AgentPlace, World } from '../world.ts';
import { asSwapper, SOMEBODY, Swapper } from './swapper.ts';

const MARK = 'what only root may read';
const names = ['data', 'run-1', 'run-2', 'sub', 'tmp', 'Restored from backup'];
const LONG_AGO_S = 1_000_000_000;

/** Why no other user can be played here; undefined: he can, and just did. */
export function whyNoOtherUser(): string | undefined {
  if (process.platform !== 'linux') return 'folders can be held on Linux only';
  if (process.geteuid?.() !== 0) return 'only root can play another user';
  const folder = mkdtempSync(join(tmpdir(), 'aliquot-somebody-'));
  try {
    chmodSync(folder, 0o755);
    const home = join(folder, 'home');
    mkdirSync(home);
    const tried = spawnSync(...asSwapper(home), { cwd: '/', encoding: 'utf8' });
    if (tried.status === 0) return undefined;
    const says = tried.error?.message ?? /Error: .*/.exec(tried.stderr)?.[0] ?? tried.stderr;
    return `another user cannot swap a folder of his in ${tmpdir()}: ${says}`;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/**
 * Root restores into, and backs up, folders of a user who swaps them for links to a folder of
 * root's meanwhile.
 */
export class SwappedWorld {
  readonly #world: World;
  readonly #agent: AgentPlace;
  readonly #outside: string;
  readonly #home: string;
  #swapper: Swapper | undefined;
  #before: readonly string[] = [];

  private constructor(world: World, agent: AgentPlace) {
    this.#world = world;
    this.#agent = agent;
    this.#outside = join(world.folder, 'outside');
    this.#home = join(world.folder, 'home');
  }

  static async open(): Promise<SwappedWorld> {
    const world = await World.open();
    chmodSync(world.folder, 0o755);
    const swapped = new SwappedWorld(world, await world.agent('pc'));
    swapped.#build();
    await swapped.#backup();
    swapped.#before = swapped.#stateOf(swapped.#outside);
    swapped.#swapper = new Swapper(swapped.#home, swapped.#outside);
    return swapped;
  }

  /** How often a folder was swapped. */
  get swaps(): number {
    return this.#swapper?.swaps ?? 0;
  }

  /** One restore and one backup; what is outside must be as it was, never read. */
  async round(number: number): Promise<void> {
    await this.#restore(number);
    await this.#backup();
    this.#mustBeUntouched();
  }

  /** Nothing of root's was ever captured. */
  async mustHoldNothing(): Promise<void> {
    await this.#swapper?.end();
    const back = join(this.#world.folder, 'back');
    const { code, stderr } = await this.#world.tryAliquot([
      ...['restore', '--kit', this.#world.kit, '--agent', 'pc', '--to', back],
    ]);
    // In part: a folder was captured that had become a link when its files were.
    if (code !== 0 && code !== 3) throw new Error(`restore ended with ${code}: ${stderr.trim()}`);
    const listed = await this.#world.aliquot(['ls', '--agent', 'pc']);
    if (listed.stdout.includes('secret')) throw new Error('a name of root’s was captured');
    for (const path of filesIn(back, true)) {
      const kind = lstatSync(path);
      if (kind.isFile() && readFileSync(path).includes(MARK))
        throw new Error(`${path} holds what is root’s`);
      // As a link it may come back, and leads where his did.
      if (kind.isSymbolicLink() && readlinkSync(path) !== this.#outside)
        throw new Error(`${path} leads to ${readlinkSync(path)}`);
    }
    this.#mustBeUntouched();
  }

  async close(): Promise<void> {
    await this.#swapper?.end();
    await this.#world.close();
  }

  /** The same names inside and outside: whoever follows the link finds everything there. */
  #build(): void {
    for (const folder of ['', ...names, ...names.map((name) => join('data', name))]) {
      mkdirSync(join(this.#outside, folder), { recursive: true });
      writeFileSync(join(this.#outside, folder, 'secret'), MARK, { mode: 0o600 });
      for (let at = 0; at < 4; at += 1)
        writeFileSync(join(this.#outside, folder, `${at}.txt`), MARK, { mode: 0o600 });
    }
    for (const folder of ['', 'data', 'data/run-1', 'data/run-1/sub', 'data/run-2']) {
      const path = join(this.#home, folder);
      mkdirSync(path, { recursive: true });
      for (let at = 0; at < 40; at += 1) {
        writeFileSync(join(path, `${at}.txt`), `${folder} ${at}`);
        chownSync(join(path, `${at}.txt`), SOMEBODY, SOMEBODY);
      }
      chownSync(path, SOMEBODY, SOMEBODY);
    }
    // One that is there at every look, so that each backup and each restore meets a link of his.
    const link = join(this.#home, 'data', 'link');
    symlinkSync(this.#outside, link);
    lchownSync(link, SOMEBODY, SOMEBODY);
    for (const path of filesIn(this.#outside)) utimesSync(path, LONG_AGO_S, LONG_AGO_S);
  }

  async #restore(number: number): Promise<void> {
    const source = join(this.#home, 'data');
    const to = join(this.#home, `back-${number}`);
    const where = number % 2 === 0 ? ['--to', to] : [];
    // Made by him, so that he may swap them however deep they are; what root made here might be
    // swapped already.
    if (number % 2 === 0) await this.#swapper?.make(join(to, source, 'run-1/sub'));
    await this.#agentRuns(['restore', source, ...where]);
  }

  async #backup(): Promise<void> {
    await this.#agentRuns(['backup', join(this.#home, 'data')]);
  }

  async #agentRuns(args: readonly string[]): Promise<void> {
    const { code, stderr } = await run('aliquot-agent', [...args, '--data', this.#agent.data]);
    // That not everything came is no wonder; a fault of ours would be.
    if (code > 3 || stderr.includes('UNEXPECTED'))
      throw new Error(`${args[0]} ended with ${code}: ${stderr.trim().slice(-400)}`);
  }

  #mustBeUntouched(): void {
    const now = this.#stateOf(this.#outside);
    const changed = now.filter((line) => !this.#before.includes(line));
    const gone = this.#before.filter((line) => !now.includes(line));
    if (changed.length + gone.length > 0)
      throw new Error(`outside, ${[...changed, ...gone].slice(0, 3).join('; ')}`);
  }

  /** Everything of it, with the time of the last read of each file. */
  #stateOf(folder: string): readonly string[] {
    const lines: string[] = [];
    for (const path of [folder, ...filesIn(folder, true)]) {
      const { mode, uid, size, mtimeNs, ctimeNs, atimeNs } = lstatSync(path, { bigint: true });
      const read = lstatSync(path).isFile() ? atimeNs : 0n;
      lines.push(`${path} ${mode} ${uid} ${size} ${mtimeNs} ${ctimeNs} ${read}`);
    }
    return lines;
  }
}

/** Below a folder, never through a link, as Node's own recursive listing goes. */
function filesIn(folder: string, all = false): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    const below = entry.isDirectory() ? filesIn(path, all) : [];
    return all || entry.isFile() ? [path, ...below] : below;
  });
}
