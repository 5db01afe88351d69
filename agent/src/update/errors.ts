import { AliquotError } from '@aliquot/proto';

export type UpdateErrorCode =
  /** The collector hands out lists that are older than those that this PC has verified. */
  | 'UPDATE_ROLLED_BACK'
  /** The lists are not signed by the vendor's keys, or were altered. */
  | 'UPDATE_FOREIGN'
  /** The vendor's lists are past their term, or this PC's clock is wrong. */
  | 'UPDATE_EXPIRED'
  /** A file is not what the vendor's list says. */
  | 'UPDATE_ALTERED'
  /** The vendor names no such release for this platform, or the collector does not have it. */
  | 'UPDATE_ABSENT'
  /** The disk has no room for it. */
  | 'UPDATE_NO_ROOM'
  /** The desk names a release that is newer than the collector. */
  | 'UPDATE_BEFORE_COLLECTOR'
  /** The desk names a release that is older than the one that runs. */
  | 'UPDATE_OLDER'
  /** This installation carries no root of the vendor, so it can verify nothing. */
  | 'UPDATE_NO_ROOT';

/** Why a release is not taken. What runs goes on running. */
export class UpdateError extends AliquotError<UpdateErrorCode> {}
