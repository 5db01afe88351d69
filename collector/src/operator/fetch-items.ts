import { setTimeout as delay } from 'node:timers/promises';
import { AliquotError, type ChunkId } from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import type { FetchedItem } from '@aliquot/shared/restore/restore-files';
import type { VaultClient } from './client/vault-client.ts';

const pausesMs = [500, 2_000, 8_000];

/**
 * Fetches sealed items for a restore. What the collector lacks is left out (the restore names the
 * files); a connection that breaks is made again for the rest, a few times.
 */
export async function* fetchItems(
  vault: Pick<VaultClient, 'reading'>,
  ids: readonly ChunkId[],
  doubted = false,
): AsyncGenerator<FetchedItem> {
  const waiting = new Map(ids.map((id) => [hex(id), id]));
  for (const pauseMs of [...pausesMs, undefined]) {
    try {
      for await (const item of vault.reading.items([...waiting.values()], doubted)) {
        if (!waiting.delete(hex(item.id)) || item.type !== 'item') continue;
        yield { id: item.id, bytes: item.bytes };
      }
      return;
    } catch (error) {
      if (pauseMs === undefined || !(error instanceof AliquotError) || !error.retryable)
        throw error;
      await delay(pauseMs);
    }
  }
}

/** One item whose bytes were not what its id stands for: the collector proves it before it answers. */
export async function fetchAgain(
  vault: Pick<VaultClient, 'reading'>,
  id: ChunkId,
): Promise<Uint8Array | undefined> {
  for await (const { bytes } of fetchItems(vault, [id], true)) return bytes;
  return undefined;
}
