import type { ChunkId } from '@aliquot/proto';
import type { QueuedItem } from '../queue/log/facts.ts';
import { bytePath } from '../source/paths.ts';
import type { CaptureHost } from './host.ts';
import type { CaptureExchange, CaptureWindow } from './window.ts';

/**
 * Seals sources once more to give back chunks that a rolled-back collector lost and no segment has
 * any longer. Sealing is convergent: a file that is still what it was gives the same ids; of a
 * changed one, the unchanged parts do. A slab comes again when all of its files, captured together,
 * are what they were.
 */
export function recoverFrom(
  host: CaptureHost,
): (lost: {
  readonly ids: readonly ChunkId[];
  readonly runs: readonly (readonly Uint8Array[])[];
}) => AsyncGenerator<QueuedItem, void, void> {
  return async function* recover({ ids, runs }) {
    const wanted = new Set(ids.map((id) => Buffer.from(id).toString('latin1')));
    for (const paths of runs) {
      if (wanted.size === 0) return;
      const handOver = new HandOver();
      const jobs = paths.map((path, job) => ({ job, path: bytePath(path) }));
      const run = host.capture(jobs, handOver).finally(() => handOver.end());
      run.catch(() => undefined); // awaited below
      for await (const item of handOver.items()) {
        if (wanted.delete(Buffer.from(item.id).toString('latin1'))) yield item;
      }
      await run;
    }
  };
}

/** Passes windows to a reader, one at a time: the capture waits until the reader wants more. */
class HandOver implements CaptureExchange {
  #window: { readonly window: CaptureWindow; readonly taken: () => void } | undefined;
  #wake: () => void = () => undefined;
  #ended = false;

  // Nothing is taken from the cache: it would answer with the very chunks that are lost.
  lookup(indexes: readonly Uint8Array[]): ReturnType<CaptureExchange['lookup']> {
    return Promise.resolve(indexes.map(() => undefined));
  }

  deliver(window: CaptureWindow): Promise<readonly number[]> {
    if (this.#ended) return Promise.resolve([]);
    return new Promise((taken) => {
      this.#window = { window, taken: () => taken([]) };
      this.#wake();
    });
  }

  end(): void {
    this.#ended = true;
    this.#wake();
  }

  async *items(): AsyncGenerator<QueuedItem, void, void> {
    try {
      for (;;) {
        const full = this.#window;
        if (full !== undefined) {
          this.#window = undefined;
          try {
            for (const { id, kind, sealed } of full.window.items) yield { id, kind, sealed };
            for (const { id, sealed } of full.window.slabs) yield { id, kind: 'slab', sealed };
          } finally {
            full.taken();
          }
        } else if (this.#ended) return;
        else
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
      }
    } finally {
      // The reader stopped early: let the capture run out into nothing.
      this.#ended = true;
      this.#window?.taken();
    }
  }
}
