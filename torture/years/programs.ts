import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import { createKit, sealKit } from '@aliquot/shared/keys/kit';
import { systemRandom } from '@aliquot/shared/ports';
import { RecordReader } from '@aliquot/shared/records/reader';
import type { SeededRandom } from '@aliquot/shared/testing/random';
import { isItem, packFormat } from '../../collector/src/store/packs/pack-format.ts';
import { DemoService, type Finished, mustRun, run } from '../../demo/programs.ts';
import { freePort } from '../../test/ports.ts';
import { BentClock } from '../soak/clocks.ts';
import { DAY_MS } from './book.ts';

const PASSPHRASE = 'correct horse battery staple';
const MONTHS = 18;
/** However short the time is. */
const LEAST_DATES = 3;
/** What the policy of these months says. */
const WITHIN_DAYS = 30;
const MONTHLY = 6;
const GRACE_DAYS = 7;
const POLICY = `retention:
  rules:
    - {match: {class: [raw]}, keep: {within: ${WITHIN_DAYS}d, monthly: ${MONTHLY}}, gone: forever}
`;
/** Larger than what goes into slabs, so that each state is an item of its own. */
const NOTES_BYTES = 150_000;
/** Beside content on the disk, for each file: what is sealed around it. */
const MOST_PERCENT = 105;
/** A PC whose clock the programs get, off for so many of the dates. */
const OFF_FROM = 0.25;
const OFF_TO = 0.6;

export interface ProgramYears {
  readonly dates: number;
  readonly months: number;
  readonly restored: number;
  readonly expired: number;
  readonly onDisk: number;
  readonly alive: number;
  readonly whole: boolean;
  readonly wrong: readonly string[];
}

/** What lay on a PC's disk at one time, by name. */
interface State {
  readonly atMs: number;
  readonly files: ReadonlyMap<string, Buffer>;
}

interface ProgramPc {
  readonly name: string;
  readonly data: string;
  readonly source: string;
  readonly files: Map<string, Buffer>;
  readonly states: State[];
}

/**
 * Eighteen months of the built programs, a date every week or three: the collector is started on
 * it, PCs back up, retention runs and what it lets go is collected, all by command.
 */
export class Programs {
  readonly #root: string;
  readonly #random: SeededRandom;
  readonly #log: (line: string) => void;
  readonly #clock: BentClock;
  readonly #pcs: ProgramPc[] = [];
  readonly #wrong: string[] = [];
  #port = 0;
  #token = '';
  #server: DemoService | undefined;
  #nowMs = Date.UTC(2027, 0, 4, 9);
  #restored = 0;
  #expired = 0;

  private constructor(root: string, random: SeededRandom, log: (line: string) => void) {
    this.#root = root;
    this.#random = random;
    this.#log = log;
    this.#clock = new BentClock(join(root, 'clock'));
  }

  static async run(
    random: SeededRandom,
    over: () => boolean,
    log: (line: string) => void,
  ): Promise<ProgramYears> {
    const root = await mkdtemp(join(tmpdir(), 'aliquot-programs-'));
    const programs = new Programs(root, random, log);
    try {
      return await programs.#live(over);
    } finally {
      await programs.#unserve('SIGKILL');
      await rm(root, { recursive: true, force: true });
    }
  }

