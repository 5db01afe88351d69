import type { SeededRandom } from '@aliquot/shared/testing/random';
import type { MadePart } from './content.ts';
import type { CapturedResult, FileState, Pc } from './pc.ts';

/*
 * What instruments and people do on the disk of one PC, day by day.
 */

/** What lies on the disk under one name. */
interface OnDisk extends FileState {
  /** The day on which it was written last. */
  readonly day: number;
}

export interface LabHabits {
  /** Whether large files come from it. */
  readonly large: boolean;
  /** Whether it has files that no rule is for. */
  readonly unruled: boolean;
}

/** A disk is cleaned about so often, of what is older than this. */
const CLEANED_EACH_DAYS = 100;
const CLEANED_OLDER_THAN_DAYS = 25;
const TEMPORARY_DAYS = 3;
const LARGE_PIECE = 24 * 1024;
/** Every so many days a large file is begun anew. */
const LARGE_DAYS = 90;

export class Lab {
  readonly pc: Pc;
  readonly #habits: LabHabits;
  readonly #random: SeededRandom;
  readonly #files = new Map<string, OnDisk>();
  #captured = new Map<string, FileState>();
  #rows = new Map<string, CapturedResult>();

  constructor(pc: Pc, habits: LabHabits, random: SeededRandom) {
    this.pc = pc;
    this.#habits = habits;
    this.#random = random;
  }

  /** The same disk in another PC. */
  movedTo(pc: Pc): Lab {
    const moved = new Lab(pc, this.#habits, this.#random.derive(`moved ${pc.agent.name}`));
    for (const [path, file] of this.#files) moved.#files.set(path, file);
    return moved;
  }

  /** Everything anew, as a PC does that has no memory of what it sent. */
  captureAll(): void {
    const plain = [...this.#files.values()];
    const roots = new Set(plain.flatMap(({ root }) => root ?? []));
    this.pc.capture(
      plain,
      [...roots].map((root) => this.#result(root)),
    );
  }

  /** One working day. */
  day(day: number): void {
    this.#captured = new Map();
    this.#rows = new Map();
    this.#everyDay(day);
    if (day % 7 < 2 && this.#random.chance(0.6)) this.#run(day);
    if (this.#random.chance(0.15)) this.#runAgain(day);
    if (this.#habits.large && this.#random.chance(0.3)) this.#grow(day);
    if (this.#random.chance(0.02)) this.#rename(day);
    if (this.#random.chance(1 / CLEANED_EACH_DAYS)) this.#clean(day);
    this.pc.capture([...this.#captured.values()], [...this.#rows.values()]);
  }

  #put(state: FileState, day: number): void {
    this.#files.set(state.path, { ...state, day });
    this.#captured.set(state.path, state);
  }

  #gone({ path, className, root }: FileState): void {
    this.#files.delete(path);
    this.#captured.set(path, { path, className, root, kind: 'gone', pieces: [] });
  }

  #everyDay(day: number): void {
    const random = this.#random;
    const { name } = this.pc.agent;
    const plain = (path: string, className: string, piece: MadePart): void =>
      this.#put({ path, className, kind: 'whole', pieces: [piece] }, day);
    for (let at = 0; at < 2; at += 1) {
      // Some of what one PC writes is what another one writes.
      const of = random.chance(0.2) ? 'all' : name;
      plain(`/data/day/${day}-${at}.txt`, 'raw', {
        word: `${of} ${day} ${at}`,
        bytes: 200 + random.below(2500),
      });
    }
    const notes = { word: `${name} notes ${day}`, bytes: 7000 };
    plain('/data/notebook.csv', 'working', notes);
    plain(`/data/tmp/${day}`, 'temporary', { word: `${name} tmp ${day}`, bytes: 1500 });
    for (const file of [...this.#files.values()])
      if (file.className === 'temporary' && file.day < day - TEMPORARY_DAYS) this.#gone(file);
    if (random.chance(0.03))
      plain('/data/method.xml', random.chance(0.9) ? 'method' : 'working', {
        word: `method ${Math.floor(day / 40)}`,
        bytes: 6500,
      });
    if (this.#habits.unruled && random.chance(0.1))
      plain(`/data/odd/${day % 5}`, 'odd', { word: `${name} odd ${day}`, bytes: 900 });
  }

  /** A folder result comes. */
  #run(day: number): void {
    const root = `/data/runs/${day}.D`;
    const { name } = this.pc.agent;
    const member = (file: string, piece: MadePart): void =>
      this.#put(
        { path: `${root}/${file}`, className: 'raw', kind: 'whole', pieces: [piece], root },
        day,
      );
    member('acq.txt', { word: `${name} acq ${day}`, bytes: 600 });
    member('data.ms', { word: `${name} ms ${day}`, bytes: 9000 + this.#random.below(9000) });
    member('method', { word: `run method ${Math.floor(day / 60)}`, bytes: 3000 });
    this.#rows.set(root, this.#result(root));
  }

  /** Something of a result is worked over. */
  #runAgain(day: number): void {
    const members = [...this.#files.values()].filter(({ root }) => root !== undefined);
    if (members.length === 0) return;
    const { path, root, className } = this.#random.pick(members);
    const pieces = [{ word: `${this.pc.agent.name} again ${day}`, bytes: 2000 }];
    this.#put({ path, root, className, kind: 'whole', pieces }, day);
    if (root !== undefined) this.#rows.set(root, this.#result(root));
  }

  #result(root: string): CapturedResult {
    const members = [...this.#files.values()].filter((one) => one.root === root);
    return { root, className: 'raw', members: members.map(({ path }) => path) };
  }

  /** A large file goes on; at times it is captured while it grows. */
  #grow(day: number): void {
    const path = `/data/large/${Math.floor(day / LARGE_DAYS)}.raw`;
    const before = this.#files.get(path)?.pieces ?? [];
    const { name } = this.pc.agent;
    // Every third run is a standard that all PCs measure.
    const of = day % 3 === 0 ? 'standard' : name;
    const more = Array.from({ length: 1 + this.#random.below(4) }, (_, at) => ({
      word: `${of} large ${day} ${at}`,
      bytes: LARGE_PIECE,
    }));
    const kind = before.length > 0 && this.#random.chance(0.3) ? 'growing' : 'whole';
    this.#put({ path, className: 'raw', kind, pieces: [...before, ...more] }, day);
  }

  #rename(day: number): void {
    const some = [...this.#files.values()].filter(
      ({ root, className }) => root === undefined && className === 'raw',
    );
    if (some.length === 0) return;
    const file = this.#random.pick(some);
    this.#gone(file);
    const path = `/data/renamed/${day}-${file.path.split('/').at(-1)}`;
    this.#put({ ...file, path, kind: 'whole' }, day);
  }

  #clean(day: number): void {
    const roots = new Set<string>();
    for (const file of [...this.#files.values()]) {
      if (file.day > day - CLEANED_OLDER_THAN_DAYS || file.className === 'working') continue;
      if (file.root !== undefined) roots.add(file.root);
      this.#gone(file);
    }
    // What is left of a result is its new state; of none, that it was deleted.
    for (const root of roots) this.#rows.set(root, this.#result(root));
  }
}
