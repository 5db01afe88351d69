import { isUtf8 } from 'node:buffer';
import { formatInstant, pathText } from '@aliquot/shared/cli/format';
import { fromBase64 } from '../rest/base64.ts';
import type { NameRow } from '../rest/messages.ts';

/**
 * The byte strings that a PATH on the command line can mean: its UTF-8, and, when it holds `\xNN` as listings print bytes that
 * are no UTF-8, those bytes.
 */
export function pathCandidates(text: string): Uint8Array[] {
  const plain = new Uint8Array(Buffer.from(text, 'utf8'));
  if (!/\\x[0-9a-f]{2}/.test(text)) return [plain];
  const pieces = text.split(/(\\x[0-9a-f]{2})/);
  const bytes = Buffer.concat(
    pieces.map((piece) => (/^\\x[0-9a-f]{2}$/.test(piece) ? Buffer.from(piece.slice(2), 'hex') : Buffer.from(piece))),
  );
  return [plain, new Uint8Array(bytes)];
}

const NS_PER_MS = 1_000_000n;

/** Milliseconds since 1970 of a file time; rounds down like `stat` does. */
export function mtimeMs(row: NameRow): number {
  const ns = BigInt(row.mtimeNs);
  return Number(ns >= 0n ? ns / NS_PER_MS : (ns - NS_PER_MS + 1n) / NS_PER_MS);
}

/** A file time may lie outside what a date can show. */
export function instantText(ms: number): string {
  return Math.abs(ms) <= 8.64e15 ? formatInstant(ms) : String(ms);
}

/** The path as text, and its exact bytes beside it when the text cannot carry them. */
export function pathJson(row: NameRow): { path: string; pathBytes?: string } {
  const bytes = fromBase64(row.path);
  return isUtf8(bytes) ? { path: pathText(bytes) } : { path: pathText(bytes), pathBytes: row.path };
}

/** The path as `--path` and listings have it. */
export function pathOf(row: NameRow): string {
  return pathText(fromBase64(row.path));
}
