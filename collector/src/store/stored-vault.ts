import type { CollectorCertificateBody, Signed, VaultDescriptorBody } from '@aliquot/proto';
import { hereHasher } from '@aliquot/shared/hashing/hasher';
import { storeLimits } from '../limits.ts';
import { dataOf } from './faces/data.ts';
import { deskOf } from './faces/desk.ts';
import { holdsOf } from './faces/holds.ts';
import { intakeOf } from './faces/intake.ts';
import { logOf } from './faces/log.ts';
import { maintenanceOf } from './faces/maintenance.ts';
import { purgesOf } from './faces/purges.ts';
import { figuresOf, readingOf } from './faces/reading.ts';
import { eventsOf, registerOf } from './faces/register.ts';
import { retentionOf } from './faces/retention.ts';
import { sweepOf } from './faces/sweep.ts';
import { CoreKeeper } from './vault/core-keeper.ts';
import { Endings } from './vault/endings.ts';
import { HoldBook } from './vault/hold-book.ts';
import { diskMedia, type VaultMedia } from './vault/media.ts';
import { PurgeBook } from './vault/purge-book.ts';
import { dropPurged } from './vault/purge-done.ts';
import { erasePurged } from './vault/purge-erase.ts';
import { Reserve } from './vault/reserve.ts';
import { Turns } from './vault/turns.ts';
import type { FolderPorts, VaultIdentity, VaultParts, VaultPorts } from './vault/vault-parts.ts';
import type { VaultData, VaultMaintenance, VaultSweep } from './vault-collection.ts';
import type { VaultReading } from './vault-reading.ts';
import type { VaultRetention } from './vault-retention.ts';
import type {
  VaultDesk,
  VaultEvents,
  VaultFigures,
  VaultHolds,
  VaultIntake,
  VaultLog,
  VaultPurges,
  VaultRegister,
  VaultStore,
} from './vault-store.ts';

/** The vault store over history, packs and catalog; order and durability are `CoreKeeper`'s. */
export class StoredVault implements VaultStore {
  readonly descriptor: VaultDescriptorBody;
  readonly signedDescriptor: Signed;
  readonly certificate: CollectorCertificateBody;
  readonly signedCertificate: Signed;
  /** May be handed over again while the vault is open. */
  catalogSecretKey: Uint8Array | undefined;
  readonly intake: VaultIntake;
  readonly events: VaultEvents;
  readonly register: VaultRegister;
  readonly desk: VaultDesk;
  readonly holds: VaultHolds;
  readonly purges: VaultPurges;
  readonly sweep: VaultSweep;
  readonly retention: VaultRetention;
  readonly maintenance: VaultMaintenance;
  readonly log: VaultLog;
  readonly reading: VaultReading;
  readonly figures: VaultFigures;
  readonly data: VaultData;
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
    this.holds = holdsOf(parts);
    this.purges = purgesOf(parts);
    this.data = dataOf(parts);
    this.sweep = sweepOf(parts, this.data);
    this.retention = retentionOf(parts);
    this.maintenance = maintenanceOf(parts);
    this.log = logOf(parts);
    this.reading = readingOf(parts);
    this.figures = figuresOf(parts);
    this.#keeper = parts.keeper;
  }

  /**
   * Opens (or, on empty media, begins) the vault; who had ended is out before anybody asks, what
   * was held is, and what was purged is gone. Throws what `openCore` throws, and `FILE_…`.
   */
  static async open(
    media: VaultMedia,
    vault: VaultIdentity,
    ports: VaultPorts,
  ): Promise<StoredVault> {
    const { clock, random, pace, limits = storeLimits, hasher = hereHasher, onUnfit } = ports;
    const endings = await Endings.open(media.ended, vault.descriptor);
    const holdBook = await HoldBook.open(media.holds, vault.descriptor);
    const where = media.ended.path;
    for (const why of endings.faults) onUnfit?.({ type: 'file', where, why });
    const purgeBook = await PurgeBook.open(media.purges, vault.descriptor);
    for (const why of holdBook.faults) onUnfit?.({ type: 'file', where: media.holds.path, why });
    for (const why of purgeBook.faults) onUnfit?.({ type: 'file', where: media.purges.path, why });
    const reserve = await Reserve.open(media.reserve, clock);
    // Opening writes, too, also after a failure: a vault whose disk is full must open to be
    // emptied.
    const roomy = {
      ...media,
      openCatalog: () => reserve.withRoom(() => media.openCatalog()),
    };
    const opening = () => CoreKeeper.open(roomy, vault.descriptor, onUnfit);
    const keeper = await reserve.withRoom(opening);
    try {
      const { again, held, purged } = await keeper.doDurably(
        async (core) => {
          const [again, held] = [await endings.start(core), await holdBook.start(core)];
          const purged = await purgeBook.start(core);
          await dropPurged(core);
          return { again, held, purged };
        },
        (leaves) => leaves.purged.leaf ?? leaves.held.at(-1) ?? leaves.again.at(-1),
      );
      const why = `${again.length} that had ended, agents or groups, had not by the history`;
      if (again.length > 0) onUnfit?.({ type: 'ended', where, why });
      const lost = `${held.length} holds were not in the history`;
      if (held.length > 0) onUnfit?.({ type: 'holds', where: media.holds.path, why: lost });
      const undone = `${purged.again} purges were not in the history, or not whole`;
      if (purged.again > 0) onUnfit?.({ type: 'purges', where: media.purges.path, why: undone });
      const erase = async () => {
        await keeper.do((core) => purgeBook.takeMore(core, () => keeper.flushHere(core)));
        return erasePurged(keeper);
      };
      for (const unfit of await reserve.withRoom(erase)) onUnfit?.(unfit);
    } catch (error) {
      await keeper.close();
      throw error;
    }
    const turns = new Turns(clock, pace?.timers);
    const books = { endings, holdBook, purgeBook };
    const shared = { ...books, reserve, clock, random, pace, turns, limits, hasher };
    return new StoredVault({ vault, keeper, ...shared });
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
