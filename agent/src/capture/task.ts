import type { Completion } from '@aliquot/proto';
import type { KnownFile } from '../queue/ledger/ledger.ts';
import type { BytePath } from '../source/paths.ts';
import type { Problem } from '../source/problem.ts';
import type { Source } from '../source/source.ts';
import type { FoundItem } from './comparison.ts';

/** Something to record: a new state of a path, or that it is gone. */
export type CaptureTask =
  | {
      readonly type: 'put';
      readonly source: Source;
      readonly item: FoundItem;
      readonly known: KnownFile | undefined;
      /** `growing`: as it is, for it does not hold still. Only files grow. */
      readonly completion: Completion;
      /** It was captured as it was, and rests now: it is read whole as soon as that is cheap. */
      readonly whole?: boolean;
    }
  | {
      readonly type: 'gone';
      readonly source: Source;
      readonly path: BytePath;
      readonly known: KnownFile;
    };

/** How a task ended, for counting and for telling people. */
export type CaptureOutcome =
  /** A new version is in the queue (durable with the next sync). */
  | {
      readonly type: 'version';
      readonly task: CaptureTask;
      readonly size: number;
      readonly beside?: Problem;
    }
  /** Read again and found the same; only the stamps were noted. */
  | { readonly type: 'same'; readonly task: CaptureTask; readonly size: number }
  | {
      readonly type: 'problem';
      readonly task: CaptureTask;
      readonly path: BytePath;
      readonly problem: Problem;
    }
  | { readonly type: 'vanished'; readonly task: CaptureTask; readonly path: BytePath }
  /**
   * The queue has no room for it: it is only at its source, and a durable reference says so (P6).
   */
  | { readonly type: 'full'; readonly task: CaptureTask; readonly path: BytePath };

/** A task that records a new state. */
export type PutTask = Extract<CaptureTask, { type: 'put' }>;
