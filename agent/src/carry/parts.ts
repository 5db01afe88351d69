import type { FilePort } from '@aliquot/shared/durable/file-port';
import type { Clock, Random } from '@aliquot/shared/ports';
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
}

/** Told now and then. */
export type OnCarried = (progress: { readonly commits: number; readonly bytes: number; readonly totalBytes?: number }) => void;
