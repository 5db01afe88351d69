import { join } from 'node:path';
import { readFileIfThere } from '../durable/durable.ts';
import { FileError, withFileErrors } from '../durable/errors.ts';
import type { FilePort } from '../durable/file-port.ts';
import { readLevelLog } from './level-log.ts';
import { Cursor, Malformed } from './varint.ts';

/** A table that LevelDB will read, with the first and the last key in it. */
export interface TableFile {
  readonly path: string;
  readonly size: number;
  readonly first: Uint8Array;
  readonly last: Uint8Array;
}

/** What stands in a LevelDB folder, as far as its small files and the names say. */
export type FolderState =
  /** Nothing of LevelDB's: it may begin there. */
  | { readonly state: 'empty' }
  /** Everything that it will read is there. `changes`: how many LevelDB has taken in its life. */
  | {
      readonly state: 'whole';
      readonly tables: readonly TableFile[];
      readonly changes: number;
      readonly opening: LastOpening;
    }
  | { readonly state: 'damaged'; readonly why: string };

/** What LevelDB did since it was opened last: each opening begins another MANIFEST. */
export interface LastOpening {
  /** The number of its MANIFEST. */
  readonly number: number;
  /** Bytes of the tables that it found. */
  readonly foundBytes: number;
  /** Whether it has written one of them anew since, in tables of other numbers. */
  readonly isRewritten: boolean;
}

/** It holds one name. */
const MAX_CURRENT_BYTES = 64;
/** Of a MANIFEST's record all is read: it names tables. */
const EVERYTHING = Number.MAX_SAFE_INTEGER;
/** Lies beside LevelDB's files once the index is not to be believed any more, whatever they say. */
export const REBUILD_FILE = 'REBUILD';
/** How often a folder is looked at before it is called damaged. */
const LOOKS = 3;
const CURRENT_NAMES = /^(MANIFEST-(\d+))\n$/;
/** A batch begins with the number of its first change, and how many it has. */
const BATCH_HEADER_BYTES = 12;
/** LevelDB puts a number and a kind behind each of its keys. */
const KEY_TAIL_BYTES = 8;

/** What its MANIFEST says: which files there are. */
class Manifest {
  comparator: string | undefined;
  logNumber = 0;
  lastChange = 0;
  /** By level and number. */
  readonly tables = new Map<string, Omit<TableFile, 'path'> & { readonly number: number }>();
  /** Those of its first record, by number. */
  #found: ReadonlyMap<number, number> | undefined;

  opening(number: number): LastOpening {
    const found = this.#found ?? new Map<number, number>();
    const live = new Set([...this.tables.values()].map((table) => table.number));
    // One that goes to another level without a change keeps its number.
    const isRewritten = [...found.keys()].some((table) => !live.has(table));
    const foundBytes = [...found.values()].reduce((sum, size) => sum + size, 0);
    return { number, foundBytes, isRewritten };
  }

  /** One record, as LevelDB's VersionEdit writes it. Throws `Malformed`. */
  apply(record: Uint8Array): void {
    const dropped: string[] = [];
    const made: [string, Omit<TableFile, 'path'> & { readonly number: number }][] = [];
    for (const at = new Cursor(record); !at.atEnd; ) {
      switch (at.varint()) {
        case 1:
          this.comparator = Buffer.from(at.sized()).toString('latin1');
          break;
        case 2:
          this.logNumber = at.varint();
          break;
        case 3: // the next file's number
        case 9: // of a log of before that is still needed: 0 since LevelDB 1.0
          at.varint();
          break;
        case 4:
          this.lastChange = at.varint();
          break;
        case 5: // where a level is compacted next
          at.varint();
          at.sized();
          break;
        case 6:
          dropped.push(`${at.varint()}/${at.varint()}`);
          break;
        case 7: {
          const level = at.varint();
          const [number, size] = [at.varint(), at.varint()];
          const [first, last] = [userKey(at.sized()), userKey(at.sized())];
          made.push([`${level}/${number}`, { number, size, first, last }]);
          break;
        }
        default:
          throw new Malformed();
      }
    }
    for (const name of dropped) this.tables.delete(name);
    for (const [name, table] of made) this.tables.set(name, table);
    this.#found ??= new Map(made.map(([, { number, size }]) => [number, size]));
  }
}

function userKey(key: Uint8Array): Uint8Array {
  if (key.length < KEY_TAIL_BYTES) throw new Malformed();
  return Buffer.from(key.subarray(0, key.length - KEY_TAIL_BYTES));
}

/**
 * Looks at the small files of a LevelDB folder before it is opened: CURRENT, the MANIFEST that it
 * names, and the logs; and whether the tables are there, each of its size. LevelDB takes a folder
 * without CURRENT for a new one, goes on behind damage in a log, and does not miss a log that is
 * gone. What the tables hold is not read here. Who calls this holds the folder.
 */
