import { AliquotError, type ErrorCodes } from '@aliquot/proto';

const codes = {
  /** The collector hands out lists that are older than those that this PC has verified. */
  UPDATE_ROLLED_BACK: 'final',
  /** The lists are not signed by the vendor's keys, or were altered. */
  UPDATE_FOREIGN: 'final',
  /** The vendor's lists are past their term, or this PC's clock is wrong. */
  UPDATE_EXPIRED: 'final',
  /** A file is not what the vendor's list says. */
  UPDATE_ALTERED: 'final',
  /** The vendor names no such release for this platform, or the collector does not have it. */
  UPDATE_ABSENT: 'final',
  /** The disk has no room for it. */
  UPDATE_NO_ROOM: 'final',
  /** The desk names a release that is newer than the collector. */
  UPDATE_BEFORE_COLLECTOR: 'final',
  /** The desk names a release that is older than the one that runs. */
  UPDATE_OLDER: 'final',
  /** This installation carries no root of the vendor, so it can verify nothing. */
  UPDATE_NO_ROOT: 'final',
} satisfies ErrorCodes;

export type UpdateErrorCode = keyof typeof codes;

/** Why a release is not taken. What runs goes on running. */
export class UpdateError extends AliquotError<UpdateErrorCode> {
  static override readonly codes = codes;
}
