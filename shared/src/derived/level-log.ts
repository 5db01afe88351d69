import { readFully } from '../durable/durable.ts';
import type { OpenFile } from '../durable/file-port.ts';
import { crc32c } from './crc32c.ts';

/*
 * LevelDB's log format (doc/log_format.md there): blocks of 32 KiB, in each of them fragments with
 * a header of checksum, length and type; a record is one whole fragment, or a first, middle ones
 * and a last. Its write-ahead logs and its MANIFEST are such files.
 */

const BLOCK_BYTES = 32 * 1024;
/** Read at once. */
const WINDOW_BLOCKS = 8;
const HEADER_BYTES = 7;
const [FULL, FIRST, LAST] = [1, 2, 4] as const;

/** What LevelDB adds to a checksum, so that one over bytes with checksums is no accident. */
export function maskedCrc(crc: number): number {
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

/** How a log file ends. */
export type LogEnd =
  /** With its last record, or with one that was never finished and has nothing sound behind it. */
  | 'sound'
  /** Bytes that are no record have a record behind them. */
  | 'damaged';

/** How much of a log is read. */
export interface LogReading {
  /** Of each record its first bytes only. */
  readonly keep: number;
  /** Also what stands behind damage. */
  readonly salvage?: boolean;
}

/**
 * Gives each record of a log to `take`. LevelDB itself silently goes on behind damage, so this
 * looks at what follows: an unfinished end is the mark of a crash, a gap is not.
 */
export async function readLevelLog(
  file: OpenFile,
  size: number,
  { keep, salvage = false }: LogReading,
  take: (record: Uint8Array) => void,
): Promise<LogEnd> {
  let parts: Uint8Array[] | undefined;
  let isBroken = false;
  for (let from = 0; from < size; from += WINDOW_BLOCKS * BLOCK_BYTES) {
    const window = await readFully(file, from, Math.min(WINDOW_BLOCKS * BLOCK_BYTES, size - from));
    for (let start = 0; start < window.length; start += BLOCK_BYTES) {
      const block = window.subarray(start, start + BLOCK_BYTES);
      for (let at = 0; at + HEADER_BYTES <= block.length; ) {
        const fragment = fragmentAt(block, at);
        if (fragment === undefined) {
          isBroken = true;
          parts = undefined;
          at += 1; // one may begin anywhere behind damage
          continue;
        }
        at = fragment.end;
        const { type, bytes } = fragment;
        // An earlier LevelDB could leave an empty first fragment at the end of a block.
        if (type === FULL || type === FIRST) {
          if (parts?.some(({ length }) => length > 0) === true) isBroken = true;
          parts = [];
        } else if (parts === undefined) {
          isBroken = true;
          continue;
        }
        parts.push(Buffer.from(bytes.subarray(0, keep)));
        if (type !== FULL && type !== LAST) continue;
        if (isBroken && !salvage) return 'damaged';
        take(parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts));
        parts = undefined;
      }
    }
  }
  return isBroken && salvage ? 'damaged' : 'sound';
}

function fragmentAt(
  block: Buffer,
  at: number,
): { readonly type: number; readonly bytes: Uint8Array; readonly end: number } | undefined {
  const type = block[at + 6] as number;
  const end = at + HEADER_BYTES + block.readUInt16LE(at + 4);
  if (type < FULL || type > LAST || end > block.length) return undefined;
  if (block.readUInt32LE(at) !== maskedCrc(crc32c(block, at + 6, end))) return undefined;
  return { type, bytes: block.subarray(at + HEADER_BYTES, end), end };
}
