import type { Platform } from '@aliquot/proto';
import { here } from '@aliquot/shared/settings/where';
import { KnownCursor, type KnownRow } from '../queue/log/known-block.ts';
import { type BytePath, isWithin, orderOf, separatorOf } from '../source/paths.ts';
import { isBeside, notHereProblem } from '../source/problem.ts';
import { type CompiledRules, excludedFrom } from '../source/rules.ts';
import type { Found } from '../source/walk.ts';
import { isSameAway, isUnchanged } from './unchanged.ts';

/** A file, folder or link that a walk came by. */
export type FoundItem = Extract<Found, { type: 'item' }>;

/** How much there is that is as it was captured, and of which nobody wants to hear more. */
export interface Alike {
  readonly files: number;
  readonly bytes: number;
  readonly links: number;
  /** Folders are to be heard of: each is watched. */
  readonly folders: readonly FoundItem[];
}

/** What a comparison finds, as it comes out of the worker. */
export type Difference =
  /** New (`known` undefined), or not as it was captured. */
  | { readonly type: 'put'; readonly item: FoundItem; readonly known: KnownRow | undefined }
  /** As it was captured, and somebody wants to hear of it. */
  | { readonly type: 'same'; readonly item: FoundItem; readonly known: KnownRow }
  /** Known, and not found where the walk could look. */
  | { readonly type: 'absent'; readonly path: BytePath; readonly known: KnownRow }
  | { readonly type: 'alike'; readonly alike: Alike }
  | Exclude<Found, { type: 'item' }>;

/** What is compared, as plain values that travel to the worker. */
export interface Compared {
  readonly root: BytePath;
  /** When the look began. */
  readonly nowMs: number;
  /**
   * Of what is as it was captured, somebody wants to hear of these paths, and of the members of
   * these folder results; undefined: of everything.
   */
  readonly wanted: readonly BytePath[] | undefined;
}

/** What a step gives. */
export interface ComparedStep {
  readonly differences: readonly Difference[];
  /** More known files are needed to go on. */
  readonly wants: boolean;
  /** Everything is compared. */
  readonly last: boolean;
}

/** Found things, and differences, of one step: what goes on besides must not wait for long. */
const STEP_FOUND = 1024;
const STEP_DIFFERENCES = 512;
/**
 * Members of a folder result that are held back until it is clear whether anything of it changed.
 */
const MOST_HELD = 2048;

/** A folder result in which nothing has changed so far. */
interface Unit {
  readonly end: BytePath;
  /** Undefined: everything of it is told. */
  held: Extract<Difference, { type: 'same' }>[] | undefined;
}

/**
 * Merges a walk with the known files under its root, which come in blocks; both are in the same
 * order (`orderOf`), so memory does not depend on their number. On Windows a name that was changed
 * in case alone meets itself there. Synchronous, for it runs where the disk is looked at, and only
 * differences are worth the way from there.
 *
 * Absence is told only where the walk could look: below a problem nothing is absent, excluded files
 * are not, and when the root itself is missing nothing is. Whether what is absent is gone, is for
 * `Presence` to say.
 *
 * Of a folder result either all members are told or none.
 */
export class Comparison {
  readonly #found: Iterator<Found, void, void>;
  readonly #compared: Compared;
  readonly #rules: CompiledRules;
  readonly #platform: Platform;
  readonly #wanted: ReadonlySet<BytePath> | undefined;
  readonly #afterSeparator: string;
  readonly #blocks: Uint8Array[] = [];
  #ended = false;
  #cursor: KnownCursor | undefined;
  /** In the order of the known file at hand; undefined: it has to be fetched. */
  #order: BytePath | undefined;
  /** What was found and is not compared yet. */
  #one: Found | undefined;
  #walked = false;
  #shadows: BytePath[] = [];
  readonly #units = new Map<BytePath, Unit>();
  #out: Difference[] = [];
  #alike = { files: 0, bytes: 0, links: 0, folders: [] as FoundItem[] };

  constructor(
    found: Iterator<Found, void, void>,
    compared: Compared,
    rules: CompiledRules,
    platform = here,
  ) {
    this.#found = found;
    this.#compared = compared;
    this.#rules = rules;
    this.#platform = platform;
    this.#wanted =
      compared.wanted === undefined
        ? undefined
        : new Set(compared.wanted.map((path) => orderOf(path, platform)));
    this.#afterSeparator = String.fromCharCode(separatorOf(platform).charCodeAt(0) + 1);
  }

  /** Hands over the next known files; `ended`: there are no more. */
  give(blocks: readonly Uint8Array[], ended: boolean): void {
    this.#blocks.push(...blocks);
    this.#ended = ended;
  }

