import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createSecretKey,
  hash,
  timingSafeEqual,
} from 'node:crypto';
import { AliquotError, type ErrorCodes } from '@aliquot/proto';
import { concat, release, unwritten, utf8 } from './bytes.ts';

const codes = {
  /**
   * Sealed bytes, their key, or what they are bound to, do not belong together: altered, or opened
   * with another key.
   */
  CRYPTO_AUTHENTICATION: 'final',
  /** A key, nonce or seed has the wrong length: a mistake of the caller. */
  CRYPTO_LENGTH: 'final',
  /** A public key of low order, with which "secret" results would be known to everybody. */
  CRYPTO_WEAK_KEY: 'final',
  /** The dedup secret of a needed epoch is not among the ones at hand. */
  CRYPTO_MISSING_EPOCH: 'final',
} satisfies ErrorCodes;

export type CryptoErrorCode = keyof typeof codes;

/** What the cryptographic core turned away. Messages never carry keys or plaintext. */
export class CryptoError extends AliquotError<CryptoErrorCode> {
  static override readonly codes = codes;
}

const KEY_BYTES = 32;
const NONCE_BYTES = 12;
/** What sealing adds. */
export const AEAD_TAG_BYTES = 16;
const HASH_BYTES = 32;

/**
 * Twelve zero bytes: the nonce wherever a key is used for exactly one message (convergent keys,
 * one-time derived keys).
 */
export const ZERO_NONCE: Uint8Array = new Uint8Array(NONCE_BYTES);

/**
 * A plain view: `Buffer` has a different `slice` and prints differently, so it does not leave this
 * file.
 */
function plain(buffer: Buffer): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}

/** Labels are some dozens, and each is asked for in every file. */
const labels = new Map<string, Uint8Array>();

/**
 * The bytes that separate one use of a hash, HMAC, HKDF or signature from every other: the ASCII
 * label and a zero byte, so that no label is a prefix of another. Labels read
 * `aliquot/v1/<purpose>`. To be read only: everybody gets the same bytes.
 */
export function labelled(label: string): Uint8Array {
  let bytes = labels.get(label);
  if (bytes === undefined) {
    bytes = concat(utf8(label), new Uint8Array(1));
    labels.set(label, bytes);
  }
  return bytes;
}

/*
 * Short messages are hashed in one call of `crypto.hash` with text as the answer: a hash object
 * costs four times as much, and a buffer as the answer twice, because Node makes memory of its own
 * for each. A commit of small files is some 20 such hashes for each file.
 */
const BLOCK_BYTES = 64;
/** Messages up to this length are put together here. Longer ones are worth a hash object. */
const SHORT_BYTES = 8192;
const scratch = Buffer.allocUnsafeSlow(BLOCK_BYTES + SHORT_BYTES);
const outer = Buffer.allocUnsafeSlow(BLOCK_BYTES + HASH_BYTES);
const digest = Buffer.allocUnsafeSlow(HASH_BYTES);
const INNER_PAD = 0x36;
/** The counter of HKDF's first block. */
const FIRST_BLOCK = Uint8Array.of(1);
const OUTER_PAD = 0x5c;

function lengthOf(parts: readonly Uint8Array[]): number {
  let length = 0;
  for (let at = 0; at < parts.length; at += 1) length += (parts[at] as Uint8Array).length;
  return length;
}

/**
 * The beginnings of `scratch` that were asked for, by their lengths: to make one costs a
 * microsecond.
 */
const beginnings: Buffer[] = [];
const MOST_BEGINNINGS = 1024;

/** Puts short parts one behind the other into `scratch`. */
function gather(parts: readonly Uint8Array[], from: number): Buffer {
  let at = from;
  for (let index = 0; index < parts.length; index += 1) {
    const part = parts[index] as Uint8Array;
    scratch.set(part, at);
    at += part.length;
  }
  if (at >= MOST_BEGINNINGS) return scratch.subarray(0, at);
  let view = beginnings[at];
  if (view === undefined) {
    view = scratch.subarray(0, at);
    beginnings[at] = view;
  }
  return view;
}

