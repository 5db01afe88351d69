import type { MadePart } from './content.ts';

/*
 * What the scenario knows by itself of every version that was receipted: the oracle's memory. The
 * collector is never asked for any of it.
 */

/** One receipted version of a file, or one row of a folder result. */
export interface RecordedVersion {
  /** A row without members says that the result is gone. */
  readonly kind: 'whole' | 'growing' | 'gone';
  readonly className: string;
  /** The PC that sent it. */
  readonly pc: string;
  readonly leafIndex: number;
  readonly slot: number;
  readonly timeMs: number;
  readonly receivedMs: number;
  /** Its content; none of what is gone, and of rows. */
  readonly pieces: readonly MadePart[];
  /** Sealed items that it consists of. */
  readonly items: readonly string[];
  /** Of a row: the members that there were. */
  readonly members: readonly string[];
  readonly bytes: number;
  /** Every run that said that it goes: an undo of one means it, whatever has kept it since. */
  readonly letGoBy: number[];
  /** The first run that said that it goes, as long as nothing has kept it since. */
  expired: { readonly run: number; readonly timeMs: number } | undefined;
  /** A run that expired it was undone, and the rules are the same since. */
  isUndone: boolean;
  isDropped: boolean;
}

/** A file of a lineage, or a folder result of it. */
export interface RecordedSubject {
  readonly lineage: string;
  readonly path: string;
  readonly isResult: boolean;
  /** Of a file: the root of the result that it is a member of. */
  readonly root: string | undefined;
  /** The oldest first. */
  readonly versions: RecordedVersion[];
}

export interface SealedItemFacts {
  readonly bytes: number;
}

export class YearsRecord {
  readonly #subjects = new Map<string, RecordedSubject>();
  /** Everything that was ever sealed, by id. */
  readonly items = new Map<string, SealedItemFacts>();

  subject(
    lineage: string,
    path: string,
    { isResult = false, root }: { readonly isResult?: boolean; readonly root?: string | undefined },
  ): RecordedSubject {
    const key = `${lineage}${isResult ? ' result ' : ' '}${path}`;
    const known = this.#subjects.get(key);
    if (known !== undefined) return known;
    const made = { lineage, path, isResult, root, versions: [] };
    this.#subjects.set(key, made);
    return made;
  }

  /** Results before files: what their rows keep is asked for by their members. */
  get subjects(): readonly RecordedSubject[] {
    return [...this.#subjects.values()].sort((a, b) => Number(b.isResult) - Number(a.isResult));
  }

  resultOf({ lineage, root }: RecordedSubject): RecordedSubject | undefined {
    return root === undefined ? undefined : this.#subjects.get(`${lineage} result ${root}`);
  }

  /** What nobody has to keep any more begins anew: other rules, or a hold that was released. */
  forgetExpired(alsoUndone: boolean): void {
    for (const { versions } of this.#subjects.values())
      for (const one of versions) {
        if (one.isDropped) continue;
        one.expired = undefined;
        if (alsoUndone) one.isUndone = false;
      }
  }
}

/** Where a version stands in the order of acceptance. */
export function placeOf({ leafIndex, slot }: RecordedVersion): number {
  return leafIndex * 65_536 + slot;
}

/** The version that was current at an instant; -1: none yet. */
export function currentAt(versions: readonly RecordedVersion[], ms: number): number {
  let [low, high] = [0, versions.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((versions[middle]?.timeMs ?? Infinity) <= ms) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
