import { parentPort } from 'node:worker_threads';
import { SealError } from '../content/errors.ts';
import { release } from '../crypto/bytes.ts';
import type { OpenAnswer, OpenJob } from './open-pool.ts';
import { forTransfer, openHere } from './opener.ts';

/** One thread of an `OpenPool`. */

if (parentPort === null) throw new Error('this file runs as a worker only');
const port = parentPort;

port.on('message', ({ id, vaultId, refs, keys, sealed }: OpenJob & { readonly id: number }) => {
  const pieces = refs.map((ref, index) => ({
    ref,
    key: keys[index] as Uint8Array,
    sealed: sealed[index] as Uint8Array,
  }));
  const opened = openHere(vaultId, pieces);
  for (const bytes of sealed) release(bytes);
  const { arrays, transfer } = forTransfer(
    opened.map((one) => ('plain' in one ? one.plain : new Uint8Array(0))),
  );
  const failures = opened.map((one) => {
    if ('plain' in one) return undefined;
    if (one.error instanceof SealError) return { code: one.error.code, message: one.error.message };
    return {
      code: undefined,
      message: one.error instanceof Error ? one.error.message : String(one.error),
    };
  });
  port.postMessage(
    { id, plain: arrays, failures } satisfies OpenAnswer & { readonly id: number },
    transfer,
  );
});
