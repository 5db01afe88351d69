import { isUtf8 } from 'node:buffer';
import type { Platform } from '@aliquot/proto';
import { formatInstant, pathText } from '@aliquot/shared/cli/format';
import { fromBase64 } from '../api/base64.ts';
import type { NameRow, ResultLine } from '../api/messages.ts';

const NS_PER_MS = 1_000_000n;

type NamedPath = Pick<NameRow | ResultLine, 'path' | 'platform'>;

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
export function pathJson(row: NamedPath): { path: string; pathBytes?: string } {
  const bytes = fromBase64(row.path);
  return isUtf8(bytes) ? { path: pathText(bytes) } : { path: pathText(bytes), pathBytes: row.path };
}

/** What `--path` is held against. */
export function nameOf(row: NamedPath): { path: string; platform: Platform } {
  return { path: pathOf(row), platform: row.platform };
}

/** The path as `--path` and listings have it. */
export function pathOf(row: NamedPath): string {
  return pathText(fromBase64(row.path));
}

/**
 * A path that was typed, as PCs record it: lists end folders with a slash, and on Windows `/` is
 * `\`.
 */
export function asRecorded(path: string): string {
  const isWindows = /^(?:[A-Za-z]:[\\/]|\\\\)/.test(path);
  const spelled = isWindows ? path.replaceAll('/', '\\') : path;
  return spelled.replace(isWindows ? /(?<=.)(?<!:)\\+$/ : /(?<=.)\/+$/, '');
}
