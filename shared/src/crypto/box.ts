import { createPrivateKey, createPublicKey, diffieHellman, type KeyObject } from 'node:crypto';
import nacl from 'tweetnacl';
import type { Random } from '../ports.ts';
import { wipe } from './bytes.ts';
import { CryptoError, equalBytes } from './primitives.ts';

/** An X25519 key pair (RFC 7748), 32 bytes each. */
export interface BoxKey {
  readonly publicKey: Uint8Array;
  readonly secretKey: Uint8Array;
}

const KEY_BYTES = 32;

/**
 * HSalsa20 (Bernstein, "Extending the Salsa20 nonce"): a part of tweetnacl that its types leave
 * out.
 */
const { crypto_core_hsalsa20: hsalsa20 } = (nacl as unknown as { readonly lowlevel: Lowlevel })
  .lowlevel;
interface Lowlevel {
  crypto_core_hsalsa20(
    out: Uint8Array,
    nonce: Uint8Array,
    key: Uint8Array,
    constant: Uint8Array,
  ): number;
}
const NO_NONCE = new Uint8Array(16);
const SIGMA = new TextEncoder().encode('expand 32-byte k');

const ZERO = new Uint8Array(KEY_BYTES);

/*
 * Node's X25519 costs a tenth of one in JavaScript. A collector does two for every hello, before
 * anybody has proved anything, so their price is what a flood of hellos costs it. It takes keys in
 * ASN.1 only (RFC 8410).
 */
const PRIVATE_PREFIX = Buffer.from('302e020100300506032b656e04220420', 'hex');
const PUBLIC_PREFIX = Buffer.from('302a300506032b656e032100', 'hex');

function privateKeyOf(secretKey: Uint8Array): KeyObject {
  const der = Buffer.concat([PRIVATE_PREFIX, secretKey]);
  try {
    return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  } finally {
    wipe(der);
  }
}

function publicKeyOf(publicKey: Uint8Array): KeyObject {
  return createPublicKey({
    key: Buffer.concat([PUBLIC_PREFIX, publicKey]),
    format: 'der',
    type: 'spki',
  });
}

function checkLength(what: string, key: Uint8Array): void {
  if (key.length !== KEY_BYTES)
    throw new CryptoError('CRYPTO_LENGTH', `${what} has ${KEY_BYTES} bytes, not ${key.length}`);
}

/** One side of an agreement that is made once, as in a handshake; its secret is nowhere else. */
export interface Agreement {
  readonly publicKey: Uint8Array;
  /** As `x25519`. */
  agree(otherKey: Uint8Array): Uint8Array;
}

/** Draws 32 bytes of `random`; costs half of a key pair and `x25519`, which decode keys twice. */
export function newAgreement(random: Random): Agreement {
  const drawn = random.bytes(KEY_BYTES);
  const key = privateKeyOf(drawn);
  wipe(drawn);
  return { publicKey: publicPart(key), agree: (otherKey) => agreedWith(key, otherKey) };
}

/** As a JWK, which Node writes in a twentieth of the time of DER. */
function publicPart(key: KeyObject): Uint8Array {
  const { x = '' } = createPublicKey(key).export({ format: 'jwk' });
  return new Uint8Array(Buffer.from(x, 'base64url'));
}

/**
 * A fresh key pair from 32 bytes of `random`. The only copy of the secret is the one in the result.
 */
export function newBoxKey(random: Random): BoxKey {
  const drawn = random.bytes(KEY_BYTES);
  const key = boxKeyFromSecret(drawn);
  wipe(drawn);
  return key;
}

/** The key pair that a stored secret stands for; the secret is copied. */
export function boxKeyFromSecret(secretKey: Uint8Array): BoxKey {
  checkLength('an X25519 secret key', secretKey);
  return {
    publicKey: publicPart(privateKeyOf(secretKey)),
    secretKey: new Uint8Array(secretKey),
  };
}

/**
 * X25519 (RFC 7748 §6.1): the raw shared secret; derive keys from it, never use it as one. Refuses
 * (CRYPTO_WEAK_KEY) the all-zero result, which a low-order public key forces.
 *
 * Test only: the published vectors name both keys; a handshake uses `newAgreement`.
 */
export function x25519(secretKey: Uint8Array, publicKey: Uint8Array): Uint8Array {
  checkLength('an X25519 secret key', secretKey);
  return agreedWith(privateKeyOf(secretKey), publicKey);
}

function agreedWith(key: KeyObject, publicKey: Uint8Array): Uint8Array {
  checkLength('an X25519 public key', publicKey);
  const shared = agreed(key, publicKey);
  if (shared === undefined || equalBytes(shared, ZERO)) {
    throw new CryptoError(
      'CRYPTO_WEAK_KEY',
      'the public key is of low order: its secrets are no secrets',
    );
  }
  return shared;
}

/**
 * OpenSSL fails where the result would be zero; with 32 bytes on both sides it has no other reason
 * to.
 */
function agreed(privateKey: KeyObject, publicKey: Uint8Array): Uint8Array | undefined {
  const keys = { privateKey, publicKey: publicKeyOf(publicKey) };
  try {
    return new Uint8Array(diffieHellman(keys));
  } catch {
    // Any error: see above.
    return undefined;
  }
}

/**
 * The key that crypto_box uses between two parties (NaCl: HSalsa20 of X25519 and no nonce). Refuses
 * low-order keys (CRYPTO_WEAK_KEY).
 */
function agreement(publicKey: Uint8Array, secretKey: Uint8Array): Uint8Array {
  const shared = x25519(secretKey, publicKey);
  const key = new Uint8Array(KEY_BYTES);
  hsalsa20(key, NO_NONCE, shared, SIGMA);
  wipe(shared);
  return key;
}

/**
 * NaCl's crypto_box: XSalsa20-Poly1305 between two keys, 16 bytes longer than the plaintext.
 * `nonce` is 24 bytes.
 */
export function boxSeal(
  plaintext: Uint8Array,
  nonce: Uint8Array,
  publicKey: Uint8Array,
  secretKey: Uint8Array,
): Uint8Array {
  const key = agreement(publicKey, secretKey);
  const sealed = nacl.secretbox(plaintext, nonce, key);
  wipe(key);
  return new Uint8Array(sealed);
}

/** Opens what `boxSeal` made; `undefined` when key, nonce or bytes do not belong together. */
export function boxOpen(
  sealed: Uint8Array,
  nonce: Uint8Array,
  publicKey: Uint8Array,
  secretKey: Uint8Array,
): Uint8Array | undefined {
  const key = agreement(publicKey, secretKey);
  const plaintext = nacl.secretbox.open(sealed, nonce, key);
  wipe(key);
  return plaintext === null ? undefined : new Uint8Array(plaintext);
}
