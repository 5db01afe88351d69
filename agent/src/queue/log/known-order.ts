import type { Row } from '@aliquot/shared/derived/derived-index';
import type { KeyRange } from '@aliquot/shared/derived/level-port';
import { oneCaseBytes } from '@aliquot/shared/keys/path-case';
import { here } from '@aliquot/shared/settings/where';
import { familyRange, rawKey } from './index-rows.ts';
import { type KnownRow, unpackKnown } from './known-block.ts';

/*
 * Known files in the order of the index, and the keys that they stand under: `K` for blocks, `k`
 * for what stands beside them.
 */

/** A file in the order of the index; `row` undefined: it is not known any more. */
export interface KnownName {
  /** What paths are put in order by, a character for each byte. */
  readonly name: string;
  readonly row: KnownRow | undefined;
}

/** Files with changes laid over them; both in order. */
export function merged(
  files: readonly KnownName[],
  changes: readonly KnownName[],
): readonly KnownName[] {
  if (changes.length === 0) return files;
  const all: KnownName[] = [];
  let next = 0;
  for (const file of files) {
    for (; next < changes.length && (changes[next] as KnownName).name < file.name; next += 1)
      all.push(changes[next] as KnownName);
    if (changes[next]?.name !== file.name) all.push(file);
  }
  for (; next < changes.length; next += 1) all.push(changes[next] as KnownName);
  return all.filter(({ row }) => row !== undefined);
}

export function rowsOf(files: readonly KnownName[]): readonly KnownRow[] {
  return files.map(({ row }) => row).filter((row) => row !== undefined);
}

export function namedIn(block: Uint8Array): readonly KnownName[] {
  return unpackKnown(block).map((row) => ({ name: nameOf(row.path), row }));
}

export function besideIn([key, value]: Row): KnownName {
  return { name: nameIn(key), row: value.length === 0 ? undefined : unpackKnown(value)[0] };
}

export const besideCost = (key: Uint8Array, value: Uint8Array): number => key.length + value.length;

export const isNamed = (name: string) => (file: KnownName) => file.name === name;

export const isBefore = ({ name }: KnownName, end: string | undefined): boolean =>
  end === undefined || name < end;

/** On Windows the same for every case of a path, so that two cases of it are one file. */
export function nameOf(path: Uint8Array): string {
  const { buffer, byteOffset, length } = oneCaseBytes(path, here);
  return Buffer.from(buffer, byteOffset, length).toString('latin1');
}

export function keyOf(family: 'k' | 'K', name: string): Uint8Array {
  return rawKey(family, Buffer.from(name, 'latin1'));
}

export function nameIn(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset + 1, key.byteLength - 1).toString('latin1');
}

export function rangeOf(family: 'k' | 'K', first: string, end: string | undefined): KeyRange {
  const { lt } = familyRange(family);
  const gte = keyOf(family, first);
  if (end !== undefined) return { gte, lt: keyOf(family, end) };
  return lt === undefined ? { gte } : { gte, lt };
}
