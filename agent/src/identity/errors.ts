import { AliquotError, type ErrorCodes } from '@aliquot/proto';

const codes = {
  /** The folder holds no finished enrolment. */
  IDENTITY_MISSING: 'final',
  /** The identity files are damaged or do not belong together. */
  IDENTITY_DAMAGED: 'final',
  /** The folder is enrolled already, by this or another bundle. */
  ENROL_ALREADY: 'final',
  /** Another bundle's enrolment was begun in this folder and not finished. */
  ENROL_OTHER_BEGUN: 'final',
  /** The folder's queue holds commits that only the agent that it replaces could still send. */
  ENROL_QUEUE_HELD: 'final',
  /** Collector addresses that this vault's authority did not sign, or no such file at all. */
  ADDRESSES_FOREIGN: 'final',
  /** The collector could not be reached, or broke off. */
  ENROL_UNREACHABLE: 'retryable',
  /** The server's TLS certificate is not the one that the bundle names. */
  ENROL_TLS: 'final',
  /** Plain http or ws to another machine than this one. */
  ENROL_PLAIN_REMOTE: 'final',
  /** The bundle was used already, with other keys: on another PC, or in another folder. */
  ENROL_BUNDLE_USED: 'final',
  /** The collector says that the bundle's term is over. */
  ENROL_BUNDLE_EXPIRED: 'final',
  /** The collector does not know this enrolment: another collector, or never announced. */
  ENROL_UNKNOWN: 'final',
  /** A name that the bundle does not allow, or none could be made of the host name. */
  ENROL_NAME: 'final',
  /** Another agent has the name under which this PC of a group would enrol. */
  ENROL_NAME_TAKEN: 'final',
  /** As many PCs have enrolled with the group's bundle as it is for. */
  ENROL_GROUP_FULL: 'final',
  /** The agent was revoked before it enrolled. */
  ENROL_REVOKED: 'final',
  /** The collector failed inside, or its disk did: it took nothing of the enrolment. */
  ENROL_COLLECTOR_FAILED: 'retryable',
  /** The collector refused for another reason, which the message gives. */
  ENROL_REFUSED: 'final',
  /** The answer does not come from the vault's collector, or is for other keys. */
  ENROL_BAD_ANSWER: 'final',
} satisfies ErrorCodes;

export type IdentityErrorCode = keyof typeof codes;

/** What goes wrong with the agent's identity and its enrolment. */
export class IdentityError extends AliquotError<IdentityErrorCode> {
  static override readonly codes = codes;
}
