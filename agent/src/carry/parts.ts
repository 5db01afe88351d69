import type { FilePort } from '@aliquot/shared/durable/file-port';
import type { UplinkParts } from '../uplink/uplink-parts.ts';

/** What carrying by hand works on: what a session does, and the disk with the carried files. */
export interface CarryParts extends UplinkParts {
  readonly port: FilePort;
}

/** Told now and then. */
export type OnCarried = (progress: {
  readonly commits: number;
  readonly bytes: number;
  readonly totalBytes?: number;
}) => void;
