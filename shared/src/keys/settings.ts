/**
 * The policy and the settings of PCs: who signed them, and who opens them (FORMAT.md, "PolicyBody"
 * to "SettingsDetail"). What they say is read in `settings/`.
 */
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import {
  type AgentId,
  AliquotError,
  decodePolicyBody,
  decodeSettingsBody,
  decodeSettingsContents,
  decodeSettingsDetail,
  type ErrorCodes,
  encodePolicyBody,
  encodeSettingsBody,
  encodeSettingsContents,
  encodeSettingsDetail,
  FormatError,
  MAX_POLICY_BYTES,
  MAX_SEALED_POLICY_BYTES,
  MAX_SETTINGS_DETAIL_CHARS,
  type PolicyBody,
  type Settings,
  type SettingsBody,
  type SettingsContents,
  type Signed,
  type VaultDescriptorBody,
} from '@aliquot/proto';
import type { BoxKey } from '../crypto/box.ts';
import { concat, utf8 } from '../crypto/bytes.ts';
import { equalBytes, sha256 } from '../crypto/primitives.ts';
import { openSealed, type SealedBox, sealTo } from '../crypto/sealed-box.ts';
import { type SigningKey, sign } from '../crypto/sign.ts';
import type { Random } from '../ports.ts';
import { CertificateError, requireVault, verified } from './certificates.ts';
import { verifyOperator } from './operator-certificate.ts';

const codes = {
  /** Not signed by anyone whom this vault's authority trusts with settings, or altered. */
  SETTINGS_FOREIGN: 'final',
  /** Genuine, but made for another PC. */
  SETTINGS_OTHER_PC: 'final',
  /** Genuine, but not newer than those in force. */
  SETTINGS_OLD: 'final',
  /** Numbered above the clock, so that nothing could follow them. */
  SETTINGS_SKIPS: 'final',
  /** Met after their term, or signed by an operator whose term is over. */
  SETTINGS_EXPIRED: 'final',
  /** They do not open with this PC's key. */
  SETTINGS_SEALED: 'final',
  /** What they say has mistakes. */
  SETTINGS_INVALID: 'final',
  /** They hold what this release of the agent does not know. */
  SETTINGS_UNKNOWN: 'final',
  /** The policy does not open, or is not the one that was signed. */
  POLICY_UNREADABLE: 'final',
  /** The policy is larger than a collector keeps. */
  POLICY_LIMIT: 'final',
} satisfies ErrorCodes;

export type SettingsErrorCode = keyof typeof codes;

/** Settings or a policy that are not believed, or cannot be used. */
export class SettingsError extends AliquotError<SettingsErrorCode> {
  static override readonly codes = codes;
}

const POLICY = 'aliquot/v1/policy';
const POLICY_SEAL = 'aliquot/v1/policy-seal';
const SETTINGS = 'aliquot/v1/settings';
const SETTINGS_SEAL = 'aliquot/v1/settings-seal';
const DETAIL_SEAL = 'aliquot/v1/settings-detail';
const KEY_BYTES = 32;

/**
 * Whether a policy or settings may have this number now: at most the milliseconds since 1970. Who
 * stole a settings key could else use up all numbers, and nothing that follows would ever be newer.
 * Numbers that are counted stay far below; every millisecond frees another one, for all PCs, those
 * that enrol later too, and for a collector that succeeds another.
 */
export function isNumberFree(sequence: number, nowMs: number): boolean {
  return sequence <= nowMs;
}

type Vault = Pick<VaultDescriptorBody, 'vaultId' | 'authorityKey'>;

/**
 * The key that signed: an operator's, where a certificate for settings stands beside it, else the
 * authority's. Throws CertificateError.
 */
function signerOf(
  { authorityKey, vaultId }: Vault,
  certificate: Signed | undefined,
  nowMs: number,
): Uint8Array {
  return certificate === undefined
    ? authorityKey
    : verifyOperator(authorityKey, vaultId, certificate, 'settings', nowMs).signKey;
}

// ---- the policy
// --------------------------------------------------------------------------------------------------

/**
 * The text of a policy, compressed and sealed to the policy key: its ephemeral key, then the box.
 * Errors: `POLICY_LIMIT`.
 */
