import type {
  DedupSecret,
  FileId,
  GroupId,
  LineageId,
  ResultId,
  SourceId,
  VaultDescriptorBody,
  VaultId,
  VaultParameters,
} from '@aliquot/proto';
import { type BoxKey, boxKeyFromSecret } from '../crypto/box.ts';
import { CryptoError, hkdf, hmacSha256, labelled } from '../crypto/primitives.ts';
import { pathIdentity } from './path-case.ts';

/** The convergent subkeys of one dedup epoch. */
export interface EpochKeys {
  readonly chunkSubkey: Uint8Array;
  readonly pageSubkey: Uint8Array;
  readonly slabSubkey: Uint8Array;
}

/**
 * All that sealing and opening chunks and pages of one vault needs. On agents, and wherever a kit
 * is open.
 */
export interface VaultKeys {
  readonly vaultId: VaultId;
  readonly parameters: VaultParameters;
  /** The epoch that new chunks are sealed in: the highest of `epochs`. */
  readonly currentEpoch: number;
  readonly epochs: ReadonlyMap<number, EpochKeys>;
  /** 32 bytes from which the vault's gear table grows; always of epoch 1. */
  readonly gearSeed: Uint8Array;
}

const SUBKEY_BYTES = 32;
const PATH_ID_BYTES = 16;
const FIRST_EPOCH = 1;

/**
 * The key under which chunk keys are made from content: HKDF of the dedup secret, salted with the
 * vault.
 */
function chunkSubkey(secret: DedupSecret, vaultId: VaultId): Uint8Array {
  return hkdf(secret.secret, vaultId, 'aliquot/v1/chunk-subkey', SUBKEY_BYTES);
}

/** The key under which page keys are made from page content. */
function pageSubkey(secret: DedupSecret, vaultId: VaultId): Uint8Array {
  return hkdf(secret.secret, vaultId, 'aliquot/v1/page-subkey', SUBKEY_BYTES);
}

/** The key under which the keys of slabs are made from all their pieces. */
function slabSubkey(secret: DedupSecret, vaultId: VaultId): Uint8Array {
  return hkdf(secret.secret, vaultId, 'aliquot/v1/slab-subkey', SUBKEY_BYTES);
}

/** The seed of the vault's gear table. */
function gearSeed(secret: DedupSecret, vaultId: VaultId): Uint8Array {
  return hkdf(secret.secret, vaultId, 'aliquot/v1/gear-seed', SUBKEY_BYTES);
}

/**
 * The keys of a vault from all its dedup secrets. Epoch 1 must be among them
 * (CRYPTO_MISSING_EPOCH): the gear table stays that of the first epoch, for cuts that moved with
 * every revocation would send every file again.
 */
export function vaultKeysFrom(
  dedupSecrets: readonly DedupSecret[],
  descriptor: VaultDescriptorBody,
): VaultKeys {
  const first = dedupSecrets.find((secret) => secret.epoch === FIRST_EPOCH);
  if (first === undefined) {
    throw new CryptoError(
      'CRYPTO_MISSING_EPOCH',
      `the dedup secret of epoch ${FIRST_EPOCH} of vault ${descriptor.name} is missing`,
    );
  }
  const epochs = new Map<number, EpochKeys>();
  let currentEpoch = FIRST_EPOCH;
  for (const secret of dedupSecrets) {
    epochs.set(secret.epoch, {
      chunkSubkey: chunkSubkey(secret, descriptor.vaultId),
      pageSubkey: pageSubkey(secret, descriptor.vaultId),
      slabSubkey: slabSubkey(secret, descriptor.vaultId),
    });
    currentEpoch = Math.max(currentEpoch, secret.epoch);
  }
  return {
    vaultId: descriptor.vaultId,
    parameters: descriptor.parameters,
    currentEpoch,
    epochs,
    gearSeed: gearSeed(first, descriptor.vaultId),
  };
}

/**
 * A group's secret: stands in the group's bundle, and each of its agents makes its path key of it.
 */
export function groupSecretFor(pathSecret: Uint8Array, groupId: GroupId): Uint8Array {
  return hkdf(pathSecret, groupId, 'aliquot/v1/group-secret', SUBKEY_BYTES);
}

/** The path key of the lineage that an agent of a group begins. */
export function memberPathKey(groupSecret: Uint8Array, lineageId: LineageId): Uint8Array {
  return hkdf(groupSecret, lineageId, 'aliquot/v1/path-key', SUBKEY_BYTES);
}

/**
 * A lineage's path key: goes into the bundle of each agent of the lineage, and can always be made
 * again from the kit. Of a lineage that began in a group it comes from that group's secret, which
 * the PC had.
 */
export function pathKeyFor(
  pathSecret: Uint8Array,
  { lineageId, lineageGroup }: Lineage,
): Uint8Array {
  return memberPathKey(
    lineageGroup === undefined ? pathSecret : groupSecretFor(pathSecret, lineageGroup),
    lineageId,
  );
}

/** A line of agents, as certificates name it. */
export interface Lineage {
  readonly lineageId: LineageId;
  /** The group in which it began. */
  readonly lineageGroup?: GroupId | undefined;
}

/**
 * The id of a file: the first 16 bytes of an HMAC of its exact path bytes, of a path of Windows in
 * one case (`oneCase`). The same path in the same lineage is the same file; nobody else can tell.
 */
export function fileIdFor(pathKey: Uint8Array, path: Uint8Array): FileId {
  return hmacSha256(pathKey, labelled('aliquot/v1/file-id'), pathIdentity(path)).slice(
    0,
    PATH_ID_BYTES,
  ) as FileId;
}

/**
 * The id of a result: the first 16 bytes of an HMAC of its root's path, likewise.
 */
export function resultIdFor(pathKey: Uint8Array, path: Uint8Array): ResultId {
  return hmacSha256(pathKey, labelled('aliquot/v1/result-id'), pathIdentity(path)).slice(
    0,
    PATH_ID_BYTES,
  ) as ResultId;
}

/** The id of a source: the first 16 bytes of an HMAC of its root path, likewise. */
export function sourceIdFor(pathKey: Uint8Array, path: Uint8Array): SourceId {
  return hmacSha256(pathKey, labelled('aliquot/v1/source-id'), pathIdentity(path)).slice(
    0,
    PATH_ID_BYTES,
  ) as SourceId;
}

/**
 * The vault's policy key, X25519: the policy is sealed to it, and so is what PCs say of their
 * settings. It follows from the kit, and operators who make settings have it in their key files; no
 * collector does.
 */
export function policyKeyFor(pathSecret: Uint8Array, vaultId: VaultId): BoxKey {
  return boxKeyFromSecret(hkdf(pathSecret, vaultId, 'aliquot/v1/policy-key', SUBKEY_BYTES));
}
