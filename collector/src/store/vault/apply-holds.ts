import {
  decodeHoldReleaseBody,
  decodeHoldResolutionBody,
  decodeOperatorCertificateBody,
  type EventBody,
} from '@aliquot/proto';
import { keys } from '../catalog/catalog-keys.ts';
import type { CatalogChange } from '../catalog/catalog-store.ts';
import { encodeHold, type HoldRow, type ResolvingRow } from '../catalog/hold-row.ts';
import type { Registry } from '../catalog/registry.ts';
import { type Effect, IDLE, type LeafPlace } from './effect.ts';

type EventOf<Type extends EventBody['type']> = Extract<EventBody, { type: Type }>;
type Place = Pick<LeafPlace, 'leafIndex' | 'timeMs'>;

const NOTHING = Buffer.alloc(0);

export function applyHold(
  change: CatalogChange,
  { hold: body }: EventOf<'holdSet'>,
  { leafIndex, timeMs }: Place,
): Effect {
  const set = { body, setLeaf: leafIndex, setAtMs: timeMs };
  return put(change, { ...set, resolved: undefined, resolving: undefined, released: undefined });
}

/**
 * The files of each part are held at once; that others are not follows from all parts, in their
 * order. Whoever begins again begins with the first.
 */
export function applyResolution(
  change: CatalogChange,
  { resolution }: EventOf<'holdResolved'>,
  { leafIndex }: Place,
  { holds }: Registry,
): Effect {
  const { holdId, head, part, parts, fileIds } = decodeHoldResolutionBody(resolution.body);
  const row = holds.get(holdId);
  if (row === undefined) return IDLE;
  for (const fileId of fileIds) change.put(keys.heldFile(holdId, fileId), NOTHING);
  const { size } = head;
  const begun: ResolvingRow | undefined = part === 1 ? { size, parts, next: 1 } : row.resolving;
  const fits = begun?.size === size && begun.parts === parts && begun.next === part;
  if (!fits) return put(change, { ...row, resolving: undefined });
  if (part < parts) return put(change, { ...row, resolving: { size, parts, next: part + 1 } });
  return put(change, { ...row, resolving: undefined, resolved: { size, leaf: leafIndex } });
}

/** What was resolved for it stays: its rows say nothing any more. */
export function applyRelease(
  change: CatalogChange,
  { release, operator }: EventOf<'holdReleased'>,
  { leafIndex, timeMs }: Place,
  { holds }: Registry,
): Effect {
  const { holdId, reason } = decodeHoldReleaseBody(release.body);
  const row = holds.get(holdId);
  if (row === undefined || row.released !== undefined) return IDLE;
  const by = operator === undefined ? '' : decodeOperatorCertificateBody(operator.body).name;
  return put(change, { ...row, released: { leaf: leafIndex, timeMs, by, reason } });
}

function put(change: CatalogChange, row: HoldRow): Effect {
  change.put(keys.hold(row.body.holdId), encodeHold(row));
  return ({ holds }) => holds.set(row);
}
