import { setTimeout as delay } from 'node:timers/promises';
import { AliquotError, type ChunkId } from '@aliquot/proto';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import type { FetchedItem } from '@aliquot/shared/restore/arrivals';
import { StreamError } from '../api/record-stream.ts';
import type { ItemLines } from './client/item-lines.ts';

const pausesMs = [500, 2_000, 8_000];

/**
 * Fetches sealed items for a restore, in the order of `ids`. What the collector lacks is left out
 * (the restore names the files); a connection that breaks is made again for the rest, a few times.
 * An answer to another question ends it.
 */
export async function* fetchItems(
  content: ItemLines,
  ids: readonly ChunkId[],
  doubted = false,
): AsyncGenerator<FetchedItem> {
  let at = 0;
  for (const pauseMs of [...pausesMs, undefined]) {
    try {
      for await (const item of content.items(ids.slice(at), doubted)) {
        const wanted = ids[at];
        if (wanted === undefined || !equalBytes(wanted, item.id)) throw notAsked();
        at += 1;
        if (item.type === 'item') yield { id: wanted, bytes: item.bytes };
      }
      if (at < ids.length) throw notAsked();
      return;
    } catch (error) {
      if (pauseMs === undefined || !(error instanceof AliquotError) || !error.retryable)
        throw error;
      await delay(pauseMs);
    }
  }
}

function notAsked(): StreamError {
  const says = 'the collector sent other items than were asked for, or in another order';
  return new StreamError('STREAM_MALFORMED', says);
}

/**
 * One item whose bytes were not what its id stands for: the collector proves it before it answers.
 */
export async function fetchAgain(content: ItemLines, id: ChunkId): Promise<Uint8Array | undefined> {
  for await (const { bytes } of fetchItems(content, [id], true)) return bytes.slice();
  return undefined;
}
