import {
  type CommitHash,
  type CommitHeader,
  decodeCommitHeader,
  decodeEntry,
  decodeSignedCommit,
  type Entry,
  type EntrySlot,
  encodeSignedCommit,
  type Wrap,
} from '@aliquot/proto';
import { labelled, sha256 } from '../crypto/primitives.ts';
import { leafHash } from '../log/hashing.ts';

const COMMIT_HASH = 'aliquot/v1/commit-hash';

/**
 * The name of a commit: labelled SHA-256 of its header's exact bytes. The signature takes no part.
 */
export function commitHash(header: Uint8Array): CommitHash {
  return sha256(labelled(COMMIT_HASH), header) as CommitHash;
}

/** One version of a commit as far as it stands in clear; `slot` is its number there. */
export interface CommitRow {
  readonly slot: number;
  readonly entry: Entry;
}

/**
 * The versions of a commit, by slot. The one way in which readers see them: what they are stored as
 * is known here and in `open-names.ts` only.
 */
export interface CommitRows {
  /** Slots, also of what was purged or is lost. */
  readonly count: number;
  /** How many are purged or lost. */
  readonly lacking: number;
  /** Undefined when it was purged, is lost, or never was. @throws FormatError */
  entry(slot: number): Entry | undefined;
}

/** Those that are there, in their order. @throws FormatError */
export function* rowsIn(rows: CommitRows): Generator<CommitRow, void, void> {
  for (let slot = 0; slot < rows.count; slot += 1) {
    const entry = rows.entry(slot);
    if (entry !== undefined) yield { slot, entry };
  }
}

/** Entries by slot: undefined where there is none. @throws FormatError */
export function entriesBySlot(rows: CommitRows): (Entry | undefined)[] {
  return Array.from({ length: rows.count }, (_, slot) => rows.entry(slot));
}

/** A commit taken apart. */
export interface ReadCommit {
  readonly header: CommitHeader;
  readonly hash: CommitHash;
  readonly wraps: readonly Wrap[];
  readonly rows: CommitRows;
}

/**
 * A commit from the own store or chain log, or one whose word is only a hint: nothing is verified.
 *
 * @throws FormatError
 */
export function readCommit(bytes: Uint8Array): ReadCommit {
  const { header, slots, wraps } = decodeSignedCommit(bytes);
  const rows = new SlotRows(slots);
  return { header: decodeCommitHeader(header), hash: commitHash(header), wraps, rows };
}

/** Entries are decoded when they are asked for, each once. */
export class SlotRows implements CommitRows {
  readonly #slots: readonly EntrySlot[];
  readonly #entries = new Map<number, Entry>();

  constructor(slots: readonly EntrySlot[]) {
    this.#slots = slots;
  }

  get count(): number {
    return this.#slots.length;
  }

  get lacking(): number {
    return this.#slots.filter(({ type }) => type === 'purged').length;
  }

  entry(slot: number): Entry | undefined {
    const known = this.#entries.get(slot);
    if (known !== undefined) return known;
    const stored = this.#slots[slot];
    if (stored?.type !== 'entry') return undefined;
    const entry = decodeEntry(stored.bytes);
    this.#entries.set(slot, entry);
    return entry;
  }
}

/**
 * The same commit, same header and signature, without the versions in some slots: nobody has what
 * they refer to any more.
 */
export function withoutVersions(bytes: Uint8Array, slots: readonly number[]): Uint8Array {
  const commit = decodeSignedCommit(bytes);
  const gone = new Set(slots);
  const kept = commit.slots.map(
    (slot, number): EntrySlot =>
      gone.has(number) && slot.type === 'entry'
        ? { type: 'purged', leafHash: leafHash(slot.bytes) }
        : slot,
  );
  return encodeSignedCommit({ ...commit, slots: kept });
}
