import {
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  sign as signNatively,
  verify,
} from 'node:crypto';
import type { Signed } from '@aliquot/proto';
import type { Random } from '../ports.ts';
import { concat, hex, wipe } from './bytes.ts';
import { CryptoError, labelled } from './primitives.ts';

/** An Ed25519 key pair (RFC 8032). `seed` is the secret, 32 bytes; `publicKey` 32 bytes. */
export interface SigningKey {
  readonly publicKey: Uint8Array;
  readonly seed: Uint8Array;
}

const PUBLIC_KEY_BYTES = 32;
const SEED_BYTES = 32;
const SIGNATURE_BYTES = 64;

/** DER of a SubjectPublicKeyInfo for Ed25519 up to the key itself (RFC 8410). */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');
/** DER of a PKCS#8 private key for Ed25519 up to the seed itself (RFC 8410). */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');

/**
 * Verification keys that were used lately: decoding one costs as much as a tenth of a verification.
 */
const CACHED_KEYS = 1024;
const keyCache = new Map<string, KeyObject>();

/**
 * The y coordinates (little-endian, sign bit cleared) of all points of order 1, 2, 4 and 8, and of
 * their two non-canonical spellings. Under such a key one signature holds for many messages, so its
 * owner could deny everything.
 */
const smallOrder = new Set([
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
]);

/** Whether a public key is a point of small order, under which signatures prove nothing. */
export function isWeakSigningKey(publicKey: Uint8Array): boolean {
  const y = publicKey.slice();
  const last = y.length - 1;
  y[last] = (y[last] ?? 0) & 0x7f;
  return smallOrder.has(hex(y));
}

/**
 * A fresh signing key from 32 bytes of `random`. The only copy of the seed is the one in the
 * result.
 */
export function newSigningKey(random: Random): SigningKey {
  const drawn = random.bytes(SEED_BYTES);
  const key = signingKeyFromSeed(drawn);
  wipe(drawn);
  return key;
}

/** The signing key that a stored 32-byte seed stands for; the seed is copied. */
export function signingKeyFromSeed(seed: Uint8Array): SigningKey {
  if (seed.length !== SEED_BYTES)
    throw new CryptoError(
      'CRYPTO_LENGTH',
      `a signing seed has ${SEED_BYTES} bytes, not ${seed.length}`,
    );
  const der = createPublicKey(privateKeyOf(seed)).export({ type: 'spki', format: 'der' });
  return {
    publicKey: new Uint8Array(der.subarray(SPKI_PREFIX.length)),
    seed: new Uint8Array(seed),
  };
}

/** Decoding a key costs twice as much as signing with it; it is kept as long as the key itself. */
const decoded = new WeakMap<SigningKey, KeyObject>();

function decodedKey(key: SigningKey): KeyObject {
  const known = decoded.get(key) ?? privateKeyOf(key.seed);
  decoded.set(key, known);
  return known;
}

function privateKeyOf(seed: Uint8Array): KeyObject {
  const der = Buffer.concat([PKCS8_PREFIX, seed]);
  try {
    return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  } finally {
    wipe(der);
  }
}

/**
 * The bare Ed25519 signature of RFC 8032, which is the same for a key and a message no matter who
 * makes it. node:crypto does it in a thirtieth of the time of tweetnacl; a collector to which a
 * fleet comes back does little else.
 *
 * Test only: the published vectors have no label; everything else uses `sign`.
 */
export function signBytes(key: SigningKey, message: Uint8Array): Uint8Array {
  return new Uint8Array(signNatively(null, message, decodedKey(key)));
}

/**
 * Signs `labelled(label) ‖ body` with Ed25519. The same key, label and body always give the same
 * signature.
 */
export function sign(key: SigningKey, label: string, body: Uint8Array): Signed {
  return { body, signature: signBytes(key, concat(labelled(label), body)) };
}

function verificationKey(publicKey: Uint8Array): KeyObject {
  const name = hex(publicKey);
  const known = keyCache.get(name);
  if (known !== undefined) {
    // Set again: a Map keeps insertion order, so the first name is always the longest unused.
    keyCache.delete(name);
    keyCache.set(name, known);
    return known;
  }
  const key = createPublicKey({
    key: Buffer.concat([SPKI_PREFIX, publicKey]),
    format: 'der',
    type: 'spki',
  });
  if (keyCache.size >= CACHED_KEYS) {
    const oldest = keyCache.keys().next().value;
    if (oldest !== undefined) keyCache.delete(oldest);
  }
  keyCache.set(name, key);
  return key;
}

/**
 * Whether the bare Ed25519 signature holds. Never throws for hostile input. Runs in node:crypto,
 * which refuses malleable signatures (S not below the group order, RFC 8032 §5.1.7) where tweetnacl
 * accepts them.
 *
 * Test only: the published vectors have no label; everything else uses `signatureHolds`.
 */
export function verifyBytes(
  publicKey: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  if (publicKey.length !== PUBLIC_KEY_BYTES || signature.length !== SIGNATURE_BYTES) return false;
  if (isWeakSigningKey(publicKey)) return false;
  try {
    return verify(null, message, verificationKey(publicKey), signature);
  } catch {
    // Any error: OpenSSL fails only for a public key that is no point of the curve, and nothing can
    // be signed by such a key.
    return false;
  }
}

/**
 * Whether `signed` carries a signature by `publicKey` under `label`. Never throws for hostile
 * input.
 */
export function signatureHolds(publicKey: Uint8Array, label: string, signed: Signed): boolean {
  return verifyBytes(publicKey, concat(labelled(label), signed.body), signed.signature);
}
