/**
 * The settings of PCs: who signed them, and who opens them (FORMAT.md, "SettingsBody" to
 * "SettingsDetail"). What they say is read in `settings/`.
 */
import {
  type AgentId,
  decodeSettingsBody,
  decodeSettingsContents,
  decodeSettingsDetail,
  encodeSettingsBody,
  encodeSettingsContents,
  encodeSettingsDetail,
  FormatError,
  MAX_SETTINGS_DETAIL_CHARS,
  type Settings,
  type SettingsBody,
  type SettingsContents,
  type Signed,
} from '@aliquot/proto';
import type { BoxKey } from '../crypto/box.ts';
import { utf8 } from '../crypto/bytes.ts';
import { equalBytes } from '../crypto/primitives.ts';
import { openSealed, type SealedBox, sealTo } from '../crypto/sealed-box.ts';
import { type SigningKey, sign } from '../crypto/sign.ts';
import type { Random } from '../ports.ts';
import { CertificateError, requireVault, verified } from './certificates.ts';
import { SettingsError } from './settings-errors.ts';
import { type SigningVault, signerOf } from './settings-signer.ts';

const SETTINGS = 'aliquot/v1/settings';
const SETTINGS_SEAL = 'aliquot/v1/settings-seal';
const DETAIL_SEAL = 'aliquot/v1/settings-detail';

/**
 * Whether a policy or settings may have this number now: at most the milliseconds since 1970. Who
 * stole a settings key could else use up all numbers, and nothing that follows would ever be newer.
 * Numbers that are counted stay far below; every millisecond frees another one, for all PCs, those
 * that enrol later too, and for a collector that succeeds another.
 */
export function isNumberFree(sequence: number, nowMs: number): boolean {
  return sequence <= nowMs;
}

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
  { vaultId }: SigningVault,
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
  { vaultId }: SigningVault,
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
  vault: SigningVault,
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
  readonly vault: SigningVault;
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

function signed(vault: SigningVault, given: Settings, nowMs: number): SettingsBody {
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
  { vaultId }: SigningVault,
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
