import { asChunkId, type ChunkId, type Ref, type StoredKind, type VaultId } from '@aliquot/proto';
import { release, unwritten } from '../crypto/bytes.ts';
import {
  AEAD_TAG_BYTES,
  aeadOpen,
  aeadSealInto,
  equalBytes,
  hmacSha256,
  sha256,
  ZERO_NONCE,
} from '../crypto/primitives.ts';
import type { VaultKeys } from '../keys/derive.ts';
import { decode, encodeForNow } from './codec.ts';
import { SealError } from './errors.ts';

/** What is sealed as one, under one key. */
export type SealedKind = Exclude<StoredKind, 'slab'>;

/**
 * A chunk or page ready to be stored: what is sent (`id`, `kind`, `sealed`) and what only its
 * commit's keys open (`key`).
 */
export interface SealedItem {
  readonly id: ChunkId;
  readonly kind: SealedKind;
  readonly sealed: Uint8Array;
  /** 32 bytes, secret: opens this item and nothing else. */
  readonly key: Uint8Array;
  readonly plainSize: number;
  readonly epoch: number;
}

export interface SealedChunk extends SealedItem {
  readonly kind: 'chunk';
}

const FORMAT_VERSION = 1;
const kindByte: Record<SealedKind, number> = { chunk: 1, page: 2 };

/**
 * What every chunk and page authenticates beside its content: "ALQ", format version, kind, vault.
 */
export function itemHeader(kind: SealedKind, vaultId: VaultId): Uint8Array {
  const header = new Uint8Array(5 + vaultId.length);
  header.set([0x41, 0x4c, 0x51, FORMAT_VERSION, kindByte[kind]]);
  header.set(vaultId, 5);
  return header;
}

/** How a content list names a sealed item. */
export function refOf(item: SealedItem): Ref {
  return { id: item.id, plainSize: item.plainSize, epoch: item.epoch };
}

/**
 * Encodes and seals one chunk under the vault's current dedup epoch.
 *
 * Convergent: `key = HMAC-SHA-256(chunk subkey, encoded)`, AES-256-GCM with a zero nonce, `id =
 * SHA-256(sealed)`. The key depends on exactly the bytes that it encrypts, so it never meets a
 * second message; that is what makes the fixed nonce safe. Same content and vault give the same id
 * on every agent.
 *
 * @param memory Gives the bytes that it is sealed into.
 * @throws SealError `SEAL_EPOCH_UNKNOWN`, `SEAL_VERSION_UNKNOWN`.
 */
export function sealChunk(
  keys: VaultKeys,
  plain: Uint8Array,
  memory: (bytes: number) => Uint8Array = unwritten,
): SealedChunk {
  const encoded = encodeForNow(plain, keys.parameters.encoderVersion);
  const key = hmacSha256(currentSubkeys(keys).chunkSubkey, encoded);
  const sealed = memory(encoded.length + AEAD_TAG_BYTES);
  aeadSealInto(sealed, key, ZERO_NONCE, encoded, itemHeader('chunk', keys.vaultId));
  return {
    id: asChunkId(sha256(sealed)),
    kind: 'chunk',
    sealed,
    key,
    plainSize: plain.length,
    epoch: keys.currentEpoch,
  };
}

/**
 * Opens one chunk: proves the id, then the key, then the size.
 *
 * @throws SealError `SEAL_ID_MISMATCH`, `SEAL_AUTHENTICATION`, `SEAL_SIZE_MISMATCH`,
 * `SEAL_CODEC_*`.
 */
export function openChunk(
  vaultId: VaultId,
  ref: Ref,
  key: Uint8Array,
  sealed: Uint8Array,
): Uint8Array {
  checkId('chunk', ref.id, sealed);
  const encoded = openSealed('chunk', key, sealed, itemHeader('chunk', vaultId));
  const plain = decode(encoded, ref.plainSize);
  // What was stored as it is lies in there still.
  if (plain.buffer !== encoded.buffer) release(encoded);
  if (plain.length !== ref.plainSize) {
    throw new SealError(
      'SEAL_SIZE_MISMATCH',
      `chunk ${shortId(ref.id)} holds ${plain.length} bytes, its reference says ${ref.plainSize}`,
    );
  }
  return plain;
}

/** The subkeys that new items are sealed with. */
export function currentSubkeys(keys: VaultKeys): {
  readonly chunkSubkey: Uint8Array;
  readonly pageSubkey: Uint8Array;
  readonly slabSubkey: Uint8Array;
} {
  const subkeys = keys.epochs.get(keys.currentEpoch);
  if (subkeys === undefined)
    throw new SealError(
      'SEAL_EPOCH_UNKNOWN',
      `no dedup secret for epoch ${keys.currentEpoch}; enrol this agent again`,
    );
  return subkeys;
}

/** @throws SealError `SEAL_ID_MISMATCH` when `bytes` are not what `id` stands for. */
export function checkId(kind: SealedKind, id: ChunkId, bytes: Uint8Array): void {
  if (!equalBytes(sha256(bytes), id))
    throw new SealError(
      'SEAL_ID_MISMATCH',
      `${kind} ${shortId(id)} is damaged: its bytes have another hash`,
    );
}

/** AES-256-GCM with the zero nonce of convergent items. @throws SealError `SEAL_AUTHENTICATION`. */
export function openSealed(
  kind: SealedKind,
  key: Uint8Array,
  sealed: Uint8Array,
  associated: Uint8Array,
): Uint8Array {
  try {
    return aeadOpen(key, ZERO_NONCE, sealed, associated);
  } catch (cause) {
    throw new SealError(
      'SEAL_AUTHENTICATION',
      `a ${kind} does not open with the key recorded for it`,
      { cause },
    );
  }
}

/** Enough of an id to find the item again in a log or a listing. */
export function shortId(id: ChunkId): string {
  return Buffer.from(id.buffer, id.byteOffset, 8).toString('hex');
}
