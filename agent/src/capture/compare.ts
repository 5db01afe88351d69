import type { Platform } from '@aliquot/proto';
import { here } from '@aliquot/shared/settings/where';
import type { KnownFile } from '../queue/ledger/ledger.ts';
import { type BytePath, bytePath, isWithin, orderOf, separatorOf } from '../source/paths.ts';
import { isBeside, notHereProblem, type Problem } from '../source/problem.ts';
import { type CompiledRules, excludedFrom } from '../source/rules.ts';
import type { SourceStat } from '../source/source-port.ts';
import type { Found } from '../source/walk.ts';
import { isRested, isUnproved } from './growth.ts';
import type { Presence } from './presence.ts';
import { isFresh } from './times.ts';

export type FoundItem = Extract<Found, { type: 'item' }>;

/** What a comparison is made with: what was found, or could not be looked at. */
export type Item = Exclude<Found, { type: 'excluded' }>;

/** The difference between what a walk found and what the queue knows. */
export type Change =
  /** New (`known` undefined), or not as it was captured. */
  | { readonly type: 'put'; readonly item: FoundItem; readonly known: KnownFile | undefined }
  /** As it was captured. */
  | { readonly type: 'same'; readonly item: FoundItem; readonly known: KnownFile }
  /** Known, and certainly no longer there. */
  | { readonly type: 'gone'; readonly path: BytePath; readonly known: KnownFile }
  /** Cannot be looked at; whatever is known of it stays as it is. */
  | { readonly type: 'problem'; readonly path: BytePath; readonly problem: Problem };

/** Changes that are handed on at once. */
const MOST_CHANGES = 1024;

/**
 * Whether the stamps of an item are those that were captured, and old enough then to have shown any
 * later change.
 */
function isUnchanged(stat: SourceStat, known: KnownFile, nowMs: number): boolean {
  if (stat.kind !== known.kind || stat.mode !== known.mode || stat.mtimeNs !== known.mtimeNs)
    return false;
  if (stat.kind === 'directory') return true;
  if (stat.size !== known.size && stat.kind === 'file') return false;
  if (stat.ctimeNs !== known.ctimeNs || stat.ino !== known.ino) return false;
  // Captured while it grew, and at rest now: it is read whole, and compared.
  if (isUnproved(known) && isRested(known, nowMs)) return false;
  // A file read within one tick of its last change may have changed again unseen, so it is read
  // once more (as git does).
  return stat.kind !== 'file' || !isFresh(known, known.capturedAtMs);
}

/**
 * Whether a placeholder stands for what was captured while its content was here: to put it away
 * changes the other stamps.
 */
function isSameAway(stat: SourceStat, known: KnownFile): boolean {
  return (
    known.kind === 'file' &&
    stat.size === known.size &&
    stat.mtimeNs === known.mtimeNs &&
    !isUnproved(known)
  );
}

/**
 * Merges a walk of `root` with the known files under it; both come in the same order (`orderOf`),
 * so memory does not depend on their number. On Windows a name that was changed in case alone meets
 * itself there.
 *
 * Absence is a fact only where the walk could look: below a problem nothing is gone, excluded files
 * are not gone, and when `root` itself is missing nothing is. The rest is for `presence` to say.
 */
export async function* compare(
  root: BytePath,
  found: AsyncIterable<readonly Item[]>,
  known: AsyncIterable<readonly KnownFile[]>,
  rules: CompiledRules,
  nowMs: number,
  presence: Presence,
  platform = here,
): AsyncGenerator<readonly Change[], void, void> {
  const afterSeparator = String.fromCharCode(separatorOf(platform).charCodeAt(0) + 1);
  const names = new KnownNames(known, root, platform);
  let shadows: BytePath[] = [];
  await names.pass();

  const absent = async (entry: Named): Promise<Change | undefined> => {
    shadows = shadows.filter((folder) => entry.order < orderOf(folder, platform) + afterSeparator);
    if (
      shadows.some((folder) => isWithin(entry.path, folder, platform)) ||
      excludedFrom(rules, entry.path, root, platform)
    )
      return undefined;
    if (!(await presence.isGone(entry.path))) return undefined;
    return { type: 'gone', path: entry.path, known: entry.known };
  };

  try {
    for await (const batch of found) {
      presence.nextBatch();
      const changes: Change[] = [];
      for (const one of batch) {
        const order = orderOf(one.path, platform);
        for (let next = names.next; next !== undefined && next.order < order; next = names.next) {
          const change = await absent(next);
          if (change !== undefined) changes.push(change);
          // A folder that went away may have held a million names.
          if (changes.length >= MOST_CHANGES) yield changes.splice(0);
          const wait = names.pass();
          if (wait !== undefined) await wait;
        }
        if (one.type === 'problem') {
          // Such a one is there, and what is below it was looked at.
          if (!isBeside(one.problem.code)) shadows.push(one.path);
          presence.blind(one.path);
          changes.push(one);
          continue;
        }
        const mine: KnownFile | undefined =
          names.next?.order === order ? names.next.known : undefined;
        if (one.stat.kind === 'directory') presence.folder(one.path, one.stat.dev);
        if (mine !== undefined) {
          if (mine.kind !== 'directory') presence.saw(one.path);
          const wait = names.pass();
          if (wait !== undefined) await wait;
        }
        if (
          mine !== undefined &&
          (one.stat.away === true ? isSameAway(one.stat, mine) : isUnchanged(one.stat, mine, nowMs))
        )
          changes.push({ type: 'same', item: one, known: mine });
        else if (one.stat.away === true)
          changes.push({ type: 'problem', path: one.path, problem: notHereProblem() });
        else changes.push({ type: 'put', item: one, known: mine });
      }
      if (changes.length > 0) yield changes;
    }
    presence.nextBatch();
    for (let next = names.next; next !== undefined; next = names.next) {
      const change = await absent(next);
      if (change !== undefined) yield [change];
      await names.pass();
    }
  } finally {
    await names.close();
  }
}

interface Named {
  readonly path: BytePath;
  readonly order: BytePath;
  readonly known: KnownFile;
}

/**
 * The known files one by one, of which whole batches come from the disk: only where a batch ends
 * somebody waits.
 */
class KnownNames {
  readonly #batches: AsyncIterator<readonly KnownFile[]>;
  readonly #root: BytePath;
  readonly #platform: Platform;
  #batch: readonly KnownFile[] = [];
  #at = 0;
  /** The one at hand; undefined at the end, and before the first `pass`. */
  next: Named | undefined;

  constructor(known: AsyncIterable<readonly KnownFile[]>, root: BytePath, platform: Platform) {
    this.#batches = known[Symbol.asyncIterator]();
    this.#root = root;
    this.#platform = platform;
  }

  /** Goes on to the next; a promise when that has to be waited for. */
  pass(): Promise<void> | undefined {
    while (this.#at < this.#batch.length) {
      const known = this.#batch[this.#at] as KnownFile;
      this.#at += 1;
      const path = bytePath(known.path);
      if (!isWithin(path, this.#root, this.#platform)) continue;
      this.next = { path, order: orderOf(path, this.#platform), known };
      return undefined;
    }
    return this.#fill();
  }

  async close(): Promise<void> {
    await this.#batches.return?.();
  }

  async #fill(): Promise<void> {
    const step = await this.#batches.next();
    this.next = undefined;
    if (step.done === true) return;
    this.#batch = step.value;
    this.#at = 0;
    await this.pass();
  }
}
