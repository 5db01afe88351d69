import { AliquotError, FormatError } from '@aliquot/proto';
import { CertificateError } from '@aliquot/shared/keys/certificates';
import { ZodError } from 'zod';
import { RestError, type RestErrorCode } from '../api/rest-error.ts';

/**
 * The store's refusals that are the caller's doing, and a disk's trouble; every other error of the
 * store is the collector's own.
 */
const storeCodes: Record<string, RestErrorCode> = {
  STORE_VAULT_MISMATCH: 'REST_VAULT_CONFLICT',
  STORE_BAD_EVENT: 'REST_BAD_REQUEST',
  STORE_NAME_TAKEN: 'REST_AGENT_EXISTS',
  STORE_UNKNOWN_AGENT: 'REST_AGENT_UNKNOWN',
  STORE_UNKNOWN_HISTORY: 'REST_AGENT_UNKNOWN',
  STORE_DECIDED: 'REST_DECIDED',
  STORE_RETENTION_HELD: 'REST_RETENTION_HELD',
  RELEASE_BROKEN: 'REST_RELEASE_REFUSED',
  RELEASE_CONFLICT: 'REST_RELEASE_REFUSED',
  RELEASE_UNKNOWN: 'REST_RELEASE_UNKNOWN',
  RELEASE_NO_ROOM: 'REST_STORAGE',
  STORE_NO_SPACE: 'REST_STORAGE',
  STORE_FAILED: 'REST_STORAGE',
  STORE_REVOKED: 'ENROL_REVOKED',
  STORE_OTHER_KEYS: 'ENROL_OTHER_KEYS',
  STORE_UNKNOWN_GROUP: 'ENROL_UNKNOWN',
  STORE_GROUP_FULL: 'ENROL_GROUP_FULL',
  STORE_GROUP_ENDED: 'ENROL_GROUP_ENDED',
};

/**
 * The one place where an error becomes an answer. `undefined`: not the caller's doing, so say only
 * that it failed, and log it.
 */
export function toRestError(error: unknown): RestError | undefined {
  if (error instanceof RestError) return error;
  if (error instanceof CertificateError)
    return new RestError('REST_BAD_SIGNATURE', error.message, { cause: error });
  if (error instanceof FormatError)
    return new RestError('REST_BAD_REQUEST', error.message, { cause: error });
  if (error instanceof ZodError) {
    const first = error.issues[0];
    return new RestError(
      'REST_BAD_REQUEST',
      `the request is malformed at ${first?.path.join('.') || 'its top'}`,
      { cause: error },
    );
  }
  if (error instanceof AliquotError) {
    const code = storeCodes[error.code];
    return code === undefined ? undefined : new RestError(code, error.message, { cause: error });
  }
  return fromFastify(error);
}

function fromFastify(error: unknown): RestError | undefined {
  if (typeof error !== 'object' || error === null || !('statusCode' in error)) return undefined;
  if (error.statusCode === 413)
    return new RestError('REST_TOO_LARGE', 'the request is larger than this endpoint takes', {
      cause: error,
    });
  if (typeof error.statusCode === 'number' && error.statusCode >= 400 && error.statusCode < 500) {
    return new RestError('REST_BAD_REQUEST', 'the request cannot be read', { cause: error });
  }
  return undefined;
}

/**
 * What an operator learns of an error that is not the caller's doing. Nothing internal goes out.
 */
export const INTERNAL = new RestError(
  'REST_INTERNAL',
  'the collector failed inside; see the log of `aliquot serve`',
);
