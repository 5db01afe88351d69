import { MessageChannel } from 'node:worker_threads';
import { asChunkId, type ChunkId } from '@aliquot/proto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { FetchedItem } from './arrivals.ts';
import { giveItems, itemsByPort, SourceFailed } from './port-items.ts';

const ids = [1, 2, 3, 4].map((byte) => asChunkId(Buffer.alloc(32, byte)));

let channel: MessageChannel;
let source: (asked: readonly ChunkId[]) => AsyncIterable<FetchedItem>;
let errors: unknown[];
let fetchItems: ReturnType<typeof itemsByPort>;

beforeEach(() => {
  channel = new MessageChannel();
  errors = [];
  giveItems(
    channel.port1,
    (asked) => source(asked),
    (error) => void errors.push(error),
  );
  fetchItems = itemsByPort(channel.port2);
});
afterEach(() => channel.port2.close());

/** Items without the second, in memory that is used again. */
async function* some(asked: readonly ChunkId[]): AsyncGenerator<FetchedItem> {
  const memory = Buffer.alloc(100);
  for (const id of asked) {
    if (id[0] === 2) continue;
    memory.fill(id[0] ?? 0);
    yield { id, bytes: memory.subarray(0, 10 * (id[0] ?? 0)) };
  }
}

async function all(asked: readonly ChunkId[]): Promise<string[]> {
  const came: string[] = [];
  for await (const { id, bytes } of fetchItems(asked)) {
    expect(bytes.every((byte) => byte === id[0])).toBe(true);
    came.push(`${id[0]}:${bytes.length}`);
  }
  return came;
}

describe('items that another thread fetches', () => {
  it('come in the order of the question, what is missing left out, several questions at a time', async () => {
    source = some;
    const [one, two] = await Promise.all([all(ids), all([...ids].reverse())]);
    expect(one).toEqual(['1:10', '3:30', '4:40']);
    expect(two).toEqual(['4:40', '3:30', '1:10']);
    expect(await all([])).toEqual([]);
  });

  it('end with an error on both sides where their source fails', async () => {
    const failed = new Error('gone');
    source = async function* (asked) {
      for await (const item of some(asked)) {
        if (item.id[0] === 3) throw failed;
        yield item;
      }
    };
    const came: number[] = [];
    const reading = (async () => {
      for await (const { id } of fetchItems(ids)) came.push(id[0] ?? 0);
    })();
    await expect(reading).rejects.toBeInstanceOf(SourceFailed);
    expect(came).toEqual([1]);
    expect(errors).toEqual([failed]);
  });

  it('concern nobody once their reader has left', async () => {
    source = some;
    for await (const { id } of fetchItems(ids)) {
      expect(id[0]).toBe(1);
      break;
    }
    expect(await all(ids.slice(2))).toEqual(['3:30', '4:40']);
  });
});
