import { maskKey, unmaskKey } from '@aliquot/shared/content/cache-key';
import type { KeyedRef, SealedPage } from '@aliquot/shared/content/pages';
import { refOf, sealChunk } from '@aliquot/shared/content/seal';
import type { CachedChunk } from '../queue/ledger/ledger.ts';
import { encodeCached } from '../queue/ledger/rows.ts';
import type { CaptureKeys, Chunk, OpenWindow, ReadAttempt, ReadEnding } from './open-window.ts';
import { SealedMemory } from './sealed-memory.ts';
import { claimedMs } from './times.ts';
import type { CaptureResult, CaptureWindow } from './window.ts';

/**
 * Seals what a window has read; `answers` is what the cache says of `asked`, some of its chunks.
 * The window's memory may be used again then.
 */
export function sealWindow(
  keys: CaptureKeys,
  window: OpenWindow,
  asked: readonly Chunk[],
  answers: readonly (CachedChunk | undefined)[],
): CaptureWindow {
  const hits = new Map(asked.map((part, at) => [part, answers[at]]));
  const memory = new SealedMemory(window.used);
  const items: CaptureWindow['items'][number][] = [];
  const sealedNow: { readonly of: ReadAttempt; readonly index: Uint8Array; chunk: CachedChunk }[] =
    [];
  const addPages = ({ number, job: { job } }: ReadAttempt, pages: readonly SealedPage[]): void => {
    for (const { id, kind, sealed } of pages) {
      const place = memory.take(sealed.length);
      place.set(sealed);
      items.push({ attempt: number, job, id, kind, sealed: place });
    }
  };
  for (const part of window.chunks) {
    const { attempt, plain, cache, isTail } = part;
    if (attempt.aborted) continue;
    const hit = hits.get(part);
    let item: KeyedRef;
    if (cache !== undefined && hit !== undefined && hit.plainSize === plain.length) {
      const key = unmaskKey(cache.fingerprint, hit.id, hit.maskedKey);
      item = { ref: { id: hit.id, plainSize: hit.plainSize, epoch: hit.epoch }, key };
    } else {
      const chunk = sealChunk(keys.vault, plain, (bytes) => memory.take(bytes));
      const { id, kind, sealed, key, plainSize, epoch } = chunk;
      items.push({ attempt: attempt.number, job: attempt.job.job, id, kind, sealed });
      item = { ref: refOf(chunk), key };
      if (cache !== undefined) {
        const maskedKey = maskKey(cache.fingerprint, id, key);
        const remembered = { id, plainSize, epoch, maskedKey };
        sealedNow.push({ of: attempt, index: cache.index, chunk: remembered });
      }
    }
    addPages(attempt, attempt.tracker.push(item, cache?.fingerprint, isTail));
  }
  const cached = [...new Set(sealedNow.map(({ of }) => of))].map((attempt) => ({
    ...{ attempt: attempt.number, job: attempt.job.job },
    pairs: encodeCached(sealedNow.filter(({ of }) => of === attempt)),
  }));
  const results: CaptureResult[] = [];
  for (const ending of window.endings) {
    if (ending.type === 'result') {
      results.push(ending.result);
      continue;
    }
    const { pages, captured } = endedFile(keys, ending);
    addPages(ending.attempt, pages);
    results.push(captured);
  }
  const { aborted, slabs, readBytes } = window;
  const ended = results.length + window.smallFiles;
  return { aborted, items, cached, slabs, results, ended, readBytes };
}

/** A file that was read to its end, with the pages that its content still needs. */
function endedFile(
  { vault, cacheSecret }: CaptureKeys,
  { attempt, stat, startedMs, sha256 }: Extract<ReadEnding, { type: 'done' }>,
): { readonly pages: readonly SealedPage[]; readonly captured: CaptureResult } {
  const { tracker } = attempt;
  const of = { attempt: attempt.number, job: attempt.job.job };
  const { content, keys, pages } = tracker.finish();
  const version = { size: stat.size, mtimeNs: stat.mtimeNs, capturedAtMs: claimedMs(startedMs) };
  const growth = tracker.state(vault, cacheSecret, version);
  const { oldPart } = tracker;
  return {
    pages,
    captured: {
      type: 'captured',
      ...of,
      stat,
      startedMs,
      sha256,
      growth,
      oldPart,
      content,
      keys,
    },
  };
}
