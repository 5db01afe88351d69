import type { ChunkId, Content } from '@aliquot/proto';
import type { SealedKind } from '@aliquot/shared/content/seal';
import type { CachedChunk } from '../queue/ledger/ledger.ts';
import type { BytePath } from '../source/paths.ts';
import type { Problem } from '../source/problem.ts';
import type { SourceStat } from '../source/source-port.ts';

/** One file to capture; `job` comes back with its result. */
export interface CaptureJob {
  readonly job: number;
  readonly path: BytePath;
  /** What it had when it was found: says only how much work is ahead. */
  readonly size?: number;
  /** Files of two runs share no slab (`runs.ts`). Those of one run come one after the other. */
  readonly run?: number;
  /**
   * It does not hold still: what was there when the read began is captured, without a hash,
   * whatever happens meanwhile.
   */
  readonly growing?: boolean;
  /** What is known of the file's last version, when it may have grown. */
  readonly growth?: {
    readonly state: Uint8Array;
    /** Read all of it, and say whether the old part is what it was; else only what was appended. */
    readonly whole: boolean;
  };
}

/** A file that was read to its end. */
export interface CapturedFile {
  readonly job: number;
  /** The state of the open file before the read, and after it unless the file is growing. */
  readonly stat: SourceStat;
  /** When the read began. */
  readonly startedMs: number;
  /** Empty when only what was appended was read, or what does not hold still. */
  readonly sha256: Uint8Array;
  /** How this version can be continued: `Capture.keepGrowth`. */
  readonly growth: Uint8Array | undefined;
  /**
   * Whether the part that an earlier version had was found as it had been; undefined when nobody
   * asked.
   */
  readonly oldPart: 'same' | 'changed' | undefined;
  readonly content: Content;
  readonly keys: readonly Uint8Array[];
}

/** A sealed slab with the small files that are its pieces. */
export interface CapturedSlab {
  readonly id: ChunkId;
  readonly sealed: Uint8Array;
  /** Opens every piece: 32 bytes. */
  readonly key: Uint8Array;
  /** In the order of the pieces, all of them. */
  readonly files: readonly CapturedFile[];
}

/**
 * How one job ended. Results come in the order of the jobs, but for small files: those come with
 * their slab.
 */
export type CaptureResult =
  | (CapturedFile & { readonly type: 'captured'; readonly attempt: number })
  | { readonly type: 'problem'; readonly job: number; readonly problem: Problem }
  /**
   * Read no further, because the exchange had no room for it; `stat` is the state of the open file
   * before.
   */
  | { readonly type: 'refused'; readonly job: number; readonly stat: SourceStat }
  /** Not there any more, or no longer a file: the next scan knows what it is now. */
  | { readonly type: 'vanished'; readonly job: number };

/**
 * What comes out of capture at a time: sealed items, cache entries, slabs and ended jobs, in order.
 * An `attempt` is one read of one file; a file that changed meanwhile is read again under a new
 * number, and the old one is named in `aborted`.
 */
export interface CaptureWindow {
  readonly aborted: readonly number[];
  readonly items: readonly {
    readonly attempt: number;
    readonly job: number;
    readonly id: ChunkId;
    readonly kind: SealedKind;
    readonly sealed: Uint8Array;
  }[];
  /** What the cache is to remember (`Capture.cachePut`). */
  readonly cached: readonly {
    readonly attempt: number;
    readonly job: number;
    readonly pairs: Uint8Array;
  }[];
  /** To be gone through once. */
  readonly slabs: Iterable<CapturedSlab>;
  readonly results: readonly CaptureResult[];
  /** How many jobs end in it: results, and the files of slabs. */
  readonly ended: number;
  /** Source bytes read since the last window. */
  readonly readBytes: number;
}

/** What capture asks of its surroundings: the chunk cache, and somewhere to put what it sealed. */
export interface CaptureExchange {
  /** Aborted when nobody wants what is captured any more. */
  readonly signal?: AbortSignal | undefined;
  lookup(indexes: readonly Uint8Array[]): Promise<readonly (CachedChunk | undefined)[]>;
  /**
   * Resolves when the window was taken over: this is the back-pressure of the queue's disk. The
   * answer are attempts that found no room: nothing more of them is wanted.
   */
  deliver(window: CaptureWindow): Promise<readonly number[]>;
}
