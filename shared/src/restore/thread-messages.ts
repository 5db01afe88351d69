import type { MessagePort } from 'node:worker_threads';
import type { PackedOrder } from './file-order.ts';
import type { OrdersSummary } from './orders.ts';
import type { SealedRows } from './sealed-rows.ts';

/** What a thread is told. `end`: no more orders come; `stop`: the restore has failed elsewhere. */
export type ToThread<Begin> =
  | {
      readonly type: 'begin';
      readonly begin: Begin;
      /** Where help with large files is asked for, and given: where there is another thread. */
      readonly asks: MessagePort | undefined;
      readonly gives: MessagePort | undefined;
      /** Where items are asked for, if the main thread has their source: see `itemsByPort`. */
      readonly items: MessagePort | undefined;
    }
  | { readonly type: 'order'; readonly files: PackedOrder }
  | { readonly type: 'rows'; readonly rows: SealedRows }
  | { readonly type: 'end' | 'stop' };

/** An error of ours as it goes from thread to thread. */
export interface ToldError {
  readonly code: string;
  readonly message: string;
  /** Of the system error behind it. */
  readonly errno?: string | undefined;
}

/** What a thread says. `more`: it has no order that it has not begun. */
export type FromThread =
  | { readonly type: 'more' }
  | {
      readonly type: 'progress';
      readonly files: number;
      readonly bytes: number;
      readonly path: string;
    }
  | { readonly type: 'failure'; readonly path: string; readonly error: ToldError }
  /** So many of the versions that were asked for do not open. */
  | {
      readonly type: 'unopened';
      readonly of: SealedRows['of'];
      readonly versions: number;
      readonly error: ToldError;
    }
  | { readonly type: 'done'; readonly summary: OrdersSummary }
  /** `fatal`: why the restore ends; undefined when it was told to stop. */
  | { readonly type: 'ended'; readonly fatal: ToldError | undefined };