async function lookAtFolder(files: FilePort, dir: string): Promise<FolderState> {
  const names = await namesIn(files, dir);
  if (names.includes(REBUILD_FILE)) return damaged('it was found to be damaged before');
  const tables = new Set(names.filter((name) => /^\d+\.(ldb|sst)$/.test(name)));
  const logs = names.filter((name) => /^\d+\.log$/.test(name));
  const manifests = names.filter((name) => name.startsWith('MANIFEST-'));
  const current = await readCurrent(files, dir);
  if (current === undefined) {
    return tables.size + logs.length + manifests.length === 0
      ? { state: 'empty' }
      : damaged('its file CURRENT is gone');
  }
  const [, name, number] = CURRENT_NAMES.exec(current) ?? [];
  if (name === undefined || !manifests.includes(name))
    return damaged('its file CURRENT names no file of it');
  const manifest = await readManifest(files, join(dir, name));
  if (manifest === undefined) return damaged(`its file ${name} is damaged`);
  const found: TableFile[] = [];
  for (const { number, ...table } of manifest.tables.values()) {
    const stem = String(number).padStart(6, '0');
    const file = [`${stem}.ldb`, `${stem}.sst`].find((wanted) => tables.has(wanted));
    if (file === undefined) return damaged(`its table ${stem} is gone`);
    const path = join(dir, file);
    const { size } = await withFileErrors('look at', path, () => files.stat(path));
    if (size !== table.size) return damaged(`its table ${file} is cut`);
    found.push({ path, ...table });
  }
  const changes = await readLogs(files, dir, logs, manifest);
  return typeof changes === 'string'
    ? damaged(changes)
    : { state: 'whole', tables: found, changes, opening: manifest.opening(Number(number)) };
}

/** As `lookAtFolder`, where a living process may be writing. */
export async function lookInUse(files: FilePort, dir: string): Promise<FolderState> {
  for (let turn = 1; ; turn += 1) {
    try {
      const found = await lookAtFolder(files, dir);
      if (found.state !== 'damaged' || turn === LOOKS) return found;
    } catch (error) {
      const isGone = error instanceof FileError && error.code === 'FILE_MISSING';
      if (!isGone || turn === LOOKS) throw error;
    }
  }
}

/** The number of the MANIFEST that LevelDB began when it was opened last; 0 when there is none. */
export async function manifestNumber(files: FilePort, dir: string): Promise<number> {
  return Number(CURRENT_NAMES.exec((await readCurrent(files, dir)) ?? '')?.[2] ?? 0);
}

function damaged(why: string): FolderState {
  return { state: 'damaged', why };
}

async function namesIn(files: FilePort, dir: string): Promise<string[]> {
  const names: string[] = [];
  try {
    await withFileErrors('list', dir, async () => {
      for await (const { name } of files.list(dir)) names.push(name.toString('latin1'));
    });
  } catch (error) {
    if (!(error instanceof FileError) || error.code !== 'FILE_MISSING') throw error;
  }
  return names;
}

/** Empty when it is no text of the right size. */
async function readCurrent(files: FilePort, dir: string): Promise<string | undefined> {
  try {
    const bytes = await readFileIfThere(files, join(dir, 'CURRENT'), MAX_CURRENT_BYTES);
    return bytes?.toString('latin1');
  } catch (error) {
    if (!(error instanceof FileError) || error.code !== 'FILE_TOO_LARGE') throw error;
    return '';
  }
}

async function readManifest(files: FilePort, path: string): Promise<Manifest | undefined> {
  const manifest = new Manifest();
  try {
    const end = await withLog(files, path, EVERYTHING, (record) => manifest.apply(record));
    return end === 'sound' && manifest.comparator !== undefined ? manifest : undefined;
  } catch (error) {
    if (error instanceof Malformed) return undefined;
    throw error;
  }
}

/**
 * The number of the last change in the logs that LevelDB will apply, or why they are not whole:
 * each change has the number behind the one before, over all logs.
 */
async function readLogs(
  files: FilePort,
  dir: string,
  names: readonly string[],
  manifest: Manifest,
): Promise<number | string> {
  const logs = names
    .map((name) => ({ name, number: Number.parseInt(name, 10) }))
    .filter(({ number }) => number >= manifest.logNumber)
    .sort((left, right) => left.number - right.number);
  if (manifest.logNumber > 0 && logs[0]?.number !== manifest.logNumber)
    return `its log ${String(manifest.logNumber).padStart(6, '0')} is gone`;
  let next: number | undefined;
  let isContinued = true;
  for (const { name } of logs) {
    const end = await withLog(files, join(dir, name), BATCH_HEADER_BYTES, (record) => {
      if (record.length < BATCH_HEADER_BYTES) {
        isContinued = false;
        return;
      }
      const view = new DataView(record.buffer, record.byteOffset, record.byteLength);
      const first = Number(view.getBigUint64(0, true));
      if (next === undefined ? first > manifest.lastChange + 1 : first !== next)
        isContinued = false;
      next = first + view.getUint32(8, true);
    });
    if (end === 'damaged') return `its log ${name} is damaged`;
    if (!isContinued) return `its log ${name} does not go on where it should`;
  }
  return Math.max(manifest.lastChange, (next ?? 1) - 1);
}

/** Reads a file of LevelDB's log format. */
function withLog(
  files: FilePort,
  path: string,
  keep: number,
  take: (record: Uint8Array) => void,
): Promise<'sound' | 'damaged'> {
  return withFileErrors('read', path, async () => {
    const file = await files.open(path, 'read');
    try {
      return await readLevelLog(file, (await file.facts()).size, { keep }, take);
    } finally {
      await file.close();
    }
  });
}
