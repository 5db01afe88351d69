import {
  decodeHoldPaths,
  decodeHoldReleaseBody,
  decodeHoldResolutionBody,
  encodeHoldPaths,
  encodeHoldReleaseBody,
  encodeHoldResolutionBody,
  FormatError,
  type HoldBody,
  type HoldReleaseBody,
  type HoldResolutionBody,
  type Signed,
  type VaultDescriptorBody,
  type VaultId,
} from '@aliquot/proto';
import type { BoxKey } from '../crypto/box.ts';
import { concat } from '../crypto/bytes.ts';
import { openSealed, sealTo } from '../crypto/sealed-box.ts';
import { type SigningKey, sign } from '../crypto/sign.ts';
import type { Random } from '../ports.ts';
import { operatorOf, verifyOperator } from './operator-certificate.ts';
import { requireVault, verified } from './statement.ts';

const PATHS_SEAL = 'aliquot/v1/hold-paths';
const RESOLUTION = 'aliquot/v1/hold-resolution';
const RELEASE = 'aliquot/v1/hold-release';
const KEY_BYTES = 32;

/**
 * The patterns of a hold for whoever has the catalog key: the collector of a vault that is not
 * blind, and the kit.
 */
export function sealHoldPaths(
  { vaultId, catalogKey }: Pick<VaultDescriptorBody, 'vaultId' | 'catalogKey'>,
  { holdId }: Pick<HoldBody, 'holdId'>,
  globs: readonly string[],
  random: Random,
): Uint8Array {
  const paths = encodeHoldPaths({ version: 1, globs });
  const { ephemeralKey, sealed } = sealTo(catalogKey, PATHS_SEAL, [vaultId, holdId], paths, random);
  return concat(ephemeralKey, sealed);
}

/** What `sealHoldPaths` sealed; undefined where it does not open, or is none. */
export function openHoldPaths(
  catalogKey: BoxKey,
  { vaultId, holdId, paths }: Pick<HoldBody, 'vaultId' | 'holdId' | 'paths'>,
): readonly string[] | undefined {
  if (paths === undefined) return undefined;
  const box = { ephemeralKey: paths.slice(0, KEY_BYTES), sealed: paths.slice(KEY_BYTES) };
  const open = openSealed(catalogKey, PATHS_SEAL, [vaultId, holdId], box);
  if (open === undefined) return undefined;
  try {
    return decodeHoldPaths(open).globs;
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return undefined;
  }
}

/** The authority's word which files a hold's patterns fit: a part of it. */
export function issueHoldResolution(authority: SigningKey, body: HoldResolutionBody): Signed {
  return sign(authority, RESOLUTION, encodeHoldResolutionBody(body));
}

/**
 * Throws CertificateError unless the vault's authority signed it. Whether its head is one of a log
 * is the caller's to prove.
 */
export function verifyHoldResolution(
  authorityKey: Uint8Array,
  vaultId: VaultId,
  signed: Signed,
): HoldResolutionBody {
  const what = 'resolution of a hold';
  const body = verified(what, authorityKey, RESOLUTION, decodeHoldResolutionBody, signed);
  requireVault(what, vaultId, body.vaultId);
  return body;
}

/**
 * The word of the authority, or of an operator with the purpose `retention`, that a hold is over.
 */
export function issueHoldRelease(signer: SigningKey, body: HoldReleaseBody): Signed {
  return sign(signer, RELEASE, encodeHoldReleaseBody(body));
}

/**
 * A release by the vault's authority, or by the operator whose certificate stands beside it and
 * holds at `takenAtMs`: by default at the time that it bears, for it is verified again years later.
 * `by` is the operator's name. Throws CertificateError.
 */
export function verifyHoldRelease(
  authorityKey: Uint8Array,
  vaultId: VaultId,
  { release, operator }: { readonly release: Signed; readonly operator: Signed | undefined },
  takenAtMs?: number,
): HoldReleaseBody & { readonly by: string | undefined } {
  const what = 'release of a hold';
  const certified = operator && operatorOf(authorityKey, vaultId, operator);
  const signer = certified?.signKey ?? authorityKey;
  const body = verified(what, signer, RELEASE, decodeHoldReleaseBody, release);
  requireVault(what, vaultId, body.vaultId);
  if (operator !== undefined)
    verifyOperator(authorityKey, vaultId, operator, 'retention', takenAtMs ?? body.releasedAtMs);
  return { ...body, by: certified?.name };
}
