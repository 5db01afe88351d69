import { cp, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import { logPayload, tableRows } from './leveldb.ts';

/** What a thief carries off, as byte strings in which a key might stand. */
export interface Material {
  /** Every stretch of bytes, however it was hidden. */
  readonly pieces: readonly Buffer[];
  /**
   * Files of 32 bytes, and 32 bytes as hex or Base64: most likely keys, worth deriving more from.
   */
  readonly secrets: readonly Buffer[];
}

const KEY_BYTES = 32;
/** Behind each value of an index: its checksum (shared/src/derived/seal.ts). */
const CHECK_BYTES = 4;

/**
 * Everything below a folder: each file as it lies there; LevelDB's tables and logs taken apart;
 * LevelDB once more through its own reader; and whatever reads as Base64 or hex.
 */
export async function seize(
  folder: string,
  wanted: (path: string) => boolean = () => true,
): Promise<Material> {
  const items = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = items
    .filter((item) => item.isFile())
    .map((item) => join(item.parentPath, item.name))
    .filter(wanted);
  const raw = await Promise.all(files.map((file) => readFile(file)));
  const rows = files.flatMap((file, at) => takenApart(file, raw[at] ?? Buffer.alloc(0)));
  for (const file of files)
    if (basename(file) === 'CURRENT') rows.push(...(await logicalRows(join(file, '..'))));
  const { pieces, secrets } = examined(raw);
  return { pieces: [...pieces, ...rows, ...rows.flatMap(decodedRuns)], secrets };
}

/** Texts, such as what a program printed. */
export function overheard(...texts: readonly string[]): Material {
  return examined(texts.map((text) => Buffer.from(text, 'latin1')));
}

export function together(...parts: readonly Material[]): Material {
  return {
    pieces: parts.flatMap(({ pieces }) => pieces),
    secrets: parts.flatMap(({ secrets }) => secrets),
  };
}

/** All 32-byte windows, each once. As Latin-1 text, which a `Set` can hold. */
export function windowsOf(material: Material): Set<string> {
  const windows = new Set<string>();
  for (const piece of material.pieces) {
    const text = piece.toString('latin1');
    for (let at = 0; at + KEY_BYTES <= text.length; at += 1)
      windows.add(text.substring(at, at + KEY_BYTES));
  }
  for (const secret of material.secrets) windows.add(secret.toString('latin1'));
  return windows;
}

export function unionOf(...sets: readonly ReadonlySet<string>[]): Set<string> {
  const all = new Set<string>();
  for (const set of sets) for (const value of set) all.add(value);
  return all;
}

function takenApart(file: string, content: Buffer): Buffer[] {
  if (file.endsWith('.ldb')) return withBareValues(tableRows(content));
  // Only LevelDB's logs, not the agent's chain log.
  if (/^(\d{6}\.log|MANIFEST-\d{6})$/.test(basename(file))) return [logPayload(content)];
  return [];
}

/** Of keys and values in turn: each value also without the checksum behind it. */
function withBareValues(rows: readonly Buffer[]): Buffer[] {
  return rows.flatMap((row, at) => (at % 2 === 0 ? [row] : [row.subarray(0, -CHECK_BYTES), row]));
}

async function logicalRows(database: string): Promise<Buffer[]> {
  const copy = await mkdtemp(join(tmpdir(), 'aliquot-thief-'));
  try {
    await cp(database, copy, { recursive: true });
    const sizes = { cacheSize: 1 << 20, writeBufferSize: 1 << 20 };
    const level = await nodeDisk.level.open(copy, { createIfMissing: false, ...sizes });
    const rows = level.iterator({ gte: new Uint8Array() });
    const found: Buffer[] = [];
    for (let some = await rows.nextv(500); some.length > 0; some = await rows.nextv(500))
      found.push(...withBareValues(some.flat()));
    await rows.close();
    await level.close();
    return found;
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
}

function examined(raw: readonly Buffer[]): Material {
  const decoded = raw.flatMap(decodedRuns);
  const pieces = [...raw, ...decoded];
  return { pieces, secrets: pieces.filter((piece) => piece.length === KEY_BYTES) };
}

/** Runs that read as Base64 (also over line ends and at every phase) or hex, decoded. */
function decodedRuns(piece: Buffer): Buffer[] {
  const text = piece.toString('latin1');
  const found: Buffer[] = [];
  for (const [run] of text.matchAll(
    /[A-Za-z0-9+/_-]{43,}={0,2}|(?:[A-Za-z0-9+/_-]{43,}={0,2}\r?\n[A-Za-z0-9+/_-]{0,76}={0,2}\r?\n?)+/g,
  ))
    for (let phase = 0; phase < 4; phase += 1) found.push(Buffer.from(run.slice(phase), 'base64'));
  for (const [lines] of text.matchAll(/(?:[A-Za-z0-9+/]{64}\r?\n)+[A-Za-z0-9+/]*={0,2}/g))
    found.push(Buffer.from(lines, 'base64'));
  for (const [run] of text.matchAll(/[0-9a-fA-F]{64,}/g))
    for (let phase = 0; phase < 2; phase += 1) found.push(Buffer.from(run.slice(phase), 'hex'));
  return found.filter(({ length }) => length >= KEY_BYTES);
}
