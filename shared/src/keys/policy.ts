/**
 * The policy of a vault: its sealed text, and who signed it (FORMAT.md, "PolicyBody"). What it says
 * is read in `settings/`.
 */
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import {
  decodePolicyBody,
  encodePolicyBody,
  encodeRetentionRules,
  MAX_POLICY_BYTES,
  MAX_SEALED_POLICY_BYTES,
  type PolicyBody,
  type RetentionRules,
  type Signed,
} from '@aliquot/proto';
import type { BoxKey } from '../crypto/box.ts';
import { concat, utf8 } from '../crypto/bytes.ts';
import { equalBytes, sha256 } from '../crypto/primitives.ts';
import { openSealed, type SealedBox, sealTo } from '../crypto/sealed-box.ts';
import { type SigningKey, sign } from '../crypto/sign.ts';
import type { Random } from '../ports.ts';
import { CertificateError, requireVault, verified } from './certificates.ts';
import { verifyOperator } from './operator-certificate.ts';
import { SettingsError } from './settings-errors.ts';
import { type SigningVault, signerOf } from './settings-signer.ts';

const POLICY = 'aliquot/v1/policy';
const POLICY_SEAL = 'aliquot/v1/policy-seal';
const KEY_BYTES = 32;

/**
 * The text of a policy, compressed and sealed to the policy key: its ephemeral key, then the box.
 * Errors: `POLICY_LIMIT`.
 */
export function sealPolicyText(
  policyKey: Uint8Array,
  { vaultId }: SigningVault,
  text: string,
  random: Random,
): Uint8Array {
  const bytes = utf8(text);
  const packed = zstdCompressSync(bytes, { params: { [constants.ZSTD_c_compressionLevel]: 19 } });
  const { ephemeralKey, sealed } = sealTo(policyKey, POLICY_SEAL, [vaultId], packed, random);
  const all = concat(ephemeralKey, sealed);
  if (bytes.length > MAX_POLICY_BYTES || all.length > MAX_SEALED_POLICY_BYTES) {
    const way = 'say in groups and defaults what now stands with single PCs';
    throw new SettingsError(
      'POLICY_LIMIT',
      `the policy is larger than the ${MAX_SEALED_POLICY_BYTES / 1024} KiB that it may take sealed; ${way}`,
    );
  }
  return all;
}

/** What `sealPolicyText` sealed. Errors: `POLICY_UNREADABLE`. */
export function openPolicyText(
  policyKey: BoxKey,
  { vaultId }: SigningVault,
  all: Uint8Array,
): string {
  const box: SealedBox = { ephemeralKey: all.slice(0, KEY_BYTES), sealed: all.slice(KEY_BYTES) };
  const packed = openSealed(policyKey, POLICY_SEAL, [vaultId], box);
  if (packed === undefined)
    throw new SettingsError(
      'POLICY_UNREADABLE',
      'the policy does not open with this key: it was altered',
    );
  try {
    return zstdDecompressSync(packed, { maxOutputLength: MAX_POLICY_BYTES }).toString('utf8');
  } catch (cause) {
    throw new SettingsError(
      'POLICY_UNREADABLE',
      'the policy is no text that this release can unfold',
      { cause },
    );
  }
}

/** Signs that the policy was set. */
export function issuePolicy(key: SigningKey, body: PolicyBody): Signed {
  return sign(key, POLICY, encodePolicyBody(body));
}

/**
 * Throws CertificateError unless the authority, or an operator certified for settings at `nowMs`,
 * signed exactly this policy.
 */
export function verifyPolicy(
  vault: SigningVault,
  {
    policy,
    certificate,
    sealed,
  }: {
    readonly policy: Signed;
    readonly certificate: Signed | undefined;
    readonly sealed: Uint8Array;
  },
  nowMs: number,
): PolicyBody {
  const body = verified(
    'policy',
    signerOf(vault, certificate, nowMs),
    POLICY,
    decodePolicyBody,
    policy,
  );
  requireVault('policy', vault.vaultId, body.vaultId);
  if (!equalBytes(sha256(sealed), body.sealedHash))
    throw new CertificateError(
      'CERT_SIGNATURE',
      'the policy’s text is not the one that was signed',
    );
  return body;
}

/**
 * Throws CertificateError unless a verified policy leaves the rules of retention as they are in
 * force, or who signed it may change them: the authority, or an operator certified for retention at
 * `nowMs`.
 */
export function verifyRules(
  { authorityKey, vaultId }: SigningVault,
  { rules }: PolicyBody,
  certificate: Signed | undefined,
  inForce: RetentionRules | undefined,
  nowMs: number,
): void {
  if (certificate === undefined || isSameRules(rules, inForce)) return;
  verifyOperator(authorityKey, vaultId, certificate, 'retention', nowMs);
}

/** Whether two policies keep the same, byte for byte. */
function isSameRules(one: RetentionRules | undefined, other: RetentionRules | undefined): boolean {
  if (one === undefined || other === undefined) return one === other;
  return equalBytes(encodeRetentionRules(one), encodeRetentionRules(other));
}
