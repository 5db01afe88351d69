/**
 * AES-256 on single blocks and HMAC-SHA-256 on short messages, in plain TypeScript: for some
 * hundred thousand candidate keys with one block each, a call into OpenSSL costs ten times the
 * cipher. FIPS 197, FIPS 180-4, RFC 2104; compared with `node:crypto` in `stolen-agent.test.ts`.
 * Not constant in time, so good for thieves only.
 */

const SBOX = new Uint8Array(256);
const T0 = new Uint32Array(256);
const T1 = new Uint32Array(256);
const T2 = new Uint32Array(256);
const T3 = new Uint32Array(256);
{
  const doubled = (value: number): number => ((value << 1) ^ (value & 0x80 ? 0x11b : 0)) & 0xff;
  let p = 1;
  let q = 1;
  do {
    // p runs through the field by its generator 3, q through the inverses
    p = (p ^ doubled(p)) & 0xff;
    q ^= q << 1;
    q ^= q << 2;
    q = (q ^ (q << 4)) & 0xff;
    if (q & 0x80) q ^= 0x09;
    const x =
      q ^
      ((q << 1) | (q >> 7)) ^
      ((q << 2) | (q >> 6)) ^
      ((q << 3) | (q >> 5)) ^
      ((q << 4) | (q >> 4));
    SBOX[p] = (x ^ 0x63) & 0xff;
  } while (p !== 1);
  SBOX[0] = 0x63;
  for (let at = 0; at < 256; at += 1) {
    const s = SBOX[at] ?? 0;
    const two = doubled(s);
    const word = ((two << 24) | (s << 16) | (s << 8) | (two ^ s)) >>> 0;
    T0[at] = word;
    T1[at] = (word >>> 8) | (word << 24);
    T2[at] = (word >>> 16) | (word << 16);
    T3[at] = (word >>> 24) | (word << 8);
  }
}

const schedule = new Uint32Array(60);
const t = (table: Uint32Array, index: number): number => table[index & 255] as number;
const sub = (word: number): number =>
  (((SBOX[word >>> 24] as number) << 24) |
    ((SBOX[(word >>> 16) & 255] as number) << 16) |
    ((SBOX[(word >>> 8) & 255] as number) << 8) |
    (SBOX[word & 255] as number)) >>>
  0;

/** Sets the key of the next `aesBlock` calls: eight big-endian words. */
export function aesKey(key: Uint32Array): void {
  const w = schedule;
  w.set(key);
  let round = 1;
  for (let at = 8; at < 60; at += 1) {
    let word = w[at - 1] as number;
    if (at % 8 === 0) {
      word = sub(((word << 8) | (word >>> 24)) >>> 0) ^ (round << 24);
      round <<= 1;
    } else if (at % 8 === 4) word = sub(word);
    w[at] = (w[at - 8] as number) ^ word;
  }
}

/** Encrypts one block of four words into `out` at `offset`. */
export function aesBlock(
  a: number,
  b: number,
  c: number,
  d: number,
  out: Uint32Array,
  offset: number,
): void {
  const w = schedule;
  let s0 = a ^ (w[0] as number);
  let s1 = b ^ (w[1] as number);
  let s2 = c ^ (w[2] as number);
  let s3 = d ^ (w[3] as number);
  let at = 4;
  for (; at < 56; at += 4) {
    const n0 =
      t(T0, s0 >>> 24) ^ t(T1, s1 >>> 16) ^ t(T2, s2 >>> 8) ^ t(T3, s3) ^ (w[at] as number);
    const n1 =
      t(T0, s1 >>> 24) ^ t(T1, s2 >>> 16) ^ t(T2, s3 >>> 8) ^ t(T3, s0) ^ (w[at + 1] as number);
    const n2 =
      t(T0, s2 >>> 24) ^ t(T1, s3 >>> 16) ^ t(T2, s0 >>> 8) ^ t(T3, s1) ^ (w[at + 2] as number);
    const n3 =
      t(T0, s3 >>> 24) ^ t(T1, s0 >>> 16) ^ t(T2, s1 >>> 8) ^ t(T3, s2) ^ (w[at + 3] as number);
    s0 = n0;
    s1 = n1;
    s2 = n2;
    s3 = n3;
  }
  const last = (x: number, y: number, z: number, v: number, key: number): number =>
    sub(((x & 0xff000000) | (y & 0xff0000) | (z & 0xff00) | (v & 0xff)) >>> 0) ^ key;
  out[offset] = last(s0, s1, s2, s3, w[56] as number);
  out[offset + 1] = last(s1, s2, s3, s0, w[57] as number);
  out[offset + 2] = last(s2, s3, s0, s1, w[58] as number);
  out[offset + 3] = last(s3, s0, s1, s2, w[59] as number);
}

