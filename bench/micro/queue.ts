import { createHash } from 'node:crypto';
import type { ChunkId } from '@aliquot/proto';
import {
  type ChunkedSample,
  openQueue,
  sample,
  temporaryFolder,
} from '../../agent/testing/queue/support.ts';
import type { MicroTask } from './task.ts';

const VERSIONS = 2000;
const LARGE = 64;
const LARGE_BYTES = 256 << 10;

/** Versions of small files into the agent's queue, durable at the end of every 500. */
export const queueVersions: MicroTask = {
  name: 'queue, small versions',
  unit: 'items/s',
  async open() {
    const folder = temporaryFolder();
    const queue = await openQueue(folder.dir);
    const model = sample('/data/model', 1, 2000);
    let number = 0;
    return {
      async run() {
        for (let batch = 0; batch < VERSIONS; batch += 500) {
          const files = Array.from({ length: 500 }, (_, at) => renamed(model, number + at));
          number += 500;
          await Promise.all(
            files.map(async (file) => {
              const capture = queue.intake.capture();
              for (const item of file.items) await capture.putItems([item]);
              await capture.putVersion(file.draft, file.known);
            }),
          );
          await queue.sync();
        }
        return VERSIONS;
      },
      async close() {
        await queue.close();
        folder.remove();
      },
    };
  },
};

/** Sealed chunks of the average size into the queue's segments, durable at the end. */
export const queueItems: MicroTask = {
  name: 'queue, 256 KiB items',
  unit: 'MB/s',
  async open() {
    const folder = temporaryFolder();
    const queue = await openQueue(folder.dir);
    let number = 0;
    return {
      async run() {
        const capture = queue.intake.capture();
        for (let at = 0; at < LARGE; at += 1) {
          const sealed = Buffer.alloc(LARGE_BYTES, 5);
          number += 1;
          sealed.writeUInt32BE(number);
          await capture.putItems([{ id: idOf(sealed), kind: 'chunk', sealed }]);
        }
        await queue.sync();
        capture.abort();
        return LARGE * LARGE_BYTES;
      },
      async close() {
        await queue.close();
        folder.remove();
      },
    };
  },
};

const idOf = (sealed: Uint8Array): ChunkId =>
  createHash('sha256').update(sealed).digest() as Uint8Array as ChunkId;

/**
 * The same file under another name and with other sealed bytes: sealing is not what is measured
 * here.
 */
function renamed(
  model: ChunkedSample,
  number: number,
): Pick<ChunkedSample, 'items' | 'draft' | 'known'> {
  const path = Buffer.from(
    `/data/run-${Math.floor(number / 100)}/result-${String(number).padStart(8, '0')}.csv`,
  );
  const [first] = model.items;
  if (first === undefined) throw new Error('the model has no chunk');
  const sealed = Buffer.from(first.sealed);
  sealed.writeUInt32BE(number, 8);
  const id = idOf(sealed);
  const fileId = createHash('sha256')
    .update(path)
    .digest() as Uint8Array as typeof model.draft.fileId;
  const refs = [{ id, plainSize: first.plainSize, epoch: 1 }];
  const { draft, known } = model;
  return {
    items: [{ ...first, id, sealed }],
    draft: {
      ...draft,
      fileId,
      content: { depth: 0, piece: 0, refs },
      list: { ...draft.list, path },
    },
    known: { ...known, path, ino: BigInt(number) },
  };
}
