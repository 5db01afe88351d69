import type { RetentionRules } from './retention-types.ts';
import type { AgentId, Signed, VaultId } from './types.ts';

/*
 * What is said to PCs from the desk: settings, the policy behind them, questions for a diagnosis.
 */

/** An operator's question for one agent's diagnosis; signed by a key with purpose `diagnose`. */
export interface DiagnosisRequestBody {
  readonly version: 1;
  readonly vaultId: VaultId;
  readonly agentId: AgentId;
  /** Random, 16 bytes. */
  readonly askId: Uint8Array;
  readonly askedAtMs: number;
}

/**
 * The policy of a vault as it was set. What it says to PCs is sealed to the policy key, beside
 * this; how long versions are kept stands here in clear, for the collector that acts on it.
 */
export interface PolicyBody {
  readonly version: 1;
  readonly vaultId: VaultId;
  /** From 1, rising with every set. */
  readonly revision: number;
  readonly setAtMs: number;
  /** SHA-256 of the sealed text. */
  readonly sealedHash: Uint8Array;
  /** Undefined: the file has no such section, and everything stays. */
  readonly rules: RetentionRules | undefined;
}

/** The settings of one PC, signed by the authority or an operator. Only that PC opens them. */
export interface SettingsBody {
  readonly version: 1;
  readonly vaultId: VaultId;
  /** Absent only in the bundle of a group. */
  readonly agentId: AgentId | undefined;
  /** The revision of the policy that they were made from. */
  readonly sequence: number;
  readonly issuedAtMs: number;
  /** A PC that meets them later does not take them; those in force stay. */
  readonly expiresAtMs: number;
  /** Names of the groups that the PC is in, in their order. */
  readonly groups: readonly string[];
  /** With `sealed`: X25519, forgotten by who made them. */
  readonly ephemeralKey: Uint8Array | undefined;
  /** Encoded `SettingsContents`, sealed to the PC's box key. */
  readonly sealed: Uint8Array | undefined;
  /**
   * The same in clear: only in a bundle, which is a secret itself, and made before the PC has keys.
   */
  readonly contents: Uint8Array | undefined;
}

/** The settings of a PC. */
export interface SettingsContents {
  readonly version: 1;
  /** YAML, as in `agent.yaml`, with what only the desk says. */
  readonly text: string;
  /** X25519 public: what the PC answers is sealed to it. */
  readonly answerKey: Uint8Array;
}

/** Why a PC refuses settings, in the words that `agent.yaml` gets; sealed to the policy key. */
export interface SettingsDetail {
  readonly version: 1;
  /** Lines: each with the line of the settings that it is about, and what is accepted. */
  readonly text: string;
}

/**
 * Settings as they travel and rest: the signed body, and the certificate of the operator who
 * signed; the authority needs none.
 */
export interface Settings {
  readonly settings: Signed;
  readonly certificate: Signed | undefined;
}
