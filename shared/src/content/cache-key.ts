import type { ChunkId } from '@aliquot/proto';
import { gmac, hmacSha256, labelled, ZERO_NONCE } from '../crypto/primitives.ts';

const MAC_LABEL = 'aliquot/v1/cache-mac';
const FINGERPRINT_LABEL = 'aliquot/v1/cache-fingerprint';
const INDEX_LABEL = 'aliquot/v1/cache-index';
const MASK_LABEL = 'aliquot/v1/cache-mask';

/**
 * What the agent's local chunk cache is keyed with: a keyed hash of a chunk's plaintext (32 bytes,
 * secret while in use).
 *
 * Not the plain SHA-256: people publish those and compare files by them, and anyone who knew one
 * could unmask the key of a stolen PC's cache. Only the plaintext itself leads here.
 *
 * GMAC, because every byte that is read goes through it. Its tag is shown to nobody, so one nonce
 * serves; two chunks that nobody made for the purpose, knowing the secret, have the same with a
 * chance below 2^-100.
 *
 * @param cacheSecret 32 random bytes of this installation.
 */
export function chunkFingerprint(cacheSecret: Uint8Array, plain: Uint8Array): Uint8Array {
  const tag = gmac(hmacSha256(cacheSecret, labelled(MAC_LABEL)), ZERO_NONCE, plain);
  return hmacSha256(cacheSecret, labelled(FINGERPRINT_LABEL), tag);
}

/** Where the cache files a chunk (32 bytes). Does not lead back to the fingerprint. */
export function cacheIndex(fingerprint: Uint8Array): Uint8Array {
  return hmacSha256(fingerprint, labelled(INDEX_LABEL));
}

/**
 * A chunk key as the cache may hold it: combined with a mask that only the chunk's plaintext leads
 * to, so the cache of a stolen PC opens nothing (design: a known chunk needs no new sealing, yet no
 * bare key rests on disk). The id takes part, so that the same content sealed under two epochs
 * never meets one mask twice.
 */
export function maskKey(fingerprint: Uint8Array, id: ChunkId, key: Uint8Array): Uint8Array {
  const mask = hmacSha256(fingerprint, labelled(MASK_LABEL), id);
  return key.map((byte, index) => byte ^ (mask[index] as number));
}

/** The key again; the inverse of `maskKey`. A wrong fingerprint gives a key that opens nothing. */
export function unmaskKey(fingerprint: Uint8Array, id: ChunkId, maskedKey: Uint8Array): Uint8Array {
  return maskKey(fingerprint, id, maskedKey);
}
