import type { Clock, Random } from '@aliquot/shared/ports';
import type { DeskBook } from '../desk/book.ts';
import type { AgentIdentity } from '../identity/identity.ts';
import type { QueueIntake } from '../queue/intake/intake.ts';
import type { Losses } from '../queue/ledger/ledger.ts';
import type { CommitChain, Outbox, QueuedItems, SweepEpochs } from '../queue/outbox/outbox.ts';
import type { Queue } from '../queue/queue.ts';
import type { TrustStore } from './trust.ts';
import type { Welcome } from './welcome.ts';

/** What sending needs of the queue, by a session or by hand. */
export interface SessionQueue extends Pick<Queue, 'sync' | 'subscribe'> {
  readonly intake: Pick<QueueIntake, 'pending' | 'drains'>;
  readonly outbox: Omit<Outbox, 'ownVersions' | 'receiptedCommits'>;
  readonly items: QueuedItems;
  readonly chain: Omit<CommitChain, 'inherit'>;
  readonly epochs: SweepEpochs;
  readonly losses: Pick<Losses, 'record' | 'pathsOf'>;
}

/** What a session works on, and whoever does its work by hand. */
export interface UplinkParts {
  readonly identity: AgentIdentity;
  readonly queue: SessionQueue;
  readonly trust: TrustStore;
  readonly welcome: Welcome;
  readonly clock: Clock;
  readonly random: Random;
  /** Program and version, for the operator's eyes: one line. */
  readonly software: string;
  /** What central IT sets for this PC; without it, no settings are taken. */
  readonly desk?: DeskBook | undefined;
}
