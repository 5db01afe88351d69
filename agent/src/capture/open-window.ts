import type { Hash } from 'node:crypto';
import type { Chunker } from '@aliquot/shared/content/chunker';
import { gearTable } from '@aliquot/shared/content/gear';
import { kernels } from '@aliquot/shared/content/kernels/kernels';
import type { VaultKeys } from '@aliquot/shared/keys/derive';
import type { SourceStat } from '../source/source-port.ts';
import type { GrowthTracker } from './growth-tracker.ts';
import { SmallFiles } from './small-files.ts';
import type { CapturedSlab, CaptureJob, CaptureResult } from './window.ts';

/** What sealing needs; `cacheSecret` is this installation's own. */
export interface CaptureKeys {
  readonly vault: VaultKeys;
  readonly cacheSecret: Uint8Array;
}

/**
 * Room of one window: two chunks of the largest size, so that a carried-over piece never fills it.
 * Two windows are alive.
 */
const WINDOW_BYTES = 2 << 20;
/** A file is started in the next window rather than in the last bytes of this one. */
export const START_ROOM = 64 << 10;
const WINDOW_CHUNKS = 512;
const WINDOW_FILES = 512;
/** Sealed slabs of one window: with more, the queue would wait for what it could write already. */
const WINDOW_SLAB_BYTES = 1 << 20;

/**
 * What outlives one capture: making it again for each batch of small files would cost more than the
 * batch.
 */
export class CaptureRoom {
  readonly table: Int32Array;
  readonly small: SmallFiles;
  readonly #windowBytes: number;
  readonly #spare: Uint8Array[] = [];

  constructor({ vault }: CaptureKeys) {
    this.table = gearTable(vault.gearSeed);
    this.small = new SmallFiles(vault);
    this.#windowBytes = Math.max(WINDOW_BYTES, 2 * vault.parameters.maxChunkBytes);
  }

  take(): Uint8Array {
    return (
      this.#spare.pop() ?? kernels()?.take(this.#windowBytes) ?? new Uint8Array(this.#windowBytes)
    );
  }

  giveBack(buffer: Uint8Array): void {
    this.#spare.push(buffer);
  }
}

/** One read of one file. */
export interface ReadAttempt {
  readonly number: number;
  readonly job: CaptureJob;
  /** Undefined when only what was appended is read. */
  readonly hash: Hash | undefined;
  readonly chunker: Chunker;
  readonly tracker: GrowthTracker;
  /** Where the reading begins. */
  readonly from: number;
  /** Only the bytes that were there at the beginning are read. */
  readonly isGrowing: boolean;
  aborted: boolean;
}

/** What is sealed as one chunk. */
export interface Chunk {
  readonly attempt: ReadAttempt;
  readonly plain: Uint8Array;
  /** Undefined where the cache is not asked. */
  readonly cache: { readonly fingerprint: Uint8Array; readonly index: Uint8Array } | undefined;
  /** It ends with the file, not at a cut. */
  readonly isTail: boolean;
}

/** How a read of a file ended. */
export type ReadEnding =
  | {
      readonly type: 'done';
      readonly attempt: ReadAttempt;
      readonly stat: SourceStat;
      readonly startedMs: number;
      readonly sha256: Uint8Array;
    }
  | { readonly type: 'result'; readonly result: CaptureResult };

/** A window that is being read into. */
export interface OpenWindow {
  readonly buffer: Uint8Array;
  used: number;
  readonly chunks: Chunk[];
  readonly slabs: CapturedSlab[];
  readonly endings: ReadEnding[];
  readonly aborted: number[];
  /** Files of its slabs, and what those take sealed. */
  smallFiles: number;
  slabBytes: number;
  readBytes: number;
}

/** An empty window, in memory of the room. */
export function openWindow(room: CaptureRoom): OpenWindow {
  return {
    buffer: room.take(),
    used: 0,
    chunks: [],
    slabs: [],
    endings: [],
    aborted: [],
    smallFiles: 0,
    slabBytes: 0,
    readBytes: 0,
  };
}

/** Whether a window takes nothing more that needs `room` bytes. */
export function isFullWindow(window: OpenWindow, room: number): boolean {
  const { buffer, used, chunks, endings, smallFiles, slabBytes } = window;
  return (
    buffer.length - used < room ||
    chunks.length >= WINDOW_CHUNKS ||
    endings.length + smallFiles >= WINDOW_FILES ||
    slabBytes >= WINDOW_SLAB_BYTES
  );
}
