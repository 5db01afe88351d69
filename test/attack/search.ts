import { createPrivateKey, createPublicKey } from 'node:crypto';
import { aesBlock, aesKey } from './fast-crypto.ts';

/*
 * Which of many candidate keys could open which target: from the public formats alone a thief knows
 * how plaintexts begin (a codec byte and Zstandard's magic, the version fields of a part), and
 * AES-GCM's first key stream block tells at once. What is reported may be chance and is opened in
 * earnest afterwards; what is not reported cannot open.
 */

/** What the first bytes of a plaintext can be: up to four, as a number. */
export interface Beginning {
  readonly bytes: number;
  /** How many of them are known: 1 or 4. */
  readonly known: 1 | 4;
}

/** Bytes under AES-256-GCM, or under AES-256-CTR alone. */
export interface SealedTarget {
  readonly name: string;
  readonly nonce: Uint8Array;
  /**
   * The block of the key stream that meets the first bytes: 2 under GCM, by default; 0 in a slab.
   */
  readonly firstBlock?: 0 | 2;
  /** Where in the plaintext four bytes are known, a multiple of 4; 0 by default. */
  readonly at?: number;
  /** The four sealed bytes there. */
  readonly start: Uint8Array;
  readonly beginnings: readonly Beginning[];
}

/** A page: its plaintext is keys, and the first of them opens what the page names first. */
export interface PageTarget {
  readonly name: string;
  readonly start: Uint8Array;
  readonly first: SealedTarget;
}

/** A commit's list or read key, by a block that opens with a key sealed under it. */
export interface CommitTarget {
  readonly name: string;
  readonly nonce: Uint8Array;
  /** The sealed key, without its tag. */
  readonly box: Uint8Array;
  readonly part: SealedTarget;
}

/** Anyone who knows the secret half of this X25519 key, sender or recipient, opens the wrap. */
export interface PublicKeyTarget {
  readonly name: string;
  readonly key: Uint8Array;
}

export interface SearchJob {
  readonly sealed: readonly SealedTarget[];
  readonly pages: readonly PageTarget[];
  readonly commits: readonly CommitTarget[];
  readonly publicKeys: readonly PublicKeyTarget[];
  /** Candidate keys, 32 bytes each. */
  readonly candidates: Uint8Array;
}

export interface Suspicion {
  /** Offset in `candidates`. */
  readonly at: number;
  readonly target: string;
}

const KEY_BYTES = 32;
const X25519_PKCS8 = Buffer.from('302e020100300506032b656e04220420', 'hex');

export function search(job: SearchJob): Suspicion[] {
  const candidates = Buffer.from(
    job.candidates.buffer,
    job.candidates.byteOffset,
    job.candidates.length,
  );
  const streams = byNonce(job.sealed);
  const publicKeys = new Map<string, string[]>();
  for (const { name, key } of job.publicKeys)
    append(publicKeys, Buffer.from(key).toString('latin1'), name);
  const commits = job.commits.map(prepared);
  const pages = job.pages.map(({ name, start, first }) => ({
    name,
    start: words(start),
    first: sealedWords(first),
  }));
  const found: Suspicion[] = [];
  const key = new Uint32Array(8);
  const inner = new Uint32Array(8);
  const stream = new Uint32Array(8);
  for (let at = 0; at < candidates.length; at += KEY_BYTES) {
    const suspect = (target: string): void => void found.push({ at, target });
    for (let word = 0; word < 8; word += 1) key[word] = candidates.readUInt32BE(at + 4 * word);
    aesKey(key);
    for (const { nonce, counter, word, long, short } of streams) {
      aesBlock(nonce[0] as number, nonce[1] as number, nonce[2] as number, counter, stream, 0);
      const known = stream[word] as number;
      for (const name of long.get(known) ?? []) suspect(name);
      for (const name of short[known >>> 24] as string[]) suspect(name);
    }
    aesBlock(0, 0, 0, 2, stream, 0);
    aesBlock(0, 0, 0, 3, stream, 4);
    for (const { name, start, first } of pages) {
      for (let word = 0; word < 8; word += 1)
        inner[word] = (start[word] as number) ^ (stream[word] as number);
      if (mayOpen(first, inner)) suspect(name);
    }
    for (const { name, nonce, box, part } of commits) {
      const [a, b, c] = nonce as unknown as [number, number, number];
      aesKey(key);
      aesBlock(a, b, c, 2, stream, 0);
      aesBlock(a, b, c, 3, stream, 4);
      for (let word = 0; word < 8; word += 1)
        inner[word] = (box[word] as number) ^ (stream[word] as number);
      if (mayOpen(part, inner)) suspect(name);
    }
    if (publicKeys.size === 0) continue;
    for (const name of publicKeys.get(
      x25519PublicKey(candidates.subarray(at, at + KEY_BYTES)).toString('latin1'),
    ) ?? [])
      suspect(name);
  }
  return found;
}

