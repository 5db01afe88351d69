import { createCipheriv, createHash } from 'node:crypto';

/** A part of a file, made from a word: the same word and size are the same bytes. */
export interface MadePart {
  readonly word: string;
  readonly bytes: number;
}

/** Bytes that do not shrink, quickly: years of them are made. */
export function bytesOf({ word, bytes }: MadePart): Uint8Array {
  const key = createHash('sha256').update(word).digest().subarray(0, 16);
  return createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(bytes));
}

/** All of a file. */
export function wholeOf(pieces: readonly MadePart[]): Uint8Array {
  return Buffer.concat(pieces.map(bytesOf));
}
