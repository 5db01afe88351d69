import type { CollectorCertificateBody, Signed, VaultDescriptorBody } from '@aliquot/proto';
import type { SigningKey } from '@aliquot/shared/crypto/sign';
import type { Hasher } from '@aliquot/shared/hashing/hasher';
import type { Clock } from '@aliquot/shared/ports';
import type { StoreLimits } from '../../limits.ts';
import type { UnfitRecord } from '../errors.ts';
import type { CoreKeeper } from './core-keeper.ts';
import type { DiskMediaPorts } from './media.ts';

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

/** What a vault needs from outside, whatever it lies on. */
export interface VaultPorts {
  readonly clock: Clock;
  readonly limits?: StoreLimits;
  /** Proves bytes that come; on the spot by default. */
  readonly hasher?: Hasher;
  /** Hears of each record that an opening passes over, and of each pack that is lost. */
  readonly onUnfit?: ((record: UnfitRecord) => void) | undefined;
}

/** The same of a vault in a folder. */
export interface FolderPorts extends VaultPorts, DiskMediaPorts {
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
