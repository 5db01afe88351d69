import {
  decodeOperatorCertificateBody,
  decodePurgeApprovalBody,
  decodePurgeCancelBody,
  decodePurgeOrderBody,
  type EventBody,
  type Signed,
  type StoredPurged,
  type StoredSwept,
} from '@aliquot/proto';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { keys } from '../catalog/catalog-keys.ts';
import type { CatalogChange } from '../catalog/catalog-store.ts';
import {
  type BegunPurge,
  decodePurging,
  encodePurge,
  encodePurgedCommit,
  encodePurging,
  type PurgeRow,
  type PurgeWord,
} from '../catalog/purge-row.ts';
import type { Registry } from '../catalog/registry.ts';
import type { HistoryPlace } from '../history/history-log.ts';
import { type Effect, IDLE, type LeafPlace } from './effect.ts';

type EventOf<Type extends EventBody['type']> = Extract<EventBody, { type: Type }>;
type Place = Pick<LeafPlace, 'leafIndex' | 'timeMs'>;

export function applyPurgeOrder(
  change: CatalogChange,
  { order, operator }: EventOf<'purgeOrdered'>,
  place: Place,
): Effect {
  const body = decodePurgeOrderBody(order.body);
  const said = { approved: undefined, cancelled: undefined };
  return put(change, { body, ordered: wordOf(place, operator), ...said });
}

/** Notes where a commit stands as a purge leaves it: served from the approval on. */
export async function applyPurged(
  change: CatalogChange,
  {
    purgeId,
    part,
    leafIndex,
    slots,
  }: Pick<StoredPurged, 'purgeId' | 'part' | 'leafIndex' | 'slots'>,
  place: HistoryPlace,
  registry: Registry,
): Promise<Effect> {
  const row = registry.purges.get(purgeId);
  if (row?.approved !== undefined) {
    // It has come, or come again, since: nothing waits for anybody.
    const { leaf } = row.approved;
    const purged = { purgeId, place, approvedLeaf: leaf, slots };
    change.put(keys.purged(leafIndex, leaf), encodePurgedCommit(purged));
    return waitAgain(change, row, registry);
  }
  // What a crash has left of an earlier beginning means nothing, but is still there.
  const begun = (await begunIn(change)).map((one) => (part === 0 ? { ...one, isLeft: true } : one));
  const commit = { purgeId, place, slots, leafIndex, isLeft: false };
  change.put(keys.purging, encodePurging([...begun, commit]));
  return IDLE;
}

/**
 * What has come again is there until another sweep takes it, and counts as there for one that was
 * announced.
 */
function waitAgain(change: CatalogChange, row: PurgeRow, registry: Registry): Effect {
  const { announced, swept } = registry.sweep(row.body.lineageId);
  const { approved } = row;
  if (approved === undefined) return IDLE;
  const unswept = announced > swept ? announced : approved.unswept;
  const after = { ...approved, unswept, announced, sweptAtMs: 0 };
  return put(change, { ...row, approved: after });
}

/** Notes when a sweep has taken the content of purges of its lineage. */
export function applyPurgesSwept(
  change: CatalogChange,
  { lineageId, gcEpoch, timeMs }: Pick<StoredSwept, 'lineageId' | 'gcEpoch' | 'timeMs'>,
  { purges }: Registry,
): Effect {
  const effects = purges.all().flatMap(({ approved, ...row }) => {
    const isIts =
      approved !== undefined &&
      approved.sweptAtMs === 0 &&
      gcEpoch > approved.announced &&
      equalBytes(row.body.lineageId, lineageId);
    return isIts ? [put(change, { ...row, approved: { ...approved, sweptAtMs: timeMs } })] : [];
  });
  return (registry) => {
    for (const effect of effects) effect(registry);
  };
}

async function begunIn(change: CatalogChange): Promise<BegunPurge[]> {
  const begun = await change.get(keys.purging);
  return begun === undefined ? [] : decodePurging(begun);
}

export async function applyPurgeApproval(
  change: CatalogChange,
  { approval, operator }: EventOf<'purgeApproved'>,
  place: Place,
  registry: Registry,
): Promise<Effect> {
  const { purgeId } = decodePurgeApprovalBody(approval.body);
  const row = registry.purges.get(purgeId);
  if (row === undefined) return IDLE;
  const left: BegunPurge[] = [];
  for (const one of await begunIn(change)) {
    if (one.isLeft || !equalBytes(one.purgeId, purgeId)) {
      left.push({ ...one, isLeft: true });
      continue;
    }
    const { leafIndex, place: stands, slots } = one;
    const purged = { purgeId, place: stands, slots, approvedLeaf: place.leafIndex };
    change.put(keys.purged(leafIndex, place.leafIndex), encodePurgedCommit(purged));
  }
  if (left.length === 0) change.del(keys.purging);
  else change.put(keys.purging, encodePurging(left));
  const { announced, swept } = registry.sweep(row.body.lineageId);
  const unswept = announced > swept ? announced : 0;
  const word = { ...wordOf(place, operator), unswept, announced, sweptAtMs: 0 };
  return put(change, { ...row, approved: word });
}

export function applyPurgeCancel(
  change: CatalogChange,
  { cancellation, operator }: EventOf<'purgeCancelled'>,
  place: Place,
  { purges }: Registry,
): Effect {
  const { purgeId, reason } = decodePurgeCancelBody(cancellation.body);
  const row = purges.get(purgeId);
  if (row === undefined) return IDLE;
  return put(change, { ...row, cancelled: { ...wordOf(place, operator), reason } });
}

function wordOf({ leafIndex: leaf, timeMs }: Place, operator: Signed | undefined): PurgeWord {
  const by = operator === undefined ? '' : decodeOperatorCertificateBody(operator.body).name;
  return { leaf, timeMs, by };
}

function put(change: CatalogChange, row: PurgeRow): Effect {
  change.put(keys.purge(row.body.purgeId), encodePurge(row));
  return ({ purges }) => purges.set(row);
}