export function x25519PublicKey(secret: Uint8Array): Buffer {
  const key = createPrivateKey({
    key: Buffer.concat([X25519_PKCS8, secret]),
    format: 'der',
    type: 'pkcs8',
  });
  return createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-KEY_BYTES);
}

const probe = new Uint32Array(4);

interface SealedWords {
  readonly nonce: Uint32Array;
  readonly counter: number;
  readonly word: number;
  readonly start: number;
  readonly beginnings: readonly Beginning[];
}

function sealedWords(target: SealedTarget): SealedWords {
  const { nonce, start, beginnings } = target;
  const first = words(start)[0] as number;
  return { nonce: words(nonce), ...placeOf(target), start: first, beginnings };
}

function mayOpen(
  { nonce, counter, word, start, beginnings }: SealedWords,
  key: Uint32Array,
): boolean {
  aesKey(key);
  aesBlock(nonce[0] as number, nonce[1] as number, nonce[2] as number, counter, probe, 0);
  const plain = ((probe[word] as number) ^ start) >>> 0;
  return beginnings.some(({ bytes, known }) =>
    known === 4 ? plain === bytes : plain >>> 24 === bytes,
  );
}

/** The block of the key stream, and the word in it. */
function placeOf({ at = 0, firstBlock = 2 }: Pick<SealedTarget, 'at' | 'firstBlock'>): {
  readonly counter: number;
  readonly word: number;
} {
  return { counter: firstBlock + (at >>> 4), word: (at & 15) >>> 2 };
}

/** By the first word, or first byte, of the key stream that would give a plaintext's beginning. */
function byNonce(targets: readonly SealedTarget[]) {
  const streams = new Map<
    string,
    {
      nonce: Uint32Array;
      counter: number;
      word: number;
      long: Map<number, string[]>;
      short: string[][];
    }
  >();
  for (const target of targets) {
    const { name, nonce, start, beginnings } = target;
    const { counter, word } = placeOf(target);
    const text = `${Buffer.from(nonce).toString('latin1')} ${counter} ${word}`;
    const stream = streams.get(text) ?? {
      nonce: words(nonce),
      ...{ counter, word },
      long: new Map<number, string[]>(),
      short: noNames(),
    };
    streams.set(text, stream);
    const first = words(start)[0] as number;
    for (const { bytes, known } of beginnings) {
      if (known === 4) append(stream.long, (first ^ bytes) >>> 0, name);
      else stream.short[(first >>> 24) ^ bytes]?.push(name);
    }
  }
  return [...streams.values()];
}

function noNames(): string[][] {
  return Array.from({ length: 256 }, () => []);
}

function prepared({ name, nonce, box, part }: CommitTarget) {
  return { name, nonce: words(nonce), box: words(box), part: sealedWords(part) };
}

function words(bytes: Uint8Array): Uint32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Uint32Array.from({ length: bytes.length >> 2 }, (_, at) => view.getUint32(4 * at));
}

function append<Key>(map: Map<Key, string[]>, key: Key, name: string): void {
  map.set(key, [...(map.get(key) ?? []), name]);
}
