import { AliquotError, type ErrorCodes } from '@aliquot/proto';

/** What can go wrong between an operator's command (or an enrolling agent) and the collector. */
const codes = {
  /** The request carries no operator token, or not the right one. */
  REST_TOKEN: 'final',
  /** The request is not what the endpoint takes. */
  REST_BAD_REQUEST: 'final',
  /** The request's body is larger than the endpoint takes. */
  REST_TOO_LARGE: 'final',
  /** There is no such endpoint: the command and the collector are of different releases. */
  REST_NO_ROUTE: 'final',
  /** The collector does not hold the named vault. */
  REST_VAULT_UNKNOWN: 'final',
  /** The vault is here and is not served, as its folder is damaged. */
  REST_VAULT_AILING: 'final',
  /** The vault is there already, with another descriptor or certificate. */
  REST_VAULT_CONFLICT: 'final',
  /** The vault has no agent of that name. */
  REST_AGENT_UNKNOWN: 'final',
  /** The agent is not connected, or left before it had answered. */
  REST_AGENT_AWAY: 'final',
  /** Another agent has that name already. */
  REST_AGENT_EXISTS: 'final',
  /** Something else was decided about this history before. */
  REST_DECIDED: 'final',
  /** The collector has no catalog key, as the vault is blind or it is lost, and opens no names. */
  REST_BLIND: 'final',
  /** The statement's signature or chain of certificates does not hold. */
  REST_BAD_SIGNATURE: 'final',
  /** An epoch opening does not fit what the log holds. */
  REST_BAD_OPENING: 'final',
  /** It is not known what time it is: the collector's clock jumped, and nobody has confirmed it. */
  REST_CLOCK_HELD: 'final',
  /** It is not known what was decided, or what time it is by the log: so nothing is thrown away. */
  REST_RETENTION_HELD: 'final',
  /** Collection of that vault is paused, or running. */
  REST_GC_HELD: 'final',
  /** A carried queue of an agent that may not work here, or that did not write it. */
  REST_CARRY_REFUSED: 'final',
  /** A release that is broken, or that contradicts what is kept. */
  REST_RELEASE_REFUSED: 'final',
  /** The collector has no such release. */
  REST_RELEASE_UNKNOWN: 'final',
  /** The bundle was not issued for this collector, or its agent is not expected here. */
  ENROL_UNKNOWN: 'final',
  /** The bundle's term is over and it was never used. */
  ENROL_EXPIRED: 'final',
  /** The bundle was used already, with other keys. */
  ENROL_OTHER_KEYS: 'final',
  /** Another agent has the name under which a PC of a group would enrol. */
  ENROL_NAME_TAKEN: 'final',
  /** As many PCs have enrolled with the group's bundle as it is for. */
  ENROL_GROUP_FULL: 'final',
  /** The group was ended. */
  ENROL_GROUP_ENDED: 'final',
  /** The agent was revoked, or another PC has replaced it. */
  ENROL_REVOKED: 'final',
  /** The collector's disk is full, or fails. */
  REST_STORAGE: 'final',
  /** The collector failed inside; its log has the details. */
  REST_INTERNAL: 'final',
} satisfies ErrorCodes;

export type RestErrorCode = keyof typeof codes;

const statusByCode: Record<RestErrorCode, number> = {
  REST_TOKEN: 401,
  REST_BAD_REQUEST: 400,
  REST_TOO_LARGE: 413,
  REST_NO_ROUTE: 404,
  REST_VAULT_UNKNOWN: 404,
  REST_VAULT_AILING: 503,
  REST_VAULT_CONFLICT: 409,
  REST_AGENT_UNKNOWN: 404,
  REST_AGENT_AWAY: 409,
  REST_AGENT_EXISTS: 409,
  REST_DECIDED: 409,
  REST_BLIND: 409,
  REST_BAD_SIGNATURE: 403,
  REST_BAD_OPENING: 409,
  REST_CLOCK_HELD: 409,
  REST_RETENTION_HELD: 409,
  REST_GC_HELD: 409,
  REST_CARRY_REFUSED: 403,
  REST_RELEASE_REFUSED: 409,
  REST_RELEASE_UNKNOWN: 404,
  ENROL_UNKNOWN: 403,
  ENROL_EXPIRED: 410,
  ENROL_OTHER_KEYS: 409,
  ENROL_REVOKED: 403,
  ENROL_NAME_TAKEN: 409,
  ENROL_GROUP_FULL: 409,
  ENROL_GROUP_ENDED: 410,
  REST_STORAGE: 507,
  REST_INTERNAL: 500,
};

/**
 * An answer of the REST interface that is not the one asked for: raised by the server, and raised
 * again by the client.
 */
export class RestError extends AliquotError<RestErrorCode> {
  static override readonly codes = codes;
}

/** The HTTP status that goes with a code. */
export function statusOf(code: RestErrorCode): number {
  return statusByCode[code];
}

/** Whether a code that came over the network is one of ours. */
export function isRestErrorCode(code: unknown): code is RestErrorCode {
  return typeof code === 'string' && Object.hasOwn(statusByCode, code);
}