  /** Goes on until enough is found, or known files are wanting. */
  step(): ComparedStep {
    let last = false;
    let looked = 0;
    while (looked < STEP_FOUND && this.#out.length < STEP_DIFFERENCES) {
      if (!this.#fetch()) break;
      const one = this.#next();
      if (one === undefined) {
        if (this.#order === undefined) {
          this.#closeUnits();
          last = true;
          break;
        }
        this.#absent();
        this.#order = undefined;
      } else {
        const order = orderOf(one.path, this.#platform);
        if (one.type !== 'excluded' && this.#order !== undefined && this.#order < order) {
          this.#absent();
          this.#order = undefined;
        } else {
          this.#one = undefined;
          this.#compare(one, order);
        }
      }
      looked += 1;
    }
    return { ...this.#take(), wants: !last && !this.#ended && this.#blocks.length <= 1, last };
  }

  /** Has the next known file at hand, if there is one; false when it has not come yet. */
  #fetch(): boolean {
    while (this.#order === undefined) {
      if (this.#cursor?.next() === true) this.#order = orderOf(this.#cursor.path, this.#platform);
      else {
        const block = this.#blocks.shift();
        if (block === undefined) return this.#ended;
        this.#cursor = new KnownCursor(block);
      }
    }
    return true;
  }

  #next(): Found | undefined {
    if (this.#one !== undefined || this.#walked) return this.#one;
    const step = this.#found.next();
    if (step.done === true) this.#walked = true;
    else this.#one = step.value;
    return this.#one;
  }

  /** The known file at hand was not found. */
  #absent(): void {
    const { path, resultPathLength, row } = this.#cursor as KnownCursor;
    const order = this.#order as BytePath;
    const { root } = this.#compared;
    const platform = this.#platform;
    if (this.#shadows.length > 0)
      this.#shadows = this.#shadows.filter(
        (folder) => order < orderOf(folder, platform) + this.#afterSeparator,
      );
    if (
      this.#shadows.some((folder) => isWithin(path, folder, platform)) ||
      excludedFrom(this.#rules, path, root, platform)
    )
      return;
    this.#closeUnits(order);
    if (resultPathLength > 0) this.#tellUnit(path.slice(0, resultPathLength));
    this.#out.push({ type: 'absent', path, known: row });
  }

  #compare(one: Found, order: BytePath): void {
    if (one.type !== 'item') {
      // Such a one is there, and what is below it was looked at.
      if (one.type === 'problem' && !isBeside(one.problem.code)) this.#shadows.push(one.path);
      this.#out.push(one);
      return;
    }
    if (this.#units.size > 0) this.#closeUnits(order);
    const known = this.#order === order ? this.#cursor : undefined;
    if (known !== undefined) this.#order = undefined;
    const isAway = one.stat.away === true;
    const isSame =
      known !== undefined &&
      (isAway
        ? isSameAway(one.stat, known)
        : isUnchanged(one.stat, known, this.#compared.nowMs) &&
          // A rule made it a member of a result since: its version has to say so.
          (one.resultPathLength === 0 || one.resultPathLength === known.resultPathLength));
    if (isSame) this.#same(one, known, order);
    else if (isAway) this.#out.push({ type: 'problem', path: one.path, problem: notHereProblem() });
    else {
      if (one.resultPathLength > 0) this.#tellUnit(one.path.slice(0, one.resultPathLength));
      this.#out.push({ type: 'put', item: one, known: known?.row });
    }
  }

  #same(item: FoundItem, known: KnownCursor, order: BytePath): void {
    const isWanted = this.#wanted === undefined || this.#wanted.has(order);
    if (item.resultPathLength > 0) {
      const unit = this.#unitOf(item.path.slice(0, item.resultPathLength), isWanted);
      if (unit.held !== undefined) {
        unit.held.push({ type: 'same', item, known: known.row });
        return;
      }
    } else if (!isWanted && item.stat.kind !== 'directory') {
      this.#count(item);
      return;
    }
    this.#out.push({ type: 'same', item, known: known.row });
  }

  #count(item: FoundItem): void {
    const { kind, size } = item.stat;
    if (kind === 'directory') this.#alike.folders.push(item);
    else if (kind === 'symlink') this.#alike.links += 1;
    else {
      this.#alike.files += 1;
      this.#alike.bytes += size;
    }
  }

  /** The folder result of a member; `told`: all of it is wanted. */
  #unitOf(folder: BytePath, told: boolean): Unit {
    let unit = this.#units.get(folder);
    if (unit === undefined) {
      const order = orderOf(folder, this.#platform);
      const isHeld = this.#wanted !== undefined && !this.#wanted.has(order);
      unit = { end: order + this.#afterSeparator, held: isHeld ? [] : undefined };
      this.#units.set(folder, unit);
    }
    if (told || (unit.held?.length ?? 0) >= MOST_HELD) this.#tell(unit);
    return unit;
  }

  #tellUnit(folder: BytePath): void {
    this.#unitOf(folder, true);
  }

  #tell(unit: Unit): void {
    for (const same of unit.held ?? []) this.#out.push(same);
    unit.held = undefined;
  }

  /** Ends the folder results that nothing more can belong to; without `order` all of them. */
  #closeUnits(order?: BytePath): void {
    for (const [folder, unit] of this.#units) {
      if (order !== undefined && order < unit.end) continue;
      this.#units.delete(folder);
      for (const { item } of unit.held ?? []) this.#count(item);
    }
  }

  #take(): { readonly differences: readonly Difference[] } {
    const differences = this.#out;
    this.#out = [];
    const { files, links, folders } = this.#alike;
    if (files + links + folders.length > 0) {
      differences.push({ type: 'alike', alike: this.#alike });
      this.#alike = { files: 0, bytes: 0, links: 0, folders: [] };
    }
    return { differences };
  }
}
