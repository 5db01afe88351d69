import { createPrivateKey, createPublicKey } from 'node:crypto';
import { aesBlock, aesKey, hmac, newHmacKey, padded, setHmacKey } from './fast-crypto.ts';

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

/** Bytes under AES-256-GCM. */
export interface SealedTarget {
  readonly name: string;
  readonly nonce: Uint8Array;
  readonly start: Uint8Array;
  readonly beginnings: readonly Beginning[];
}

/** A page: its plaintext is keys, and the first of them opens what the page names first. */
export interface PageTarget {
  readonly name: string;
  readonly start: Uint8Array;
  readonly first: SealedTarget;
}

/**
 * A commit's list or read key, by a part that opens through a key derived from it (HKDF, one
 * block).
 */
export interface CommitTarget {
  readonly name: string;
  readonly salt: Uint8Array;
  readonly info: Uint8Array;
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
  const prk = newHmacKey();
  for (let at = 0; at < candidates.length; at += KEY_BYTES) {
    const suspect = (target: string): void => void found.push({ at, target });
    for (let word = 0; word < 8; word += 1) key[word] = candidates.readUInt32BE(at + 4 * word);
    aesKey(key);
    for (const { nonce, long, short } of streams) {
      aesBlock(nonce[0] as number, nonce[1] as number, nonce[2] as number, 2, stream, 0);
      for (const name of long.get(stream[0] as number) ?? []) suspect(name);
      for (const name of short[(stream[0] as number) >>> 24] as string[]) suspect(name);
    }
    aesBlock(0, 0, 0, 2, stream, 0);
    aesBlock(0, 0, 0, 3, stream, 4);
    for (const { name, start, first } of pages) {
      for (let word = 0; word < 8; word += 1)
        inner[word] = (start[word] as number) ^ (stream[word] as number);
      if (mayOpen(first, inner)) suspect(name);
    }
    for (const { name, salt, info, part } of commits) {
      hmac(salt, padded32(key), inner);
      setHmacKey(inner, prk);
      hmac(prk, info, inner);
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
  readonly start: number;
  readonly beginnings: readonly Beginning[];
}

function sealedWords({ nonce, start, beginnings }: SealedTarget): SealedWords {
  return { nonce: words(nonce), start: words(start)[0] as number, beginnings };
}

function mayOpen({ nonce, start, beginnings }: SealedWords, key: Uint32Array): boolean {
  aesKey(key);
  aesBlock(nonce[0] as number, nonce[1] as number, nonce[2] as number, 2, probe, 0);
  const plain = ((probe[0] as number) ^ start) >>> 0;
  return beginnings.some(({ bytes, known }) =>
    known === 4 ? plain === bytes : plain >>> 24 === bytes,
  );
}

/** By the first word, or first byte, of the key stream that would give a plaintext's beginning. */
function byNonce(targets: readonly SealedTarget[]) {
  const streams = new Map<
    string,
    { nonce: Uint32Array; long: Map<number, string[]>; short: string[][] }
  >();
  for (const { name, nonce, start, beginnings } of targets) {
    const text = Buffer.from(nonce).toString('latin1');
    const stream = streams.get(text) ?? {
      nonce: words(nonce),
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

function prepared({ name, salt, info, part }: CommitTarget) {
  const key = newHmacKey();
  setHmacKey(words(salt), key);
  return { name, salt: key, info: padded(info), part: sealedWords(part) };
}

const shortMessage = padded(new Uint8Array(KEY_BYTES));

function padded32(key: Uint32Array): Uint32Array {
  shortMessage.set(key);
  return shortMessage;
}

function words(bytes: Uint8Array): Uint32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Uint32Array.from({ length: bytes.length >> 2 }, (_, at) => view.getUint32(4 * at));
}

function append<Key>(map: Map<Key, string[]>, key: Key, name: string): void {
  map.set(key, [...(map.get(key) ?? []), name]);
}
