import {
  decodeOperatorCertificateBody,
  decodePurgeCancelBody,
  decodePurgeOrderBody,
  type EventBody,
  type Signed,
} from '@aliquot/proto';
import { keys } from '../catalog/catalog-keys.ts';
import type { CatalogChange } from '../catalog/catalog-store.ts';
import { encodePurge, type PurgeRow, type PurgeWord } from '../catalog/purge-row.ts';
import type { Registry } from '../catalog/registry.ts';
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
