import { AliquotError } from '@aliquot/proto';
import { removeDurably } from '@aliquot/shared/durable/durable';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import type { AgentIdentity } from '../identity/identity.ts';
import { loadIdentity } from '../identity/identity-file.ts';
import { UplinkError } from './errors.ts';
import { TrustStore } from './trust.ts';

export type IdentityFindingCode =
  /** The identity is missing, damaged, or does not hold together: the agent cannot start. */
  | 'FSCK_IDENTITY'
  /** The memory of the newest verified head is damaged. */
  | 'FSCK_TRUST_DAMAGED';

export interface IdentityFinding {
  readonly code: IdentityFindingCode;
  readonly severity: 'note' | 'error';
  readonly what: string;
  readonly where: string;
  readonly remedy: string;
  readonly repaired: boolean;
}

/**
 * Proves identity and remembered head by their signatures. Repair forgets a damaged head: the next
 * connection gives a new one.
 */
export async function* fsckIdentity(
  port: FilePort,
  dataDir: string,
  repair: boolean,
): AsyncGenerator<IdentityFinding, void, void> {
  let identity: AgentIdentity;
  try {
    identity = await loadIdentity(port, dataDir);
  } catch (error) {
    if (!(error instanceof AliquotError)) throw error;
    const remedy =
      'put the identity folder back from a copy, or enrol this PC again with --replaces';
    yield {
      code: 'FSCK_IDENTITY',
      severity: 'error',
      what: error.message,
      where: dataDir,
      remedy,
      repaired: false,
    };
    return;
  }
  try {
    await TrustStore.open(port, dataDir, identity);
  } catch (error) {
    if (!(error instanceof UplinkError)) throw error;
    const where = TrustStore.path(dataDir);
    if (repair) await removeDurably(port, where);
    const remedy =
      'fsck --repair forgets it; ask central IT whether the collector was put back to an older state meanwhile';
    yield {
      code: 'FSCK_TRUST_DAMAGED',
      severity: 'error',
      what: 'the newest verified head cannot be read',
      where,
      remedy,
      repaired: repair,
    };
  }
}
