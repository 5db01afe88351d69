import type { Random } from '../ports.ts';
import { type BoxKey, boxOpen, boxSeal, newBoxKey } from './box.ts';
import { concat, lengthPrefixed, wipe } from './bytes.ts';
import { CryptoError, labelled, sha512 } from './primitives.ts';

const NONCE_BYTES = 24;

/**
 * Bytes that only one key opens, and the public half of the pair that was forgotten when they were
 * sealed.
 */
export interface SealedBox {
  readonly ephemeralKey: Uint8Array;
  readonly sealed: Uint8Array;
}

/**
 * First 24 bytes of SHA-512(label ‖ ephemeral key ‖ recipient key ‖ each part of the context behind
 * its length).
 */
function nonceOf(
  label: string,
  ephemeralKey: Uint8Array,
  recipientKey: Uint8Array,
  context: readonly Uint8Array[],
): Uint8Array {
  return sha512(
    labelled(label),
    concat(ephemeralKey, recipientKey),
    lengthPrefixed(...context),
  ).slice(0, NONCE_BYTES);
}

/**
 * Seals bytes of any length to one recipient, as a wrap does keys: NaCl's crypto_box from an
 * ephemeral key that is forgotten before this returns. It opens only with the same label and
 * context. Who sealed it is not proved: where that matters, it has to be signed.
 */
export function sealTo(
  recipientKey: Uint8Array,
  label: string,
  context: readonly Uint8Array[],
  plaintext: Uint8Array,
  random: Random,
): SealedBox {
  const ephemeral = newBoxKey(random);
  try {
    const nonce = nonceOf(label, ephemeral.publicKey, recipientKey, context);
    return {
      ephemeralKey: ephemeral.publicKey,
      sealed: boxSeal(plaintext, nonce, recipientKey, ephemeral.secretKey),
    };
  } finally {
    wipe(ephemeral.secretKey);
  }
}

/**
 * What was sealed; undefined when it was altered, or sealed to another key or in another context.
 */
export function openSealed(
  boxKey: BoxKey,
  label: string,
  context: readonly Uint8Array[],
  box: SealedBox,
): Uint8Array | undefined {
  try {
    const nonce = nonceOf(label, box.ephemeralKey, boxKey.publicKey, context);
    return boxOpen(box.sealed, nonce, box.ephemeralKey, boxKey.secretKey);
  } catch (error) {
    // A key of low order, or of another length: nobody sealed anything with it.
    if (error instanceof CryptoError) return undefined;
    throw error;
  }
}
