import type { ChunkId, EntryKind, StoredKind } from '@aliquot/proto';

/*
 * What records say, as the rooms above hand it over and get it back.
 */

/** A sealed chunk, page or slab. */
export interface QueuedItem {
  readonly id: ChunkId;
  readonly kind: StoredKind;
  readonly sealed: Uint8Array;
  /** The id was made from these very bytes in this process, so it need not be made once more. */
  readonly named?: boolean;
}

/** What a scan compares with the file system, as it was at capture. */
export interface KnownStat {
  readonly path: Uint8Array;
  readonly kind: Exclude<EntryKind, 'gone'>;
  readonly size: number;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  readonly ino: bigint;
  /** Permission bits, or the attributes on Windows: what a restore brings back. */
  readonly mode: number;
  /**
   * `contentTag(sha256)` of the file, 32 zero bytes unless `kind` is file. Not the SHA-256 itself:
   * nothing from which a cached key could ever be unmasked lies beside the cache.
   */
  readonly contentTag: Uint8Array;
  readonly capturedAtMs: number;
  /** As in `ListPart`. */
  readonly resultPathLength: number;
}

export interface ProblemRecord {
  /**
   * Stable identifier, such as `unreadable`, `locked`, `torn`, `special`. 1 to 64 of `[a-z0-9-]`.
   */
  readonly code: string;
  /** One line for a person, at most 500 characters. */
  readonly message: string;
  readonly sinceMs: number;
}

/** A settled result that is only at its source, because the queue had no space for it. */
export interface FileReference {
  readonly path: Uint8Array;
  readonly size: number;
  readonly mtimeNs: bigint;
  readonly class: string;
  /** As in `ListPart`. */
  readonly resultPathLength: number;
  readonly settledAtMs: number;
}

/**
 * Why a state can no longer be had: its file changed, or went, before there was space for it; or
 * (`growing-torn`) it was captured while it grew, and what came before the appended part had
 * changed meanwhile, so that version may mix two states.
 */
export type LostReason = 'reference-changed' | 'reference-gone' | 'growing-torn';
