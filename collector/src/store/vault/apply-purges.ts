import {
  decodeOperatorCertificateBody,
  decodePurgeApprovalBody,
  decodePurgeCancelBody,
  decodePurgeOrderBody,
  type EventBody,
  type Signed,
  type StoredPurged,
} from '@aliquot/proto';
import { keys } from '../catalog/catalog-keys.ts';
import type { CatalogChange } from '../catalog/catalog-store.ts';
import {
  decodePurging,
  encodePurge,
  encodePurgedCommit,
  encodePurging,
  type PurgedCommit,
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
  { purges }: Registry,
): Promise<Effect> {
  const approved = purges.get(purgeId)?.approved;
  if (approved !== undefined) {
    // It has come again since: nothing waits for anybody.
    const row = { purgeId, place, approvedLeaf: approved.leaf, slots };
    change.put(keys.purged(leafIndex, approved.leaf), encodePurgedCommit(row));
    return IDLE;
  }
  // What a crash has left of an earlier beginning means nothing.
  const begun = part === 0 ? undefined : await change.get(keys.purging);
  const commits = begun === undefined ? new Map<number, PurgedCommit>() : decodePurging(begun);
  commits.set(leafIndex, { purgeId, place, approvedLeaf: 0, slots });
  change.put(keys.purging, encodePurging(commits));
  return IDLE;
}

export async function applyPurgeApproval(
  change: CatalogChange,
  { approval, operator }: EventOf<'purgeApproved'>,
  place: Place,
  registry: Registry,
): Promise<Effect> {
  const row = registry.purges.get(decodePurgeApprovalBody(approval.body).purgeId);
  if (row === undefined) return IDLE;
  const purging = await change.get(keys.purging);
  const commits = purging === undefined ? [] : decodePurging(purging);
  for (const [leafIndex, commit] of commits) {
    const purged = { ...commit, approvedLeaf: place.leafIndex };
    change.put(keys.purged(leafIndex, place.leafIndex), encodePurgedCommit(purged));
  }
  change.del(keys.purging);
  const { announced, swept } = registry.sweep(row.body.lineageId);
  const unswept = announced > swept ? announced : 0;
  return put(change, { ...row, approved: { ...wordOf(place, operator), unswept, announced } });
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
