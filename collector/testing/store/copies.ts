import { cpSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { asVaultId } from '@aliquot/proto';
import type { DiskPort } from '@aliquot/shared/derived/level-port';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import type { FilePort, OpenFile, RawPath } from '@aliquot/shared/durable/file-port';
import { FILE_HEADER_BYTES } from '@aliquot/shared/records/codec';
import type { FileFormat } from '@aliquot/shared/records/format';
import { RecordReader } from '@aliquot/shared/records/reader';
import { ranges } from '../../src/store/catalog/catalog-keys.ts';
import type { CatalogStore } from '../../src/store/catalog/catalog-store.ts';
import { openCatalog, openExistingCatalog } from '../../src/store/catalog/derived-catalog.ts';
import { historyFormat } from '../../src/store/history/history-format.ts';
import { packFormat } from '../../src/store/packs/pack-format.ts';

/** The two kinds of files of records that a vault's folder has. */
const logs = { history: historyFormat, packs: packFormat } as const;
export type LogName = keyof typeof logs;
const logNames = ['history', 'packs'] as const;

/** A place in files that are numbered from 1. */
export interface FilePlace {
  readonly file: number;
  readonly offset: number;
}

/** Negative when `a` comes before `b`. */
export function compareFilePlaces(a: FilePlace, b: FilePlace): number {
  return a.file === b.file ? a.offset - b.offset : a.file - b.file;
}

/** Where each of the two ends, or is cut. */
export type Ends = Readonly<Record<LogName, FilePlace>>;

export function fileOf(dir: string, log: LogName, number: number): string {
  return join(dir, log, `${String(number).padStart(8, '0')}${logs[log].suffix}`);
}

/** Numbers of the files of a vault's folder. */
export function filesIn(dir: string, log: LogName): number[] {
  return readdirSync(join(dir, log))
    .filter((name) => name.endsWith(logs[log].suffix))
    .map((name) => Number(name.slice(0, 8)))
    .sort((a, b) => a - b);
}

function endOf(dir: string, log: LogName): FilePlace {
  const file = filesIn(dir, log).at(-1) ?? 0;
  return { file, offset: file === 0 ? 0 : statSync(fileOf(dir, log, file)).size };
}

/** Where history and packs end right now. */
export function endsOnDisk(dir: string): Ends {
  return { history: endOf(dir, 'history'), packs: endOf(dir, 'packs') };
}

/**
 * The vault's folder as a crash would have left it that cut both there: what was written later is
 * not there. No catalog unless told.
 */
export function copyCutAt(
  dir: string,
  to: string,
  cuts: Ends,
  options: { readonly catalog?: string } = {},
): void {
  for (const log of logNames) {
    mkdirSync(join(to, log), { recursive: true });
    const cut = cuts[log];
    for (const number of filesIn(dir, log)) {
      if (number > cut.file) continue;
      const bytes = readFileSync(fileOf(dir, log, number));
      writeFileSync(
        fileOf(to, log, number),
        number === cut.file ? bytes.subarray(0, cut.offset) : bytes,
      );
    }
  }
  if (options.catalog !== undefined)
    cpSync(options.catalog, join(to, 'catalog'), { recursive: true });
}

/** The records of one of the two, in order. */
export async function recordsIn(
  files: FilePort,
  dir: string,
  log: LogName,
): Promise<readonly (FilePlace & { readonly kind: string; readonly end: number })[]> {
  const format: FileFormat<string> = logs[log];
  const reader = await RecordReader.open({ port: files, dir: join(dir, log), format });
  const found = [];
  for await (const item of reader.scan())
    if (item.type === 'record') {
      const { file, offset, end } = item;
      found.push({ file, offset, end, kind: item.header.kind });
    }
  await reader.close();
  return found;
}

/** Every place where a header or record of one of the two ends, in order. */
export async function boundaries(
  files: FilePort,
  dir: string,
  log: LogName,
): Promise<readonly FilePlace[]> {
  const records = await recordsIn(files, dir, log);
  return filesIn(dir, log).flatMap((file) => [
    { file, offset: 0 },
    { file, offset: FILE_HEADER_BYTES },
    ...records.filter((one) => one.file === file).map(({ end }) => ({ file, offset: end })),
  ]);
}

/** The catalog of a closed vault, to look at or to change. */
export async function catalogIn(
  vaultDir: string,
  how: 'look' | 'change' = 'look',
): Promise<CatalogStore> {
  const dir = join(vaultDir, 'history');
  const history = await RecordReader.open({ port: nodeDisk, dir, format: historyFormat });
  const vaultId = asVaultId(history.identity?.owner ?? new Uint8Array(16));
  await history.close();
  const open = how === 'look' ? openExistingCatalog : openCatalog;
  return open(nodeDisk, join(vaultDir, 'catalog'), vaultId);
}

/** All rows of a closed vault's catalog that follow from history and packs, as text. */
export async function catalogRows(dir: string): Promise<string[]> {
  const catalog = await catalogIn(dir);
  const rows: string[] = [];
  for await (const [key, value] of catalog.scan(ranges.derived))
    rows.push(`${key.toString('hex')} ${value.toString('hex')}`);
  await catalog.close();
  return rows;
}

/** A disk with a volatile cache: knows how much of each file has been synced. */
export interface CachedDisk {
  readonly files: DiskPort;
  syncedSize(path: string): number;
}

/** `onStep` is called after each write and flush. */
export function cachedDisk(
  port: DiskPort,
  onStep: (path: string) => Promise<void> = async () => undefined,
): CachedDisk {
  const synced = new Map<string, number>();
  const wrap = (file: OpenFile, path: RawPath): OpenFile => {
    const note = async () => {
      synced.set(path.toString(), (await file.facts()).size);
      await onStep(path.toString());
    };
    return {
      read: (into, position) => file.read(into, position),
      write: async (bytes, position) => {
        const written = await file.write(bytes, position);
        await onStep(path.toString());
        return written;
      },
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
  const files: DiskPort = {
    ...port,
    open: async (path, mode, permissions) => wrap(await port.open(path, mode, permissions), path),
  };
  return { files, syncedSize: (path) => synced.get(path) ?? 0 };
}

/**
 * The folder after a power cut: synced bytes whole, of the others only what `survives` says, block
 * by block. No catalog, as the one that is there is being written to, unless told.
 */
export function copyAfterPowerCut(
  dir: string,
  to: string,
  disk: CachedDisk,
  survives: (log: LogName, block: number) => boolean,
  options: { readonly catalog: boolean } = { catalog: true },
): void {
  if (options.catalog) cpSync(join(dir, 'catalog'), join(to, 'catalog'), { recursive: true });
  for (const log of logNames) {
    mkdirSync(join(to, log), { recursive: true });
    for (const number of filesIn(dir, log)) {
      const path = fileOf(dir, log, number);
      const bytes = Buffer.from(readFileSync(path));
      const from = disk.syncedSize(path);
      for (let at = from; at < bytes.length; at += 64)
        if (!survives(log, at)) bytes.fill(0, at, Math.min(at + 64, bytes.length));
      writeFileSync(fileOf(to, log, number), bytes);
    }
  }
}
