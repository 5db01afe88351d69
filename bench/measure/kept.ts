import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Level } from 'level';
import { shownByte } from '../operations/operations.ts';
import { bytesUnder } from './disk.ts';

/** What both sides keep after a backup, once neither of them runs. */
export interface KeptShares {
  /**
   * Bytes of each part, as it lies on the disk. Segments are the queue's, kept to be sent again.
   */
  readonly bytes: Readonly<Record<KeptPart, number>>;
  /** The two indexes in bytes after LevelDB has gathered all of its logs and tables. */
  readonly gathered: Readonly<Record<KeptIndex, number>>;
  /** Rows of each index by the first byte of their keys, and of all of them. */
  readonly rows: Readonly<Record<KeptIndex, Readonly<Record<string, number>>>>;
}

export type KeptPart = 'packs' | 'history' | 'catalog' | 'index' | 'chain' | 'segments';
export type KeptIndex = 'catalog' | 'index';

/** The folder of each part, of a collector with one vault and of an agent. */
function foldersOf(collector: string, agent: string): Readonly<Record<KeptPart, string>> {
  const vaults = join(collector, 'vaults');
  const [vault, second] = readdirSync(vaults);
  if (vault === undefined || second !== undefined)
    throw new Error(`${vaults} has to hold one vault to be counted`);
  return {
    packs: join(vaults, vault, 'packs'),
    history: join(vaults, vault, 'history'),
    catalog: join(vaults, vault, 'catalog'),
    index: join(agent, 'queue/index'),
    chain: join(agent, 'chain'),
    segments: join(agent, 'queue/segments'),
  };
}

/** Bytes of each part as they lie on the disk now, of a collector with one vault and an agent. */
export async function keptBytes(collector: string, agent: string): Promise<KeptShares['bytes']> {
  const folders = foldersOf(collector, agent);
  const bytes = { packs: 0, history: 0, catalog: 0, index: 0, chain: 0, segments: 0 };
  // An agent that has captured nothing yet has no queue.
  for (const part of Object.keys(folders) as KeptPart[])
    bytes[part] = existsSync(folders[part]) ? await bytesUnder(folders[part]) : 0;
  return bytes;
}

/**
 * Looks at the folders of a collector with one vault and of an agent; both must have ended. Changes
 * nothing: the indexes are gathered as copies.
 */
export async function keptShares(collector: string, agent: string): Promise<KeptShares> {
  const bytes = await keptBytes(collector, agent);
  const folders = foldersOf(collector, agent);
  const [catalog, index] = [await levelShares(folders.catalog), await levelShares(folders.index)];
  return {
    bytes,
    gathered: { catalog: catalog.gathered, index: index.gathered },
    rows: { catalog: catalog.rows, index: index.rows },
  };
}

async function levelShares(
  folder: string,
): Promise<{ readonly gathered: number; readonly rows: Record<string, number> }> {
  const aside = mkdtempSync(join(tmpdir(), 'aliquot-kept-'));
  try {
    cpSync(folder, aside, { recursive: true });
    const level = new Level<Buffer, Buffer>(aside, {
      keyEncoding: 'buffer',
      createIfMissing: false,
    });
    await level.open();
    const rows: Record<string, number> = { all: 0 };
    for await (const key of level.keys()) {
      const kind = shownByte(key[0] ?? 0);
      rows[kind] = (rows[kind] ?? 0) + 1;
      rows['all'] = (rows['all'] ?? 0) + 1;
    }
    await gather(level);
    await level.close();
    return { gathered: await bytesUnder(aside), rows };
  } finally {
    rmSync(aside, { recursive: true, force: true });
  }
}

/** Its types are those of every platform; this is what it has on disks. */
function gather(level: Level<Buffer, Buffer>): Promise<void> {
  const { compactRange } = level as unknown as {
    compactRange(from: Buffer, to: Buffer): Promise<void>;
  };
  return compactRange.call(level, Buffer.from([0]), Buffer.alloc(64, 0xff));
}
