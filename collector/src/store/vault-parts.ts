import type { CollectorCertificateBody, Signed, VaultDescriptorBody } from '@aliquot/proto';
import type { SigningKey } from '@aliquot/shared/crypto/sign';
import type { Hasher } from '@aliquot/shared/hashing/hasher';
import type { Clock } from '@aliquot/shared/ports';
import type { CoreKeeper } from './core-keeper.ts';
import type { JournalPorts } from './journal.ts';
import type { StoreLimits } from './limits.ts';

/** What the authority said of a vault, and the collector's key to it. */
export interface VaultIdentity {
  readonly descriptor: VaultDescriptorBody;
  readonly signedDescriptor: Signed;
  readonly certificate: CollectorCertificateBody;
  readonly signedCertificate: Signed;
  readonly catalogSecretKey: Uint8Array | undefined;
  /** The collector's own key. */
  readonly identity: SigningKey;
}

export interface VaultPorts extends JournalPorts {
  readonly clock: Clock;
  readonly limits?: StoreLimits;
  /** Proves uploaded bytes; on the spot unless told. */
  readonly hasher?: Hasher;
}

/** What the parts of an open vault share. */
export interface VaultParts {
  readonly vault: VaultIdentity;
  readonly keeper: CoreKeeper;
  readonly clock: Clock;
  readonly limits: StoreLimits;
  readonly hasher: Hasher;
}
