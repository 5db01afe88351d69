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

port.on('message', ({ id, buffers, spans }: HashJob & { readonly id: number }) => {
  const digests = buffers.map((buffer, at) => digestsOf(buffer, spans[at] ?? new Uint32Array(0)));
  port.postMessage({ id, buffers, digests } satisfies HashAnswer & { readonly id: number }, [
    ...buffers,
    ...digests.map(({ buffer }) => buffer),
  ]);
});

function digestsOf(buffer: ArrayBuffer, spans: Uint32Array): Uint8Array<ArrayBuffer> {
  const digests = Buffer.allocUnsafeSlow((spans.length / 2) * DIGEST_BYTES);
  for (let at = 0; at < spans.length; at += 2) {
    const bytes = new Uint8Array(buffer, spans[at] ?? 0, spans[at + 1] ?? 0);
    // As text: for an answer in bytes Node makes memory of its own for each.
    digests.write(hash('sha256', bytes, 'hex'), (at / 2) * DIGEST_BYTES, 'hex');
  }
  return new Uint8Array(digests.buffer);
}
