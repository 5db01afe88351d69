import type { ChainId } from '@aliquot/proto';
import type { DiskPort } from '@aliquot/shared/derived/level-port';
import type { Random } from '@aliquot/shared/ports';
import type { QueueIntake } from './intake/intake.ts';
import type { SpaceOptions } from './intake/meter.ts';
import type { FolderResults } from './intake/results.ts';
import type { FileReferences, Ledger, Losses } from './ledger/ledger.ts';
import type { QueueEvent } from './log/events.ts';
import type { CommitChain, Outbox, QueuedItems, SweepEpochs } from './outbox/outbox.ts';

/**
 * The agent's queue: everything that is captured and not yet covered by a receipt, in order, plus
 * what the agent knows about every file. One process, one thread, one `Queue` per data folder. Its
 * parts are faces of the rooms `intake`, `ledger` and `outbox` over one `log`; take no more of them
 * than you use (`Pick<Queue, 'intake' | 'sync'>`).
 *
 * **Durability.** `sync()` resolves after every item and version handed over before the call is on
 * stable storage (I-A1: a version counts as captured only then). Without it nothing is promised,
 * although the queue also syncs by itself now and then.
 *
 * **Concurrency.** All methods of all parts may be called at any time without waiting for earlier
 * ones; changes happen in the order of the calls. Reads see every change whose promise has
 * resolved, except known files and problems, which become visible with the `sync()` that makes them
 * durable.
 *
 * **Errors.** `QueueError`, and `FileError` of the durability module as it is. After a failed flush
 * nobody knows what the disk holds, so every later change is refused. If the disk was full, with
 * `QUEUE_NO_SPACE`, until there is space again: the queue then starts again from what the disk
 * says, and open captures have ended (`QUEUE_CLOSED`). If only the index was found damaged, with
 * `QUEUE_INDEX`, once: it is made again before the next step, and captures have ended likewise.
 * Otherwise with `QUEUE_POISONED`, until the queue is opened again.
 */
export interface Queue {
  readonly intake: QueueIntake;
  readonly results: FolderResults;
  readonly ledger: Ledger;
  readonly references: FileReferences;
  readonly losses: Losses;
  readonly outbox: Outbox;
  readonly items: QueuedItems;
  readonly chain: CommitChain;
  readonly epochs: SweepEpochs;
  /** The index had to be made again when the queue was opened. */
  readonly rebuilt: boolean;
  /** Durable: see above. */
  sync(): Promise<void>;
  /** Calls back after changes; returns the way to stop it. A listener must not throw. */
  subscribe(listener: (event: QueueEvent) => void): () => void;
  /** Syncs and releases the folder. */
  close(): Promise<void>;
}

export interface QueueOptions extends SpaceOptions {
  readonly port: DiskPort;
  readonly random: Random;
  /** The chain of the enrolment; commits go on it until a fork. */
  readonly chainId: ChainId;
  /** Where segments and chain files rotate, at most. 16 MiB by default. */
  readonly segmentBytes?: number;
}
