import type { Clock, Random } from '@aliquot/shared/ports';
import type { DeskBook } from '../desk/book.ts';
import type { AgentIdentity } from '../identity/identity.ts';
import type { Queue } from '../queue/queue.ts';
import type { TrustStore } from './trust.ts';
import type { Welcome } from './welcome.ts';

/** What a session works on, and whoever does its work by hand. */
export interface UplinkParts {
  readonly identity: AgentIdentity;
  readonly queue: Queue;
  readonly trust: TrustStore;
  readonly welcome: Welcome;
  readonly clock: Clock;
  readonly random: Random;
  /** Program and version, for the operator's eyes: one line. */
  readonly software: string;
  /** What central IT sets for this PC; without it, no settings are taken. */
  readonly desk?: DeskBook | undefined;
}
