import { hash } from 'node:crypto';
import { parentPort } from 'node:worker_threads';
import type { HashAnswer, HashJob } from './hash-pool.ts';

/**
 * One thread of a `HashPool`. Imports nothing but Node's own, so that a thread weighs little and
 * starts at once.
 */

if (parentPort === null) throw new Error('this file runs as a worker only');
const port = parentPort;
const DIGEST_BYTES = 32;

port.on('message', ({ id, buffer, spans }: HashJob & { readonly id: number }) => {
  const digests = new Uint8Array((spans.length / 2) * DIGEST_BYTES);
  for (let at = 0; at < spans.length; at += 2) {
    const [offset = 0, length = 0] = spans.subarray(at, at + 2);
    digests.set(
      hash('sha256', new Uint8Array(buffer, offset, length), 'buffer'),
      (at / 2) * DIGEST_BYTES,
    );
  }
  port.postMessage({ id, buffer, digests } satisfies HashAnswer & { readonly id: number }, [
    buffer,
    digests.buffer,
  ]);
});