function shortSha256(message: Uint8Array): Uint8Array {
  digest.write(hash('sha256', message, 'hex'), 0, 'hex');
  return new Uint8Array(digest);
}

/** SHA-256 (FIPS 180-4) over the parts in order: 32 bytes. */
export function sha256(...parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return shortSha256(parts[0] as Uint8Array);
  if (lengthOf(parts) <= SHORT_BYTES) return shortSha256(gather(parts, 0));
  const whole = createHash('sha256');
  for (const part of parts) whole.update(part);
  return plain(whole.digest());
}

/** SHA-512 (FIPS 180-4) over the parts in order: 64 bytes. */
export function sha512(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = createHash('sha512');
  for (const part of parts) whole.update(part);
  return plain(whole.digest());
}

/** HMAC-SHA-256 (RFC 2104) over the parts in order: 32 bytes. */
export function hmacSha256(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
  if (key.length > BLOCK_BYTES || lengthOf(parts) > SHORT_BYTES) {
    // A key object: given plain bytes, Node finds out by an exception what they are, at five times
    // the cost of a short HMAC.
    const hmac = createHmac('sha256', createSecretKey(key));
    for (const part of parts) hmac.update(part);
    return plain(hmac.digest());
  }
  scratch.fill(INNER_PAD, 0, BLOCK_BYTES);
  outer.fill(OUTER_PAD, 0, BLOCK_BYTES);
  for (let at = 0; at < key.length; at += 1) {
    const byte = key[at] as number;
    scratch[at] = INNER_PAD ^ byte;
    outer[at] = OUTER_PAD ^ byte;
  }
  const message = gather(parts, BLOCK_BYTES);
  outer.write(hash('sha256', message, 'hex'), BLOCK_BYTES, 'hex');
  const tag = shortSha256(outer);
  message.fill(0);
  outer.fill(0);
  return tag;
}

/**
 * HKDF-SHA-256 (RFC 5869), extract and expand, with the info exactly as given. Everything uses
 * `hkdf`, which adds the label. `length` is at most 255 * 32 bytes.
 *
 * Test only: the published vectors have no label.
 */
export function hkdfSha256(
  ikm: Uint8Array,
  salt: Uint8Array,
  info: Uint8Array,
  length: number,
): Uint8Array {
  if (length > 255 * HASH_BYTES)
    throw new CryptoError(
      'CRYPTO_LENGTH',
      `HKDF gives at most ${255 * HASH_BYTES} bytes, not ${length}`,
    );
  const prk = hmacSha256(salt, ikm);
  // Nearly every key is one block: two for each file of a commit.
  if (length === HASH_BYTES) return hmacSha256(prk, info, FIRST_BLOCK);
  const output = new Uint8Array(Math.ceil(length / HASH_BYTES) * HASH_BYTES);
  let block: Uint8Array = new Uint8Array(0);
  for (let offset = 0; offset < length; offset += HASH_BYTES) {
    block = hmacSha256(prk, block, info, Uint8Array.of(offset / HASH_BYTES + 1));
    output.set(block, offset);
  }
  return output.slice(0, length);
}

/** HKDF-SHA-256 (RFC 5869) with info = `labelled(label) ‖ context`. */
export function hkdf(
  ikm: Uint8Array,
  salt: Uint8Array,
  label: string,
  length: number,
  context?: Uint8Array,
): Uint8Array {
  const info = context === undefined ? labelled(label) : concat(labelled(label), context);
  return hkdfSha256(ikm, salt, info, length);
}

function checkAead(key: Uint8Array, nonce: Uint8Array): void {
  if (key.length !== KEY_BYTES)
    throw new CryptoError(
      'CRYPTO_LENGTH',
      `an AES-256-GCM key has ${KEY_BYTES} bytes, not ${key.length}`,
    );
  if (nonce.length !== NONCE_BYTES) {
    throw new CryptoError(
      'CRYPTO_LENGTH',
      `an AES-256-GCM nonce has ${NONCE_BYTES} bytes, not ${nonce.length}`,
    );
  }
}

