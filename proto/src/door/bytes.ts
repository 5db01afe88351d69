/**
 * Fields that hold bytes.
 *
 * protobufjs decodes bytes as views over the input. What is small is copied here, so that a kept id
 * or hash does not pin a whole frame; only fields made with `view` still lie over the decoded
 * buffer, and their types say so.
 */
import { HASH_BYTES, ID_BYTES, SIGNATURE_BYTES } from '../limits.ts';
import type {
  AgentId,
  ChainId,
  ChunkId,
  CollectorId,
  CommitHash,
  FileId,
  GroupId,
  LineageId,
  SourceId,
  VaultId,
} from '../types.ts';
import { type Field, refusal } from './field.ts';

function between(value: unknown, label: string, min: number, max: number): Uint8Array {
  if (!(value instanceof Uint8Array)) throw refusal('FORMAT_MALFORMED', label, 'is no byte string');
  if (value.length > max) {
    const code = min === max ? 'FORMAT_MALFORMED' : 'FORMAT_LIMIT';
    throw refusal(code, label, `has ${value.length} bytes, more than the ${max} allowed`);
  }
  if (value.length < min)
    throw refusal(
      'FORMAT_MALFORMED',
      label,
      `has ${value.length} bytes, fewer than the ${min} needed`,
    );
  return value;
}

/** `min` to `max` bytes, copied out of the input. */
export function bytes(min: number, max: number): Field<Uint8Array> {
  return {
    // The constructor copies, and gives a plain Uint8Array even where the input's default value is
    // an empty Buffer.
    read: (wire, label) => new Uint8Array(between(wire, label, min, max)),
    write: (value, label) => between(value, label, min, max),
  };
}

/**
 * `min` to `max` bytes that stay a view over the decoded input: for what is as large as the input
 * itself.
 */
export function view(min: number, max: number): Field<Uint8Array> {
  return {
    read: (wire, label) => between(wire, label, min, max),
    write: (value, label) => between(value, label, min, max),
  };
}

function fixed<T extends Uint8Array>(length: number): Field<T> {
  return bytes(length, length) as Field<T>;
}

export const vaultId: Field<VaultId> = fixed<VaultId>(ID_BYTES);
export const agentId: Field<AgentId> = fixed<AgentId>(ID_BYTES);
export const lineageId: Field<LineageId> = fixed<LineageId>(ID_BYTES);
export const groupId: Field<GroupId> = fixed<GroupId>(ID_BYTES);
export const chainId: Field<ChainId> = fixed<ChainId>(ID_BYTES);
export const collectorId: Field<CollectorId> = fixed<CollectorId>(ID_BYTES);
export const sourceId: Field<SourceId> = fixed<SourceId>(ID_BYTES);
export const fileId: Field<FileId> = fixed<FileId>(HASH_BYTES);
export const chunkId: Field<ChunkId> = fixed<ChunkId>(HASH_BYTES);
export const commitHash: Field<CommitHash> = fixed<CommitHash>(HASH_BYTES);
/** A hash, a public key, a seed or a secret. */
export const hash: Field<Uint8Array> = fixed<Uint8Array>(HASH_BYTES);
export const signature: Field<Uint8Array> = fixed<Uint8Array>(SIGNATURE_BYTES);

/**
 * `min` to `max` values of 32 bytes, back to back in one byte string on the wire: no overhead, no
 * object for each before the limit.
 */
function run<T extends Uint8Array>(min: number, max: number): Field<readonly T[]> {
  return {
    read(wire, label) {
      const all = between(wire, label, min * HASH_BYTES, max * HASH_BYTES);
      if (all.length % HASH_BYTES !== 0)
        throw refusal('FORMAT_MALFORMED', label, `is no multiple of ${HASH_BYTES} bytes`);
      const parts: T[] = [];
      for (let at = 0; at < all.length; at += HASH_BYTES)
        parts.push(all.slice(at, at + HASH_BYTES) as unknown as T);
      return parts;
    },
    write(value, label) {
      if (value.length > max)
        throw refusal(
          'FORMAT_LIMIT',
          label,
          `has ${value.length} elements, more than the ${max} allowed`,
        );
      if (value.length < min)
        throw refusal(
          'FORMAT_MALFORMED',
          label,
          `has ${value.length} elements, fewer than the ${min} needed`,
        );
      const all = new Uint8Array(value.length * HASH_BYTES);
      let at = 0;
      for (const part of value) {
        all.set(between(part, label, HASH_BYTES, HASH_BYTES), at);
        at += HASH_BYTES;
      }
      return all;
    },
  };
}

/** Keys or Merkle nodes, each 32 bytes. */
export const hashes = (min: number, max: number): Field<readonly Uint8Array[]> =>
  run<Uint8Array>(min, max);
/** Ids of files. */
export const fileIds = (min: number, max: number): Field<readonly FileId[]> =>
  run<FileId>(min, max);
/** Ids of chunks and pages. */
export const chunkIds = (min: number, max: number): Field<readonly ChunkId[]> =>
  run<ChunkId>(min, max);