const primes = (count: number): number[] => {
  const found: number[] = [];
  for (let n = 2; found.length < count; n += 1)
    if (found.every((prime) => n % prime !== 0)) found.push(n);
  return found;
};
const fraction = (value: number): number => Math.floor((value - Math.floor(value)) * 2 ** 32) >>> 0;
const K = Uint32Array.from(primes(64), (prime) => fraction(Math.cbrt(prime)));
const INITIAL = Uint32Array.from(primes(8), (prime) => fraction(Math.sqrt(prime)));
const W = new Int32Array(64);

/** One compression: `state` takes in sixteen words of `message` from `offset` on. */
function compress(state: Uint32Array, message: Uint32Array, offset: number): void {
  for (let at = 0; at < 16; at += 1) W[at] = message[offset + at] as number;
  for (let at = 16; at < 64; at += 1) {
    const x = W[at - 15] as number;
    const y = W[at - 2] as number;
    const sx = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
    const sy = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
    W[at] = ((W[at - 16] as number) + sx + (W[at - 7] as number) + sy) | 0;
  }
  let a = state[0] as number;
  let b = state[1] as number;
  let c = state[2] as number;
  let d = state[3] as number;
  let e = state[4] as number;
  let f = state[5] as number;
  let g = state[6] as number;
  let h = state[7] as number;
  for (let at = 0; at < 64; at += 1) {
    const se = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
    const one = (h + se + ((e & f) ^ (~e & g)) + (K[at] as number) + (W[at] as number)) | 0;
    const sa = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
    const two = (sa + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + one) | 0;
    d = c;
    c = b;
    b = a;
    a = (one + two) | 0;
  }
  state[0] = (state[0] as number) + a;
  state[1] = (state[1] as number) + b;
  state[2] = (state[2] as number) + c;
  state[3] = (state[3] as number) + d;
  state[4] = (state[4] as number) + e;
  state[5] = (state[5] as number) + f;
  state[6] = (state[6] as number) + g;
  state[7] = (state[7] as number) + h;
}

/** A message as SHA-256 takes it in behind one block of key: words, padding, length. */
export function padded(message: Uint8Array): Uint32Array {
  const blocks = Math.ceil((message.length + 9) / 64);
  const bytes = Buffer.alloc(64 * blocks);
  bytes.set(message);
  bytes[message.length] = 0x80;
  bytes.writeUInt32BE((64 + message.length) * 8, bytes.length - 4);
  return Uint32Array.from({ length: 16 * blocks }, (_, at) => bytes.readUInt32BE(4 * at));
}

/** The two states of an HMAC that only its key decides. */
export interface HmacKey {
  readonly inner: Uint32Array;
  readonly outer: Uint32Array;
}

const block = new Uint32Array(16);
const digest = new Uint32Array(16);
digest[8] = 0x80000000;
digest[15] = (64 + 32) * 8;

/** `key` is at most 16 words; missing ones are zero. */
export function setHmacKey(key: Uint32Array, into: HmacKey): void {
  for (const [state, pad] of [
    [into.inner, 0x36363636],
    [into.outer, 0x5c5c5c5c],
  ] as const) {
    for (let at = 0; at < 16; at += 1)
      block[at] = (at < key.length ? (key[at] as number) : 0) ^ pad;
    state.set(INITIAL);
    compress(state, block, 0);
  }
}

export function newHmacKey(): HmacKey {
  return { inner: new Uint32Array(8), outer: new Uint32Array(8) };
}

/** HMAC of a `padded` message into eight words of `out`. */
export function hmac(key: HmacKey, message: Uint32Array, out: Uint32Array): void {
  out.set(key.inner);
  for (let at = 0; at < message.length; at += 16) compress(out, message, at);
  digest.set(out);
  out.set(key.outer);
  compress(out, digest, 0);
}
