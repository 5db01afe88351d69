import {
  type ChunkId,
  decodeStoredReferences,
  decodeStoredSwept,
  decodeStoredUploads,
} from '@aliquot/proto';
import { hex, mapKey } from '@aliquot/shared/crypto/bytes';
import {
  type HistoryKind,
  type HistoryLog,
  type HistoryPlace,
  historyStart,
} from '../history/history-log.ts';

/** What the history says of items that the catalog calls dead. */
export type DeadProof =
  | { readonly type: 'proved'; readonly dead: ReadonlySet<string> }
  /** A record has rotted that may say who owns them: nothing is proved. */
  | { readonly type: 'unknown'; readonly at: HistoryPlace };

/**
 * Of items, those that nobody owns by the history itself, from its first record to its last
 * (I-C24): by `mapKey` of their ids. What the catalog says is a proposal; bytes that were removed
 * do not come back (D5). Memory: some 150 bytes an item. Reads the whole history once, beside the
 * queue; what is recorded meanwhile the caller asks the catalog for, which this process wrote.
 */
export async function provedDead(history: HistoryLog, ids: readonly ChunkId[]): Promise<DeadProof> {
  const owners = new Map<string, Set<string>>(ids.map((id) => [mapKey(id), new Set()]));
  for await (const { kind, payload, place, isBroken } of history.replay(historyStart)) {
    if (!saysWhose(kind)) continue;
    if (isBroken === true) return { type: 'unknown', at: place };
    const { lineageId, entered, left } = ownershipIn(kind, payload);
    const lineage = hex(lineageId);
    for (const id of entered) owners.get(mapKey(id))?.add(lineage);
    for (const id of left) owners.get(mapKey(id))?.delete(lineage);
  }
  const dead = new Set<string>();
  for (const [name, lineages] of owners) if (lineages.size === 0) dead.add(name);
  return { type: 'proved', dead };
}

/**
 * The first record that has rotted and may say what is in whose set; or whose agents there are.
 * Reads the whole history.
 */
export async function rottenOwnership(history: HistoryLog): Promise<HistoryPlace | undefined> {
  for await (const { kind, place, isBroken } of history.replay(historyStart))
    if (isBroken === true && (saysWhose(kind) || kind === 'event')) return place;
  return undefined;
}

type SaysWhose = 'uploads' | 'references' | 'swept';

/** Whether records of a kind change whose set items are in. */
function saysWhose(kind: HistoryKind): kind is SaysWhose {
  switch (kind) {
    case 'uploads':
    case 'references':
    case 'swept':
      return true;
    // Which versions there are changes no set.
    case 'commit':
    case 'thinned':
    case 'event':
    case 'expired':
    case 'dropped':
    case 'purged':
      return false;
  }
}

function ownershipIn(kind: SaysWhose, payload: Uint8Array) {
  if (kind === 'uploads') {
    const { lineageId, ids } = decodeStoredUploads(payload);
    return { lineageId, entered: ids, left: [] };
  }
  if (kind === 'swept') {
    const { lineageId, ids } = decodeStoredSwept(payload);
    return { lineageId, entered: [], left: ids };
  }
  const { lineageId, pages } = decodeStoredReferences(payload);
  return { lineageId, entered: pages, left: [] };
}
