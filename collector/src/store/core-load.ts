import {
  asChunkId,
  decodeEventBody,
  decodeLogLeaf,
  decodeStoredEvent,
  type EventBody,
  FormatError,
  type LogLeaf,
  type Signed,
} from '@aliquot/proto';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import { levelTrouble } from '@aliquot/shared/durable/level-trouble';
import { LogError } from '@aliquot/shared/log/errors';
import { MerkleLog } from '@aliquot/shared/log/merkle';
import { reportedHeadOf } from './apply.ts';
import { Catalog, removeCatalog } from './catalog.ts';
import { keys, ranges, readKey } from './catalog-keys.ts';
import { NO_SUMS, read, type Sums } from './catalog-rows.ts';
import { StoreError } from './errors.ts';
import type { Journal } from './journal.ts';
import { Registry } from './registry.ts';
import type { ReportedHead } from './vault-records.ts';

/** An accepted opening of a log epoch. */
export interface Opening {
  readonly logEpoch: number;
  readonly opening: Signed;
  readonly leafIndex: number;
  readonly leaf: Uint8Array;
}

/** What a vault's core is made of. */
export interface Parts {
  readonly journal: Journal;
  readonly catalog: Catalog;
  readonly registry: Registry;
  readonly damaged: Set<string>;
  readonly openings: readonly Opening[];
  readonly log: MerkleLog;
  readonly sums: Sums;
}

/**
 * Whether this says that the catalog does not fit the packs, or itself: then it is made again from
 * them. Everything else that stops an opening is the disk's, or a fault of ours, and costs no
 * catalog.
 */
export function isUnfitCatalog(error: unknown): boolean {
  if (error instanceof StoreError)
    return error.code === 'STORE_CATALOG' || error.code === 'STORE_DAMAGED';
  if (error instanceof LogError)
    return error.code === 'LOG_NODE_MISSING' || error.code === 'LOG_RANGE';
  // A row that points at another record, or whose bytes are no certificate.
  return error instanceof FormatError || levelTrouble(error) === 'damaged';
}

/** An empty catalog in place of this one; by removing its files when Level can no longer do it. */
export async function emptied(catalog: Catalog, files: FilePort, dir: string): Promise<Catalog> {
  try {
    await catalog.clear();
    return catalog;
  } catch (error) {
    if (levelTrouble(error) === undefined) throw error;
    await catalog.close();
    await removeCatalog(files, dir);
    return Catalog.open(files, dir);
  }
}

export function nodeStore(catalog: Catalog) {
  return {
    get: (level: number, index: number) => catalog.get(keys.node(level, index)),
    put: () => {
      throw new TypeError('nodes are stored with their record');
    },
  };
}

export async function leafRecord(
  journal: Journal,
  catalog: Catalog,
  leafIndex: number,
): Promise<{ type: 'commit' | 'event'; payload: Buffer }> {
  const row = await catalog.get(keys.leaf(leafIndex));
  if (row === undefined)
    throw new StoreError(
      'STORE_CATALOG',
      `leaf ${leafIndex} is not in the catalog; run aliquot fsck --repair`,
    );
  const { type, position, length } = read.leaf(row);
  return { type, payload: (await journal.read(position, length)).payload };
}

/**
 * Everything that the catalog knows up to its checkpoint. Throws `STORE_CATALOG` when it does not
 * fit the packs or itself.
 */
export async function load(journal: Journal, catalog: Catalog): Promise<Parts> {
  const sumsRow = await catalog.get(keys.sums);
  const sums = sumsRow === undefined ? NO_SUMS : read.sums(sumsRow);
  const eventAt = async (
    leafIndex: number,
  ): Promise<{ event: EventBody; leaf: LogLeaf; leafBytes: Uint8Array }> => {
    const stored = decodeStoredEvent((await leafRecord(journal, catalog, leafIndex)).payload);
    return {
      event: decodeEventBody(stored.event),
      leaf: decodeLogLeaf(stored.leaf),
      leafBytes: stored.leaf,
    };
  };
  const registry = await Registry.load(catalog, async (leafIndex): Promise<ReportedHead> => {
    const { event, leaf } = await eventAt(leafIndex);
    if (event.type !== 'headReported')
      throw new StoreError(
        'STORE_CATALOG',
        `leaf ${leafIndex} reports no head; run aliquot fsck --repair`,
      );
    return reportedHeadOf(event, leaf.timeMs);
  });
  const openings: Opening[] = [];
  for await (const [key, value] of catalog.scan(ranges.epochs)) {
    const leafIndex = read.u64(value);
    const { event, leafBytes } = await eventAt(leafIndex);
    if (event.type !== 'epochOpened')
      throw new StoreError(
        'STORE_CATALOG',
        `leaf ${leafIndex} opens no epoch; run aliquot fsck --repair`,
      );
    openings.push({
      logEpoch: readKey.epoch(key),
      opening: event.opening,
      leafIndex,
      leaf: leafBytes,
    });
  }
  const damaged = new Set<string>();
  for await (const [key] of catalog.scan(ranges.damaged))
    damaged.add(Buffer.from(asChunkId(readKey.damaged(key))).toString('latin1'));
  const log = await MerkleLog.open(nodeStore(catalog), sums.leaves);
  return { journal, catalog, registry, damaged, openings, log, sums };
}
