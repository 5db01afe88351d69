import type { CollectorCertificateBody, Signed, VaultDescriptorBody } from '@aliquot/proto';
import { hereHasher } from '@aliquot/shared/hashing/hasher';
import { CoreKeeper } from './core-keeper.ts';
import { deskOf } from './faces/desk.ts';
import { intakeOf } from './faces/intake.ts';
import { logOf } from './faces/log.ts';
import { figuresOf, readingOf } from './faces/reading.ts';
import { eventsOf, registerOf } from './faces/register.ts';
import { sweepOf } from './faces/sweep.ts';
import { STORE_LIMITS } from './limits.ts';
import type { VaultIdentity, VaultParts, VaultPorts } from './vault-parts.ts';
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

/** The vault store over pack files and a Level catalog; order and durability are `CoreKeeper`'s. */
export class JournalVault implements VaultStore {
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

  /** Opens (or, in an empty folder, begins) the vault; throws what `VaultCore.open` throws. */
  static async open(dir: string, vault: VaultIdentity, ports: VaultPorts): Promise<JournalVault> {
    const { clock, limits = STORE_LIMITS, hasher = hereHasher } = ports;
    const keeper = await CoreKeeper.open(dir, vault.descriptor, ports);
    return new JournalVault({ vault, keeper, clock, limits, hasher });
  }

  flush(): Promise<void> {
    return this.#keeper.flush();
  }

  /** Syncs, writes the catalog and closes the files. Later calls throw `STORE_CLOSED`. */
  close(): Promise<void> {
    return this.#keeper.close();
  }
}
