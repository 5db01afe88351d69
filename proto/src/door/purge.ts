/** FORMAT.md, "PurgeOrderBody" to "PurgeCancelBody", and "KeptPurge". */
import {
  MAX_EVENT_BYTES,
  MAX_KEPT_PURGE_BYTES,
  MAX_PURGED_COMMITS,
  MAX_PURGED_FILES,
  MAX_RECORD_BYTES,
  MAX_SIGNED_BODY_BYTES,
} from '../limits.ts';
import type { PurgeApprovalBody, PurgeCancelBody, PurgeOrderBody } from '../order-types.ts';
import type { KeptPurge } from '../record-types.ts';
import { codec } from './codec.ts';
import { treeHead } from './common.ts';
import { list, object, version } from './field.ts';
import { v1 } from './generated.ts';
import { rising, someLine } from './hold.ts';
import { bytes, fileIds, hash, lineageId, purgeId, timeMs, vaultId } from './scalar.ts';

const bounds = { maxBytes: MAX_SIGNED_BODY_BYTES };

/** What an operator signs to have versions purged. */
export const { encode: encodePurgeOrderBody, decode: decodePurgeOrderBody } = codec<PurgeOrderBody>(
  'PurgeOrderBody',
  v1.PurgeOrderBody,
  object<PurgeOrderBody>('PurgeOrderBody', {
    version,
    vaultId,
    purgeId,
    lineageId,
    head: treeHead,
    fileIds: rising(fileIds(1, MAX_PURGED_FILES)),
    orderedAtMs: timeMs,
    reason: someLine,
  }),
  bounds,
);

/** What another operator signs so that it is done. */
export const { encode: encodePurgeApprovalBody, decode: decodePurgeApprovalBody } =
  codec<PurgeApprovalBody>(
    'PurgeApprovalBody',
    v1.PurgeApprovalBody,
    object<PurgeApprovalBody>('PurgeApprovalBody', {
      version,
      vaultId,
      purgeId,
      sum: hash,
      approvedAtMs: timeMs,
    }),
    bounds,
  );

/** What the authority, or an operator, signs so that it is not. */
export const { encode: encodePurgeCancelBody, decode: decodePurgeCancelBody } =
  codec<PurgeCancelBody>(
    'PurgeCancelBody',
    v1.PurgeCancelBody,
    object<PurgeCancelBody>('PurgeCancelBody', {
      version,
      vaultId,
      purgeId,
      cancelledAtMs: timeMs,
      reason: someLine,
    }),
    bounds,
  );

/** A purge that outlives a history which is put back. Whoever reads it compares `sum`. */
export const { encode: encodeKeptPurge, decode: decodeKeptPurge } = codec<KeptPurge>(
  'KeptPurge',
  v1.KeptPurge,
  object<KeptPurge>(
    'KeptPurge',
    {
      vaultId,
      order: bytes(1, MAX_EVENT_BYTES),
      approval: bytes(1, MAX_EVENT_BYTES),
      commits: list(bytes(1, MAX_RECORD_BYTES), 0, MAX_PURGED_COMMITS),
      sum: hash,
    },
    { impliedVersion: true },
  ),
  { maxBytes: MAX_KEPT_PURGE_BYTES, maxFields: MAX_PURGED_COMMITS + 5 },
);
