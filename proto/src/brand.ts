/**
 * Constructors of the branded ids: the only way from bytes to an id outside the door. Each checks
 * the length and returns the same bytes, not a copy.
 *
 * @throws FormatError `FORMAT_MALFORMED` when the length is wrong.
 */
import { FormatError } from './errors.ts';
import { HASH_BYTES, ID_BYTES } from './limits.ts';
import type {
  AgentId,
  ChainId,
  ChunkId,
  CollectorId,
  CommitHash,
  FileId,
  GroupId,
  HoldId,
  LineageId,
  PurgeId,
  SourceId,
  VaultId,
} from './types.ts';

function sized(what: string, length: number, bytes: Uint8Array): Uint8Array {
  if (!(bytes instanceof Uint8Array) || bytes.length !== length) {
    throw new FormatError('FORMAT_MALFORMED', `${what} must be ${length} bytes`);
  }
  return bytes;
}

/** 32 bytes: SHA-256 of the sealed bytes of a chunk or page, or of a slab's directory. */
export const asChunkId = (bytes: Uint8Array): ChunkId =>
  sized('chunk id', HASH_BYTES, bytes) as ChunkId;
/** 32 bytes: hash of a commit's header. */
export const asCommitHash = (bytes: Uint8Array): CommitHash =>
  sized('commit hash', HASH_BYTES, bytes) as CommitHash;
/** 16 bytes: derived from the vault's authority key. */
export const asVaultId = (bytes: Uint8Array): VaultId =>
  sized('vault id', ID_BYTES, bytes) as VaultId;
/** 16 bytes: random, chosen at enrolment. */
export const asAgentId = (bytes: Uint8Array): AgentId =>
  sized('agent id', ID_BYTES, bytes) as AgentId;
/** 16 bytes: the id of the first agent of a line of replacements. */
export const asLineageId = (bytes: Uint8Array): LineageId =>
  sized('lineage id', ID_BYTES, bytes) as LineageId;
/** 16 bytes: random for each installation. */
export const asChainId = (bytes: Uint8Array): ChainId =>
  sized('chain id', ID_BYTES, bytes) as ChainId;
/** 16 bytes: derived from the collector's signing key. */
export const asCollectorId = (bytes: Uint8Array): CollectorId =>
  sized('collector id', ID_BYTES, bytes) as CollectorId;
/** 16 bytes: derived from the group's key. */
export const asGroupId = (bytes: Uint8Array): GroupId =>
  sized('group id', ID_BYTES, bytes) as GroupId;
/** 16 bytes: random for each hold. */
export const asHoldId = (bytes: Uint8Array): HoldId => sized('hold id', ID_BYTES, bytes) as HoldId;
/** 16 bytes: random for each purge. */
export const asPurgeId = (bytes: Uint8Array): PurgeId =>
  sized('purge id', ID_BYTES, bytes) as PurgeId;
/** 16 bytes: HMAC of a path under the lineage's path key. */
export const asFileId = (bytes: Uint8Array): FileId => sized('file id', ID_BYTES, bytes) as FileId;
/**
 * 16 bytes: HMAC of a source's root under the lineage's path key. Test only: `sourceIdFor` makes
 * them.
 */
export const asSourceId = (bytes: Uint8Array): SourceId =>
  sized('source id', ID_BYTES, bytes) as SourceId;
