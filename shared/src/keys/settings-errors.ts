import { AliquotError, type ErrorCodes } from '@aliquot/proto';

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