  async #live(over: () => boolean): Promise<ProgramYears> {
    await this.#begin();
    const startMs = this.#nowMs;
    const endMs = startMs + MONTHS * 30 * DAY_MS;
    let dates = 0;
    while (this.#nowMs < endMs && (dates < LEAST_DATES || !over())) {
      const share = (this.#nowMs - startMs) / (endMs - startMs);
      const isOff = [false, share >= OFF_FROM && share < OFF_TO, share >= 0.15];
      await this.#date(this.#pcs.filter((_, at) => isOff[at] === false));
      dates += 1;
      // Once it stands longer than a collector takes for a pause, and has to be said to be right.
      const days = dates === LEAST_DATES ? 45 : 7 + this.#random.below(14);
      await this.#goTo(this.#nowMs + days * DAY_MS);
      if (dates % 8 === 0) this.#log(`${dates} dates, ${this.#expired} versions expired`);
    }
    const months = Math.round((this.#nowMs - startMs) / (30 * DAY_MS));
    const { onDisk, alive } = await this.#end();
    return {
      ...{ dates, months, restored: this.#restored, expired: this.#expired, onDisk, alive },
      ...{ whole: this.#nowMs >= endMs, wrong: this.#wrong },
    };
  }

  get #collector(): string {
    return join(this.#root, 'collector');
  }

  get #kit(): string {
    return join(this.#root, 'lab.kit');
  }

  get #environment(): NodeJS.ProcessEnv {
    return {
      ...this.#clock.environment,
      ALIQUOT_PASSPHRASE: PASSPHRASE,
      ALIQUOT_STATE: join(this.#root, 'operator'),
      ALIQUOT_URL: `http://127.0.0.1:${this.#port}`,
      ALIQUOT_TOKEN: this.#token,
    };
  }

  async #begin(): Promise<void> {
    this.#port = await freePort();
    await this.#goTo(this.#nowMs);
    const contents = createKit({ name: 'lab', blind: false, nowMs: this.#nowMs }, systemRandom);
    const weak = { logN: 4, r: 8, p: 1 };
    const sealed = sealKit(contents, PASSPHRASE, systemRandom, weak);
    await writeFile(this.#kit, sealed, { mode: 0o600 });
    await mustRun('aliquot', ['init', '--data', this.#collector], this.#environment);
    this.#token = (await readFile(join(this.#collector, 'admin.token'), 'utf8')).trim();
    await writeFile(join(this.#collector, 'maintenance.yaml'), 'retention: off\ncollection: off\n');
    await this.#serve();
    await this.#operate(['vault', 'add', '--kit', this.#kit]);
    for (const name of ['hplc-1', 'ms-2', 'gc-3']) await this.#addPc(name);
    const policy = join(this.#root, 'policy.yaml');
    await writeFile(policy, POLICY);
    await this.#operate(['policy', 'set', policy, '--kit', this.#kit, '--yes']);
    await this.#unserve();
  }

  async #addPc(name: string): Promise<void> {
    const bundle = join(this.#root, `${name}.bundle`);
    const [data, source] = [join(this.#root, name), join(this.#root, `${name}-results`)];
    await this.#operate(['enroll', name, '--kit', this.#kit, '--out', bundle]);
    await mustRun('aliquot-agent', ['enroll', bundle, '--data', data], this.#environment);
    await mkdir(source);
    const config = `sources: [{ path: ${JSON.stringify(source)}, class: raw, quietPeriodSeconds: 1 }]\n`;
    await writeFile(join(data, 'agent.yaml'), config, { mode: 0o600 });
    this.#pcs.push({ name, data, source, files: new Map(), states: [] });
  }

  /** Every program that is started from now on finds this time. */
  async #goTo(ms: number): Promise<void> {
    this.#nowMs = ms;
    await this.#clock.set(Math.round((ms - Date.now()) / 1000));
  }

  async #serve(): Promise<void> {
    const listen = `127.0.0.1:${this.#port}`;
    const args = ['serve', '--data', this.#collector, '--listen', listen];
    this.#server = new DemoService('aliquot', args, this.#environment);
    await this.#server.event('listening');
  }

  async #unserve(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    await server?.stop(signal);
  }

  #operate(args: readonly string[]): Promise<Finished> {
    return mustRun('aliquot', args, this.#environment);
  }

  async #date(present: readonly ProgramPc[]): Promise<void> {
    await this.#serve();
    // Whatever it makes of the time that has passed: a person says that it is right.
    await this.#operate(['collector', 'clock', '--confirm']);
    for (const pc of present) {
      await this.#work(pc);
      await mustRun('aliquot-agent', ['backup', pc.source, '--data', pc.data], this.#environment);
      pc.states.push({ atMs: this.#clockMs(), files: new Map(pc.files) });
    }
    await this.#retention();
    await this.#collect();
    await this.#unserve(this.#random.chance(0.2) ? 'SIGKILL' : 'SIGTERM');
  }

  /** What the programs take for now: their clock has gone on since it was set. */
  #clockMs(): number {
    return Date.now() + this.#clock.offsetSeconds * 1000;
  }

  async #work({ source, files, name }: ProgramPc): Promise<void> {
    const put = async (file: string, bytes: Buffer): Promise<void> => {
      files.set(file, bytes);
      await writeFile(join(source, file), bytes);
    };
    const stamp = new Date(this.#nowMs).toISOString().slice(0, 10);
    await put('notebook.raw', Buffer.from(this.#random.bytes(NOTES_BYTES)));
    await put(`${stamp}.txt`, Buffer.from(`${name} ${stamp}\n`.repeat(20)));
    if (!this.#random.chance(0.2)) return;
    // The disk is cleaned: only what is written anew each time stays.
    for (const file of await readdir(source)) {
      if (file === 'notebook.raw' || file === `${stamp}.txt`) continue;
      files.delete(file);
      await rm(join(source, file));
    }
  }

  /** A run; where a brake holds it a person lets it pass, and it goes on. */
  async #retention(): Promise<void> {
    const args = ['retention', 'run', '--json'];
    const { code, lines, stderr } = await run('aliquot', args, this.#environment);
    if (code !== 0 && code !== 3) throw new Error(`retention run ended with ${code}: ${stderr}`);
    const waiting = lines.find(({ type }) => type === 'waits');
    const on = ['retention', 'approve', String(waiting?.['run']), '--kit', this.#kit, '--json'];
    const more = waiting === undefined ? [] : (await this.#operate(on)).lines;
    for (const { type, versions } of [...lines, ...more])
      if (type === 'expired') this.#expired += Number(versions);
  }

  /** Ends with 3 while PCs have to answer. */
  async #collect(): Promise<string> {
    const { code, stderr, stdout } = await run(
      'aliquot',
      ['gc', 'run', '--all'],
      this.#environment,
    );
    if (code !== 0 && code !== 3) throw new Error(`gc run ended with ${code}: ${stderr.trim()}`);
    return stdout;
  }

  /** What goes has its grace, everybody who will ever come answers, and all is judged. */
  async #end(): Promise<{ readonly onDisk: number; readonly alive: number }> {
    await this.#serve();
    await this.#operate(['collector', 'clock', '--confirm']);
    await this.#retention();
    await this.#unserve();
    const judgedMs = this.#nowMs;
    await this.#goTo(judgedMs + (GRACE_DAYS + 1) * DAY_MS);
    await this.#serve();
    let says = '';
    for (let round = 0; round < 4; round += 1) {
      for (const { data, source } of this.#pcs.slice(0, 2))
        await mustRun('aliquot-agent', ['backup', source, '--data', data], this.#environment);
      says = await this.#collect();
    }
    const months = this.#pcs[2];
    if (months !== undefined && this.#expired > 0 && !says.includes(months.name))
      this.#wrong.push(`gc run does not name ${months.name}, which never comes: ${says}`);
    let alive = 0;
    for (const pc of this.#pcs) alive += await this.#judge(pc, judgedMs, pc === months);
    await this.#unserve();
    const sound = await run('aliquot', ['fsck', '--data', this.#collector], this.#environment);
    if (sound.code !== 0) this.#wrong.push(`fsck ended with ${sound.code}: ${sound.stdout}`);
    const onDisk = await this.#bytesOnDisk();
    if (onDisk * 100 > alive * MOST_PERCENT)
      this.#wrong.push(`${onDisk} bytes lie on the disk, and ${alive} are alive`);
    return { onDisk, alive };
  }

  /** Restores what is promised, and counts what of its notebook is left. */
  async #judge(pc: ProgramPc, judgedMs: number, isAway: boolean): Promise<number> {
    const { name, states, source } = pc;
    const ends = monthEnds(judgedMs);
    const isKept = ({ atMs }: State, at: number): boolean => {
      const untilMs = states[at + 1]?.atMs ?? Infinity;
      const isLate = untilMs + WITHIN_DAYS * DAY_MS > judgedMs;
      return isLate || ends.some((end) => atMs <= end && end < untilMs);
    };
    const kept = states.filter(isKept);
    for (const state of kept) await this.#restore(pc, state);
    const path = join(source, 'notebook.raw');
    const { lines } = await this.#operate(['versions', '--agent', name, '--path', path, '--json']);
    const left = lines.filter((line) => line['size'] === NOTES_BYTES).length;
    const wanted = isAway ? states.length : kept.length;
    // Of the PC that never comes nothing is dropped once it was asked: the first time a part goes.
    if (isAway ? left < kept.length : left !== wanted)
      this.#wrong.push(`${name}: ${left} versions of its notebook are left of ${wanted}`);
    // Of what is gone the last content stays.
    const last = new Map(states.flatMap(({ files }) => [...files]));
    const contents = new Set(last.values());
    for (const { files } of isAway ? states : kept)
      for (const file of files.values()) contents.add(file);
    return [...contents].reduce((sum, { length }) => sum + length, 0);
  }

  async #restore({ name, source }: ProgramPc, { atMs, files }: State): Promise<void> {
    const to = join(this.#root, 'back');
    const time = new Date(atMs).toISOString();
    const args = ['restore', '--kit', this.#kit, '--agent', name, '--at', time, '--to', to];
    const { code, stderr } = await run('aliquot', args, this.#environment);
    if (code !== 0) this.#wrong.push(`restore of ${name} at ${time} ended with ${code}: ${stderr}`);
    const found = await readdir(join(to, source)).catch((): string[] => []);
    const same = await Promise.all(
      [...files].map(async ([file, bytes]) => {
        const back = await readFile(join(to, source, file)).catch(() => undefined);
        return back?.equals(bytes) === true;
      }),
    );
    this.#restored += same.length;
    const differ = same.filter((one) => !one).length;
    if (differ > 0 || found.length !== files.size)
      this.#wrong.push(
        `P2: ${name} at ${time}: ${files.size} files have to come back, ${found.length} came, ${differ} differ`,
      );
    await rm(to, { recursive: true, force: true });
  }

  async #bytesOnDisk(): Promise<number> {
    const vaults = join(this.#collector, 'vaults');
    const [vault = ''] = await readdir(vaults);
    const dir = join(vaults, vault, 'packs');
    const packs = await RecordReader.open({ port: nodeDisk, dir, format: packFormat });
    let bytes = 0;
    for await (const item of packs.scan())
      if (item.type === 'record' && isItem(item.header.kind)) bytes += item.payload?.length ?? 0;
    await packs.close();
    return bytes;
  }
}

/** The last instants of the past months that count. */
function monthEnds(nowMs: number): number[] {
  const now = new Date(nowMs);
  return Array.from(
    { length: MONTHLY },
    (_, back) => Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - back, 1) - 1,
  );
}
