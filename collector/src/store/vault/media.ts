import { join } from 'node:path';
import type { VaultId } from '@aliquot/proto';
import type { DiskPort } from '@aliquot/shared/derived/level-port';
import type { Random } from '@aliquot/shared/ports';
import { listRecordFiles, recordFileName } from '@aliquot/shared/records/folder';
import type { CatalogStore } from '../catalog/catalog-store.ts';
import { openCatalog, removeCatalog } from '../catalog/derived-catalog.ts';
import { StoreError } from '../errors.ts';
import { DiskHistory } from '../history/disk-history.ts';
import { historyFormat } from '../history/history-format.ts';
import type { HistoryLog, HistoryOpening, HistoryPoint } from '../history/history-log.ts';
import { DiskPacks } from '../packs/disk-packs.ts';
import { packFormat } from '../packs/pack-format.ts';
import type { PackOpening, PackStore } from '../packs/pack-store.ts';
import { type DurableMark, readMark, writeMark } from './durable-mark.ts';
import { type BookFile, endedFile, holdsFile } from './event-book.ts';
import { type PurgeFolder, purgeFolder } from './purge-files.ts';
import { type ReserveFile, reserveBytesFor, reserveFile } from './reserve-file.ts';

/** The ways out where the packs of a vault are all gone. */
export const PACKS_BACK =
  'mount their disk, or put them back from a copy; if they are lost for good, run aliquot fsck --repair --packs-lost';

/**
 * What one vault lies on: its history, its packs, its catalog, and what is known to be durable, or
 * to have ended.
 */
export interface VaultMedia {
  openHistory(opening: HistoryOpening): Promise<HistoryLog>;
  /**
   * `reliedOn`: something was stored in them, as far as the catalog or the history know. Error:
   * `STORE_PACKS_GONE` where none is there then: their disk may not be mounted, and what began on
   * an empty folder would hide that.
   */
  openPacks(opening: PackOpening, reliedOn: boolean): Promise<PackStore>;
  openCatalog(): Promise<CatalogStore>;
  /** An empty catalog in place of one that cannot even be emptied any more. */
  newCatalog(): Promise<CatalogStore>;
  readMark(): Promise<DurableMark | undefined>;
  writeMark(mark: DurableMark): Promise<void>;
  /** Disk that only collection may use; undefined where nothing can be held back. */
  readonly reserve: ReserveFile | undefined;
  /** What ended for good, by the history or by what it has lost. */
  readonly ended: BookFile;
  /** The holds in force, by the history or by what it has lost. */
  readonly holds: BookFile;
  /** The purges that were approved, by the history or by what it has lost. */
  readonly purges: PurgeFolder;
  /** How a person finds a record, or a pack. */
  nameOf(what: HistoryPoint | { readonly pack: number }): string;
}

export interface DiskMediaPorts {
  readonly files: DiskPort;
  readonly random: Random;
  /** A pack is closed before it grows past this; tests make it small. */
  readonly packBytes?: number | undefined;
  /** The same of a file of the history. */
  readonly historyFileBytes?: number | undefined;
}

/**
 * A vault's folder: `history`, `packs`, `catalog`, `durable.json`, `ended.bin`, `holds.bin`,
 * `purges`.
 */
export function diskMedia(dir: string, vaultId: VaultId, ports: DiskMediaPorts): VaultMedia {
  const { files, random, historyFileBytes } = ports;
  const catalog = join(dir, 'catalog');
  let history: DiskHistory | undefined;
  return {
    openHistory: async (opening) => {
      const sizes = { files, random, fileBytes: historyFileBytes };
      history = await DiskHistory.open(join(dir, 'history'), vaultId, sizes, opening);
      return history;
    },
    openPacks: async (opening, reliedOn) => {
      const packs = join(dir, 'packs');
      if (reliedOn && (await listRecordFiles(files, packs, packFormat)).size === 0)
        throw new StoreError(
          'STORE_PACKS_GONE',
          `${packs} is there and empty, and the vault's history relies on packs: ${PACKS_BACK}`,
        );
      return DiskPacks.open(packs, vaultId, ports, opening);
    },
    openCatalog: () => openCatalog(files, catalog, vaultId),
    newCatalog: async () => {
      await removeCatalog(files, catalog);
      return openCatalog(files, catalog, vaultId);
    },
    readMark: () => readMark(files, dir),
    writeMark: (mark) => writeMark(files, dir, mark),
    reserve: reserveFile(files, random, join(dir, 'packs'), reserveBytesFor(ports.packBytes)),
    ended: endedFile(files, dir),
    holds: holdsFile(files, dir),
    purges: purgeFolder(files, dir),
    nameOf: (what) =>
      'pack' in what
        ? join(dir, 'packs', recordFileName(packFormat, what.pack))
        : (history?.nameOf(what) ??
          `${join(dir, 'history', recordFileName(historyFormat, what.file))}, byte ${what.offset}`),
  };
}