/**
 * AES-256-GCM (NIST SP 800-38D): ciphertext with the 16-byte tag behind it. One key and nonce must
 * never meet two different messages; every caller says in its own comment why they cannot.
 */
export function aeadSeal(
  key: Uint8Array,
  nonce: Uint8Array,
  plaintext: Uint8Array,
  aad: Uint8Array,
): Uint8Array {
  const sealed = unwritten(plaintext.length + AEAD_TAG_BYTES);
  aeadSealInto(sealed, key, nonce, plaintext, aad);
  return sealed;
}

/** As `aeadSeal`, into memory of the caller's: `AEAD_TAG_BYTES` more than there are to seal. */
export function aeadSealInto(
  sealed: Uint8Array,
  key: Uint8Array,
  nonce: Uint8Array,
  plaintext: Uint8Array,
  aad: Uint8Array,
): void {
  checkAead(key, nonce);
  const cipher = createCipheriv('aes-256-gcm', createSecretKey(key), nonce, {
    authTagLength: AEAD_TAG_BYTES,
  });
  cipher.setAAD(aad);
  // A stream mode gives all its bytes from update().
  const body = cipher.update(plaintext);
  cipher.final();
  sealed.set(body);
  sealed.set(cipher.getAuthTag(), body.length);
  release(body);
}

/**
 * Opens what `aeadSeal` made. Throws CRYPTO_AUTHENTICATION when anything at all differs; gives no
 * plaintext then.
 */
export function aeadOpen(
  key: Uint8Array,
  nonce: Uint8Array,
  sealed: Uint8Array,
  aad: Uint8Array,
): Uint8Array {
  checkAead(key, nonce);
  if (sealed.length < AEAD_TAG_BYTES)
    throw new CryptoError(
      'CRYPTO_AUTHENTICATION',
      'sealed bytes are shorter than their authenticator',
    );
  const decipher = createDecipheriv('aes-256-gcm', createSecretKey(key), nonce, {
    authTagLength: AEAD_TAG_BYTES,
  });
  decipher.setAAD(aad);
  decipher.setAuthTag(sealed.subarray(sealed.length - AEAD_TAG_BYTES));
  const body = decipher.update(sealed.subarray(0, sealed.length - AEAD_TAG_BYTES));
  try {
    // A stream mode gives all its bytes from update(); final() only decides whether they may be
    // believed.
    decipher.final();
  } catch (cause) {
    body.fill(0);
    throw new CryptoError('CRYPTO_AUTHENTICATION', 'sealed bytes do not open with this key', {
      cause,
    });
  }
  return plain(body);
}

/**
 * AES-256-GMAC (NIST SP 800-38D): 16 bytes, at four times the speed of HMAC. It finds two messages
 * equal only by chance as long as the key is secret, and one nonce may serve for many messages only
 * if no tag is ever shown to anybody: two of them betray the hash key.
 */
export function gmac(key: Uint8Array, nonce: Uint8Array, message: Uint8Array): Uint8Array {
  checkAead(key, nonce);
  const mac = createCipheriv('aes-256-gcm', createSecretKey(key), nonce, {
    authTagLength: AEAD_TAG_BYTES,
  });
  mac.setAAD(message);
  mac.final();
  return plain(mac.getAuthTag());
}

const FIRST_COUNTER = new Uint8Array(16);

/**
 * AES-256-CTR from the zero block on (NIST SP 800-38A): the message XOR the key's stream, its own
 * inverse. Nothing is authenticated, so every caller says what proves the bytes, and why its key
 * meets one message only. Zeros give the stream itself, which is as good as random to whoever lacks
 * the key.
 */
export function streamCipher(key: Uint8Array, message: Uint8Array): Uint8Array {
  if (key.length !== KEY_BYTES)
    throw new CryptoError(
      'CRYPTO_LENGTH',
      `an AES-256-CTR key has ${KEY_BYTES} bytes, not ${key.length}`,
    );
  // A stream mode gives all its bytes at once.
  return plain(createCipheriv('aes-256-ctr', createSecretKey(key), FIRST_COUNTER).update(message));
}

/** Whether two byte strings are equal, in a time that depends on their lengths only. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}
