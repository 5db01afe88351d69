import { cpSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type FilePort,
  nodeFiles,
  type OpenFile,
  type RawPath,
} from '@aliquot/shared/durable/file-port';
import { Catalog } from '../../src/store/catalog.ts';
import { ranges } from '../../src/store/catalog-keys.ts';
import { packFileName, packNumberOf, ReadOnlyPack } from '../../src/store/pack-source.ts';
import { comparePositions, type Position } from '../../src/store/position.ts';
import { PACK_HEADER_BYTES } from '../../src/store/record.ts';
import { readFooter, scanRecords } from '../../src/store/record-scan.ts';

/** Pack numbers of a vault's folder. */
export function packsIn(dir: string): number[] {
  return readdirSync(join(dir, 'packs'))
    .flatMap((name) => packNumberOf(name) ?? [])
    .sort((a, b) => a - b);
}

/** Where the journal's files end right now. */
export function endOnDisk(dir: string): Position {
  const pack = packsIn(dir).at(-1) ?? 0;
  return { pack, offset: pack === 0 ? 0 : statSync(join(dir, 'packs', packFileName(pack))).size };
}

/**
 * The vault's folder as a crash at `cut` would have left it: what was written later is not there.
 * No catalog unless told.
 */
export function copyCutAt(
  dir: string,
  to: string,
  cut: Position,
  options: { readonly catalog?: string } = {},
): void {
  mkdirSync(join(to, 'packs'), { recursive: true });
  for (const number of packsIn(dir)) {
    if (number > cut.pack) continue;
    const bytes = readFileSync(join(dir, 'packs', packFileName(number)));
    writeFileSync(
      join(to, 'packs', packFileName(number)),
      number === cut.pack ? bytes.subarray(0, cut.offset) : bytes,
    );
  }
  if (options.catalog !== undefined)
    cpSync(options.catalog, join(to, 'catalog'), { recursive: true });
}

/** Every place where a record, header, index or footer ends, in order. */
export async function boundaries(files: FilePort, dir: string): Promise<Position[]> {
  const found: Position[] = [];
  for (const number of packsIn(dir)) {
    const pack = await ReadOnlyPack.open(files, join(dir, 'packs', packFileName(number)), number);
    const salt = (await pack.read(28, 4)).readUInt32BE(0);
    const footer = await readFooter(pack, salt);
    found.push({ pack: number, offset: 0 }, { pack: number, offset: PACK_HEADER_BYTES });
    const to = footer?.indexOffset ?? pack.size;
    for await (const item of scanRecords(pack, salt, { to, wanted: () => false })) {
      if (item.type === 'record') found.push({ pack: number, offset: item.end });
    }
    if (footer !== undefined) found.push({ pack: number, offset: pack.size });
    await pack.close();
  }
  return found.sort(comparePositions);
}

/** All rows of a closed vault's catalog that follow from the journal, as text. */
export async function catalogRows(dir: string): Promise<string[]> {
  const catalog = await Catalog.openExisting(nodeFiles, join(dir, 'catalog'));
  const rows: string[] = [];
  for await (const [key, value] of catalog.scan(ranges.journal))
    rows.push(`${key.toString('hex')} ${value.toString('hex')}`);
  await catalog.close();
  return rows;
}

/** A disk with a volatile cache: knows how much of each file has been synced. */
export interface CachedDisk {
  readonly files: FilePort;
  syncedSize(path: string): number;
}

export function cachedDisk(port: FilePort): CachedDisk {
  const synced = new Map<string, number>();
  const wrap = (file: OpenFile, path: RawPath): OpenFile => {
    const note = async () => {
      synced.set(path.toString(), (await file.facts()).size);
    };
    return {
      read: (into, position) => file.read(into, position),
      write: (bytes, position) => file.write(bytes, position),
      sync: () => file.sync().then(note),
      datasync: () => file.datasync().then(note),
      truncate: async (size) => {
        await file.truncate(size);
        synced.set(path.toString(), Math.min(size, synced.get(path.toString()) ?? 0));
      },
      facts: () => file.facts(),
      chmod: (mode) => file.chmod(mode),
      setTimes: (atimeNs, mtimeNs) => file.setTimes(atimeNs, mtimeNs),
      close: () => file.close(),
    };
  };
  const files: FilePort = {
    ...port,
    open: async (path, mode, permissions) => wrap(await port.open(path, mode, permissions), path),
  };
  return { files, syncedSize: (path) => synced.get(path) ?? 0 };
}

/**
 * The folder after a power cut: synced bytes whole, of the others only what `survives` says, block
 * by block.
 */
export function copyAfterPowerCut(
  dir: string,
  to: string,
  disk: CachedDisk,
  survives: (path: string, block: number) => boolean,
): void {
  mkdirSync(join(to, 'packs'), { recursive: true });
  cpSync(join(dir, 'catalog'), join(to, 'catalog'), { recursive: true });
  for (const number of packsIn(dir)) {
    const path = join(dir, 'packs', packFileName(number));
    const bytes = Buffer.from(readFileSync(path));
    const from = disk.syncedSize(path);
    for (let at = from; at < bytes.length; at += 64)
      if (!survives(path, at)) bytes.fill(0, at, Math.min(at + 64, bytes.length));
    writeFileSync(join(to, 'packs', packFileName(number)), bytes);
  }
}
