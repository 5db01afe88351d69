import type { Command } from '../measure/command.ts';
import { fromSources } from '../measure/sources.ts';

/** What is counted in a program's own code, in the order of the table. */
export const operations = [
  'SHA-256',
  'other hashes',
  'HMAC of the platform',
  'HKDF',
  'AES-GCM',
  'AES-CTR',
  'ciphers with raw keys',
  'key objects',
  'signatures',
  'signatures proved',
  'zstd, packed',
  'zstd, unpacked',
  'protobuf, encoded',
  'protobuf, decoded',
  'LevelDB, rows put',
  'LevelDB, rows deleted',
  'LevelDB, batches',
  'LevelDB, keys asked for',
  'LevelDB, questions for many',
  'LevelDB, rows read in order',
] as const;
export type CountedOperation = (typeof operations)[number];

/** What one thread of a program did. The main thread also tells rows by the kind of their keys. */
export interface ThreadOperations {
  readonly name: string;
  readonly counts: Readonly<Record<string, number>>;
}

/** The same command with its operations counted; they go to a file whose name begins with `out`. */
export function countedOperations(command: Command, out: string): Command {
  return fromSources(command, 'operations/hook.ts', { OPERATIONS_OUT: out });
}

/** What a program that ended by itself left there. */
export function readOperations(text: string): readonly ThreadOperations[] {
  return JSON.parse(text) as readonly ThreadOperations[];
}

/** The first byte of a key as a letter, or as a number where it is none. */
export function shownByte(byte: number): string {
  return byte > 0x20 && byte < 0x7f
    ? String.fromCharCode(byte)
    : `0x${byte.toString(16).padStart(2, '0')}`;
}
