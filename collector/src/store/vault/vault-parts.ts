import type { CollectorCertificateBody, Signed, VaultDescriptorBody } from '@aliquot/proto';
import type { SigningKey } from '@aliquot/shared/crypto/sign';
import type { Hasher } from '@aliquot/shared/hashing/hasher';
import type { Clock, Random } from '@aliquot/shared/ports';
import type { StoreLimits } from '../../limits.ts';
import type { UnfitRecord } from '../errors.ts';
import type { CoreKeeper } from './core-keeper.ts';
import type { Endings } from './endings.ts';
import type { HoldBook } from './hold-book.ts';
import type { DiskMediaPorts } from './media.ts';
import type { PurgeBook } from './purge-book.ts';
import type { Reserve } from './reserve.ts';
import type { Pace } from './same-time.ts';
import type { Turns } from './turns.ts';

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
  readonly random: Random;
  /**
   * Without it long work that gives way to others does not rest, and what others have may show in
   * the time of an answer.
   */
  readonly pace?: Pace | undefined;
  readonly limits?: StoreLimits;
  /** Proves bytes that come; on the spot by default. */
  readonly hasher?: Hasher;
  /**
   * Hears of each record that an opening passes over, of each pack that is lost, and of what ended
   * and the history had lost.
   */
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
  readonly endings: Endings;
  readonly holdBook: HoldBook;
  readonly purgeBook: PurgeBook;
  readonly reserve: Reserve;
  readonly clock: Clock;
  readonly random: Random;
  readonly pace: Pace | undefined;
  /** Who goes on when, of long work. */
  readonly turns: Turns;
  readonly limits: StoreLimits;
  readonly hasher: Hasher;
}
