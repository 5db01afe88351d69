import { asChunkId, type ChunkId, decodePage, type References } from '@aliquot/proto';
import { readCommit, rowsIn } from '@aliquot/shared/commit/rows';
import { mapKey } from '@aliquot/shared/crypto/bytes';
import type { QueuedItems } from '../queue/outbox/outbox.ts';

/** The queue, as far as pages are opened from it. */
type Pages = Pick<QueuedItems, 'readItem'>;

/**
 * Every item of one content that the queue can name: pages are opened as far as the queue holds
 * them, children before their page. What lies below a page that the queue no longer holds was at
 * the collector when that page was.
 */
async function* itemsOf(held: Pages, content: References): AsyncGenerator<ChunkId, void, void> {
  for (const { id } of content.refs) {
    if (content.depth > 0) {
      const page = await held.readItem(id);
      if (page?.kind === 'page') yield* itemsOf(held, decodePage(page.sealed).content);
    }
    yield id;
  }
}

/**
 * Every item of a commit, block by block: slabs, then chunks and pages in the order of their rows,
 * those of lost versions too. An item that several rows of one block name comes once, if it is a
 * slab.
 */
export async function* itemsOfCommit(
  held: Pages,
  commit: Uint8Array,
): AsyncGenerator<ChunkId, void, void> {
  for (const { rows } of readCommit(commit).rows.blocks) {
    for (const { id } of rows.slabs) yield asChunkId(id);
    for (const content of rows.references.values()) yield* itemsOf(held, content);
  }
}

export interface SlotsNeeding {
  /** Slots that surely need one of the items. */
  readonly sure: readonly number[];
  /** Slots with pages that the queue no longer holds: they may need one. */
  readonly possible: readonly number[];
  /**
   * The same slots as their files are to be read again: those of one slab together, in the order of
   * its pieces, for only all of them make it again; each other one alone.
   */
  readonly runs: readonly (readonly number[])[];
}

/** Which slots of a commit need any of these items. */
export async function slotsNeeding(
  held: Pages,
  commit: Uint8Array,
  ids: readonly ChunkId[],
): Promise<SlotsNeeding> {
  const wanted = new Set(ids.map(mapKey));
  const sure: number[] = [];
  const possible: number[] = [];
  const runs: number[][] = [];
  const slabs = new Map<string, { readonly piece: number; readonly slot: number }[]>();
  for (const { slot, entry } of rowsIn(readCommit(commit).rows)) {
    const { content } = entry;
    const answer = await needs(held, content, wanted);
    if (answer === 'no') continue;
    (answer === 'yes' ? sure : possible).push(slot);
    const [ref] = content.refs;
    if (content.piece === 0 || ref === undefined) runs.push([slot]);
    else {
      const pieces = slabs.get(mapKey(ref.id)) ?? [];
      pieces.push({ piece: content.piece, slot });
      slabs.set(mapKey(ref.id), pieces);
    }
  }
  for (const pieces of slabs.values())
    runs.push(pieces.sort((a, b) => a.piece - b.piece).map(({ slot }) => slot));
  return { sure, possible, runs };
}

async function needs(
  held: Pages,
  content: References,
  wanted: ReadonlySet<string>,
): Promise<'yes' | 'no' | 'maybe'> {
  let answer: 'no' | 'maybe' = 'no';
  for (const { id } of content.refs) {
    if (wanted.has(mapKey(id))) return 'yes';
    if (content.depth === 0) continue;
    const page = await held.readItem(id);
    const below =
      page === undefined ? 'maybe' : await needs(held, decodePage(page.sealed).content, wanted);
    if (below === 'yes') return 'yes';
    if (below === 'maybe') answer = 'maybe';
  }
  return answer;
}
