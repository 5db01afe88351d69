import type { CollectorCertificateBody, Signed, VaultDescriptorBody } from '@aliquot/proto';
import { hereHasher } from '@aliquot/shared/hashing/hasher';
import { storeLimits } from '../limits.ts';
import { deskOf } from './faces/desk.ts';
import { intakeOf } from './faces/intake.ts';
import { logOf } from './faces/log.ts';
import { figuresOf, readingOf } from './faces/reading.ts';
import { eventsOf, registerOf } from './faces/register.ts';
import { sweepOf } from './faces/sweep.ts';
import { CoreKeeper } from './vault/core-keeper.ts';
import { diskMedia, type VaultMedia } from './vault/media.ts';
import type { FolderPorts, VaultIdentity, VaultParts, VaultPorts } from './vault/vault-parts.ts';
import type {
  VaultDesk,
  VaultEvents,
  VaultFigures,
  VaultIntake,
  VaultLog,
  VaultReading,
  VaultRegister,
  VaultStore,
  VaultSweep,
} from './vault-store.ts';

/** The vault store over history, packs and catalog; order and durability are `CoreKeeper`'s. */
export class StoredVault implements VaultStore {
  readonly descriptor: VaultDescriptorBody;
  readonly signedDescriptor: Signed;
  readonly certificate: CollectorCertificateBody;
  readonly signedCertificate: Signed;
  readonly catalogSecretKey: Uint8Array | undefined;
  readonly intake: VaultIntake;
  readonly events: VaultEvents;
  readonly register: VaultRegister;
  readonly desk: VaultDesk;
  readonly sweep: VaultSweep;
  readonly log: VaultLog;
  readonly reading: VaultReading;
  readonly figures: VaultFigures;
  readonly #keeper: CoreKeeper;

  private constructor(parts: VaultParts) {
    const { vault } = parts;
    this.descriptor = vault.descriptor;
    this.signedDescriptor = vault.signedDescriptor;
    this.certificate = vault.certificate;
    this.signedCertificate = vault.signedCertificate;
    this.catalogSecretKey = vault.catalogSecretKey;
    this.intake = intakeOf(parts);
    this.events = eventsOf(parts);
    this.register = registerOf(parts);
    this.desk = deskOf(parts);
    this.sweep = sweepOf(parts);
    this.log = logOf(parts);
    this.reading = readingOf(parts);
    this.figures = figuresOf(parts);
    this.#keeper = parts.keeper;
  }

  /** Opens (or, on empty media, begins) the vault; throws what `openCore` throws. */
  static async open(
    media: VaultMedia,
    vault: VaultIdentity,
    ports: VaultPorts,
  ): Promise<StoredVault> {
    const { clock, limits = storeLimits, hasher = hereHasher, onUnfit } = ports;
    const keeper = await CoreKeeper.open(media, vault.descriptor, onUnfit);
    return new StoredVault({ vault, keeper, clock, limits, hasher });
  }

  /** The same of a vault in a folder. */
  static inFolder(dir: string, vault: VaultIdentity, ports: FolderPorts): Promise<StoredVault> {
    return StoredVault.open(diskMedia(dir, vault.descriptor.vaultId, ports), vault, ports);
  }

  flush(): Promise<void> {
    return this.#keeper.flush();
  }

  /** Syncs, writes the catalog and closes the files. Later calls throw `STORE_CLOSED`. */
  close(): Promise<void> {
    return this.#keeper.close();
  }
}
