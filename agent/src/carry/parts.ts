import type { FilePort } from '@aliquot/shared/durable/file-port';
import type { QueueIntake } from '../queue/intake/intake.ts';
import type { Losses } from '../queue/ledger/ledger.ts';
import type { CommitChain, Outbox, QueuedItems, SweepEpochs } from '../queue/outbox/outbox.ts';
import type { Queue } from '../queue/queue.ts';
import type { UplinkParts } from '../uplink/uplink-parts.ts';

/** What carrying by hand needs of the queue. */
interface CarryQueue extends Pick<Queue, 'sync'> {
  readonly intake: Pick<QueueIntake, 'pending'>;
  readonly outbox: Pick<
    Outbox,
    'signAll' | 'unreceipted' | 'signedCommit' | 'receipted' | 'receiptedSequence'
  >;
  readonly items: Pick<QueuedItems, 'readItem'>;
  readonly losses: Pick<Losses, 'record'>;
  readonly chain: Pick<CommitChain, 'present'>;
  readonly epochs: SweepEpochs;
}

/** What carrying by hand works on: what a session does, and the disk with the carried files. */
export interface CarryParts extends Omit<UplinkParts, 'queue'> {
  readonly queue: CarryQueue;
  readonly port: FilePort;
}

/** Told now and then. */
export type OnCarried = (progress: {
  readonly commits: number;
  readonly bytes: number;
  readonly totalBytes?: number;
}) => void;
