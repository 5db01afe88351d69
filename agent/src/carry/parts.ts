import type { FilePort } from '@aliquot/shared/durable/file-port';
import type { Clock, Random } from '@aliquot/shared/ports';
import type { DeskBook } from '../desk/book.ts';
import type { AgentIdentity } from '../identity/identity.ts';
import type { Queue } from '../queue/queue.ts';
import type { TrustStore } from '../uplink/trust.ts';
import type { Welcome } from '../uplink/welcome.ts';

/** What carrying by hand works on: the same things as a session, which must not run meanwhile. */
export interface CarryParts {
  readonly identity: AgentIdentity;
  readonly queue: Queue;
  readonly trust: TrustStore;
  readonly welcome: Welcome;
  readonly port: FilePort;
  readonly clock: Clock;
  readonly random: Random;
  /** Program and version, for the operator's eyes: one line. */
  readonly software: string;
  /** What central IT sets for this PC; without it, none of that is carried. */
  readonly desk?: DeskBook | undefined;
}

/** Told now and then. */
export type OnCarried = (progress: {
  readonly commits: number;
  readonly bytes: number;
  readonly totalBytes?: number;
}) => void;
