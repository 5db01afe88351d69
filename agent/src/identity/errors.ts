import { AliquotError } from '@aliquot/proto';

export type IdentityErrorCode =
  /** The folder holds no finished enrolment. */
  | 'IDENTITY_MISSING'
  /** The identity files are damaged or do not belong together. */
  | 'IDENTITY_DAMAGED'
  /** The folder is enrolled already, by this or another bundle. */
  | 'ENROL_ALREADY'
  /** Another bundle's enrolment was begun in this folder and not finished. */
  | 'ENROL_OTHER_BEGUN'
  /** The folder's queue holds commits that only the agent that it replaces could still send. */
  | 'ENROL_QUEUE_HELD'
  /** Collector addresses that this vault's authority did not sign, or no such file at all. */
  | 'ADDRESSES_FOREIGN'
  /** The collector could not be reached, or broke off. */
  | 'ENROL_UNREACHABLE'
  /** The server's TLS certificate is not the one that the bundle names. */
  | 'ENROL_TLS'
  /** Plain http or ws to another machine than this one. */
  | 'ENROL_PLAIN_REMOTE'
  /** The bundle was used already, with other keys: on another PC, or in another folder. */
  | 'ENROL_BUNDLE_USED'
  /** The collector says that the bundle's term is over. */
  | 'ENROL_BUNDLE_EXPIRED'
  /** The collector does not know this enrolment: another collector, or never announced. */
  | 'ENROL_UNKNOWN'
  /** A name that the bundle does not allow, or none could be made of the host name. */
  | 'ENROL_NAME'
  /** Another agent has the name under which this PC of a group would enrol. */
  | 'ENROL_NAME_TAKEN'
  /** As many PCs have enrolled with the group's bundle as it is for. */
  | 'ENROL_GROUP_FULL'
  /** The agent was revoked before it enrolled. */
  | 'ENROL_REVOKED'
  /** The collector refused for another reason, which the message gives. */
  | 'ENROL_REFUSED'
  /** The answer does not come from the vault's collector, or is for other keys. */
  | 'ENROL_BAD_ANSWER';

/** What goes wrong with the agent's identity and its enrolment. */
export class IdentityError extends AliquotError<IdentityErrorCode> {}
