import type { FilePort } from '@aliquot/shared/durable/file-port';
import type { SessionParts } from '../uplink/session-parts.ts';

/** What carrying by hand works on: what a session does, and the disk with the carried files. */
export interface CarryParts extends SessionParts {
  readonly port: FilePort;
}

/** Told now and then. */
export type OnCarried = (progress: {
  readonly commits: number;
  readonly bytes: number;
  readonly totalBytes?: number;
}) => void;