export function sealPolicyText(
  policyKey: Uint8Array,
  { vaultId }: Vault,
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
export function openPolicyText(policyKey: BoxKey, { vaultId }: Vault, all: Uint8Array): string {
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
  vault: Vault,
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

// ---- settings
// ----------------------------------------------------------------------------------------------------

/** What settings are about, beside what they say. */
export interface SettingsTerms {
  readonly sequence: number;
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
  readonly groups: readonly string[];
}

/**
 * Signs settings for one PC, sealed to its box key, which must come from its verified certificate.
 */
export function issueSettings(
  key: SigningKey,
  { vaultId }: Vault,
  pc: { readonly agentId: AgentId; readonly boxKey: Uint8Array },
  terms: SettingsTerms,
  contents: SettingsContents,
  random: Random,
): Signed {
  const context = settingsContext(vaultId, pc.agentId, terms.sequence);
  const box = sealTo(pc.boxKey, SETTINGS_SEAL, context, encodeSettingsContents(contents), random);
  const body: SettingsBody = {
    version: 1,
    vaultId,
    agentId: pc.agentId,
    ...terms,
    ...box,
    contents: undefined,
  };
  return sign(key, SETTINGS, encodeSettingsBody(body));
}

/**
 * Signs settings that lie in clear in a bundle, which is a secret itself: for one agent, or
 * (undefined) for any PC that enrols with the bundle of a group.
 */
export function issueBundleSettings(
  key: SigningKey,
  { vaultId }: Vault,
  agentId: AgentId | undefined,
  terms: SettingsTerms,
  contents: SettingsContents,
): Signed {
  const clear = {
    ephemeralKey: undefined,
    sealed: undefined,
    contents: encodeSettingsContents(contents),
  };
  return sign(
    key,
    SETTINGS,
    encodeSettingsBody({ version: 1, vaultId, agentId, ...terms, ...clear }),
  );
}

function settingsContext(
  vaultId: Uint8Array,
  agentId: Uint8Array,
  sequence: number,
): readonly Uint8Array[] {
  return [vaultId, agentId, utf8(String(sequence))];
}

/**
 * Throws CertificateError unless the authority, or an operator certified for settings at `nowMs`,
 * signed exactly these.
 */
export function verifySettings(
  vault: Vault,
  { settings, certificate }: Settings,
  nowMs: number,
): SettingsBody {
  const body = verified(
    'settings',
    signerOf(vault, certificate, nowMs),
    SETTINGS,
    decodeSettingsBody,
    settings,
  );
  requireVault('settings', vault.vaultId, body.vaultId);
  return body;
}

/** Who judges settings that reach it. */
export interface SettingsOwner {
  readonly vault: Vault;
  readonly agentId: AgentId;
  readonly boxKey: BoxKey;
}

/** How they reached the PC. Only a bundle may hold them in clear, or for anyone who has it. */
export type SettingsWay = 'collector' | 'bundle';

/** Settings that are believed. */
export interface OpenSettings {
  readonly body: SettingsBody;
  readonly contents: SettingsContents;
}

/**
 * Believes settings, or says why not: they must be signed by a signer whom the vault's authority
 * trusts, be for this PC, be newer than those in force (`inForce`, 0: none) and within their term
 * at `nowMs`, and open with this PC's key. Errors: `SETTINGS_…`, each named for a person.
 */
export function judgeSettings(
  owner: SettingsOwner,
  given: Settings,
  way: SettingsWay,
  inForce: number,
  nowMs: number,
): OpenSettings {
  const body = genuine(owner, given, way, nowMs);
  const what = `settings ${body.sequence}`;
  if (body.sequence <= inForce)
    throw new SettingsError(
      'SETTINGS_OLD',
      `${what} are not newer than settings ${inForce}, which stay in force; set the policy again`,
    );
  if (!isNumberFree(body.sequence, nowMs))
    throw new SettingsError(
      'SETTINGS_SKIPS',
      `${what} are numbered too high; check this PC’s clock, and who signed them`,
    );
  if (nowMs >= body.expiresAtMs) {
    const expired = new Date(body.expiresAtMs).toISOString();
    throw new SettingsError(
      'SETTINGS_EXPIRED',
      `${what} could be taken until ${expired}; check this PC’s clock, or set the policy again`,
    );
  }
  return { body, contents: opened(owner, body, way) };
}

/**
 * Opens settings that were believed once, and kept: which number and which terms they have was
 * judged then, by the clock of then. Errors: `SETTINGS_FOREIGN`, `SETTINGS_OTHER_PC`,
 * `SETTINGS_SEALED`, `SETTINGS_UNKNOWN`.
 */
export function openSettings(
  owner: SettingsOwner,
  given: Settings,
  way: SettingsWay,
): OpenSettings {
  const body = genuine(owner, given, way, BEFORE_ALL_TERMS);
  return { body, contents: opened(owner, body, way) };
}

const BEFORE_ALL_TERMS = 0;

/** Settings for this PC by a signer whom its authority trusts at `nowMs`. */
function genuine(
  { vault, agentId }: SettingsOwner,
  given: Settings,
  way: SettingsWay,
  nowMs: number,
): SettingsBody {
  const body = signed(vault, given, nowMs);
  const forWhom = body.agentId ?? (way === 'bundle' ? agentId : undefined);
  if (forWhom === undefined || !equalBytes(forWhom, agentId))
    throw new SettingsError(
      'SETTINGS_OTHER_PC',
      `settings ${body.sequence} were made for another PC; they are not used here`,
    );
  return body;
}

function signed(vault: Vault, given: Settings, nowMs: number): SettingsBody {
  try {
    return verifySettings(vault, given, nowMs);
  } catch (cause) {
    if (!(cause instanceof CertificateError)) throw cause;
    const code = cause.code === 'CERT_EXPIRED' ? 'SETTINGS_EXPIRED' : 'SETTINGS_FOREIGN';
    throw new SettingsError(code, `settings that cannot be believed: ${cause.message}`, { cause });
  }
}

/** What genuine settings say. Errors: `SETTINGS_SEALED`, `SETTINGS_UNKNOWN`. */
function opened(
  { vault, agentId, boxKey }: SettingsOwner,
  body: SettingsBody,
  way: SettingsWay,
): SettingsContents {
  const bytes = plaintextOf({ vault, agentId, boxKey }, body, way);
  if (bytes === undefined)
    throw new SettingsError(
      'SETTINGS_SEALED',
      `settings ${body.sequence} do not open with this PC’s key; set the policy again`,
    );
  try {
    return decodeSettingsContents(bytes);
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause;
    const code = cause.code === 'FORMAT_UNKNOWN_VERSION' ? 'SETTINGS_UNKNOWN' : 'SETTINGS_SEALED';
    throw new SettingsError(
      code,
      `settings ${body.sequence} hold what this release cannot read: ${cause.message}`,
      { cause },
    );
  }
}

function plaintextOf(
  { vault, agentId, boxKey }: SettingsOwner,
  body: SettingsBody,
  way: SettingsWay,
): Uint8Array | undefined {
  const { ephemeralKey, sealed, contents, sequence } = body;
  if (ephemeralKey === undefined || sealed === undefined)
    return way === 'bundle' ? contents : undefined;
  return openSealed(boxKey, SETTINGS_SEAL, settingsContext(vault.vaultId, agentId, sequence), {
    ephemeralKey,
    sealed,
  });
}

// ---- the answer
// --------------------------------------------------------------------------------------------------

/**
 * What a PC says of settings that it refuses, sealed to the policy key: it may name folders, which
 * the collector must not learn.
 */
export function sealDetail(
  answerKey: Uint8Array,
  { vault, agentId }: SettingsOwner,
  sequence: number,
  text: string,
  random: Random,
): SealedBox {
  const context = settingsContext(vault.vaultId, agentId, sequence);
  const cut = [...text].slice(0, MAX_SETTINGS_DETAIL_CHARS).join('');
  return sealTo(
    answerKey,
    DETAIL_SEAL,
    context,
    encodeSettingsDetail({ version: 1, text: cut }),
    random,
  );
}

/** What `sealDetail` sealed; undefined when it was altered. */
export function openDetail(
  policyKey: BoxKey,
  { vaultId }: Vault,
  agentId: AgentId,
  sequence: number,
  box: SealedBox,
): string | undefined {
  const bytes = openSealed(
    policyKey,
    DETAIL_SEAL,
    settingsContext(vaultId, agentId, sequence),
    box,
  );
  if (bytes === undefined) return undefined;
  try {
    return decodeSettingsDetail(bytes).text;
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}
