import type { FolderId } from '@aliquot/shared/durable/held-folders';
import type { CachedChunk } from '../queue/ledger/ledger.ts';
import type { BytePath } from '../source/paths.ts';
import type { FromComparison, ToComparison } from './compare-worker.ts';
import type { Seen, WalkRequest } from './host.ts';
import type { PackedJobs } from './job-packing.ts';
import type { CaptureKeys } from './open-window.ts';
import type { PackedFound, PackedWindow } from './packing.ts';

/** What a worker is started with. */
export interface WorkerStart {
  readonly keys: CaptureKeys;
  /** The agent's own folders, which nothing is read from. */
  readonly own: readonly FolderId[];
}

/** From the main thread. `id` names the request that a message belongs to. */
export type ToWorker =
  | { readonly type: 'walk'; readonly id: number; readonly request: WalkRequest }
  /** Asks for the walk's next batch. */
  | { readonly type: 'next'; readonly id: number }
  | { readonly type: 'endWalk'; readonly id: number }
  | ToComparison
  | { readonly type: 'look'; readonly id: number; readonly path: BytePath }
  | { readonly type: 'capture'; readonly id: number; readonly jobs: PackedJobs }
  /** Answers `lookup`, in order. */
  | {
      readonly type: 'hits';
      readonly id: number;
      readonly hits: readonly (CachedChunk | undefined)[];
    }
  /** Answers `window`, with the attempts that found no room. */
  | { readonly type: 'taken'; readonly id: number; readonly refused: readonly number[] }
  /** A lookup or a window failed on the main thread: the capture ends. */
  | { readonly type: 'stop'; readonly id: number };

/** From the worker. */
export type FromWorker =
  | FromComparison
  | {
      readonly type: 'found';
      readonly id: number;
      readonly batch: PackedFound;
      readonly last: boolean;
    }
  | { readonly type: 'seen'; readonly id: number; readonly stat: Seen | string }
  /** `indexes`: one behind the other. */
  | { readonly type: 'lookup'; readonly id: number; readonly indexes: Uint8Array }
  | { readonly type: 'window'; readonly id: number; readonly window: PackedWindow }
  | { readonly type: 'captured'; readonly id: number }
  | { readonly type: 'failed'; readonly id: number; readonly message: string };
