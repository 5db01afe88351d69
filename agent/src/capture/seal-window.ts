import { maskKey, unmaskKey } from '@aliquot/shared/content/cache-key';
import type { KeyedRef } from '@aliquot/shared/content/pages';
import { refOf, sealChunk } from '@aliquot/shared/content/seal';
import type { CachedChunk } from '../queue/ledger/ledger.ts';
import type { CaptureKeys, Chunk, OpenWindow, ReadEnding } from './open-window.ts';
import { claimedMs } from './times.ts';
import type { CaptureResult, CaptureWindow } from './window.ts';

/**
 * Seals what a window has read; `answers` is what the cache says of `asked`, some of its chunks. The
 * window's memory may be used again then.
 */
export function sealWindow(
  keys: CaptureKeys,
  window: OpenWindow,
  asked: readonly Chunk[],
  answers: readonly (CachedChunk | undefined)[],
): CaptureWindow {
  const hits = new Map(asked.map((part, at) => [part, answers[at]]));
  const items: CaptureWindow['items'][number][] = [];
  const cached: CaptureWindow['cached'][number][] = [];
  const push = ({ attempt, cache, isTail }: Chunk, item: KeyedRef): void => {
    const of = { attempt: attempt.number, job: attempt.job.job };
    for (const { id, kind, sealed } of attempt.tracker.push(item, cache?.fingerprint, isTail))
      items.push({ ...of, id, kind, sealed });
  };
  for (const part of window.chunks) {
    const { attempt, plain, cache } = part;
    if (attempt.aborted) continue;
    const hit = hits.get(part);
    if (cache !== undefined && hit !== undefined && hit.plainSize === plain.length) {
      const key = unmaskKey(cache.fingerprint, hit.id, hit.maskedKey);
      push(part, { ref: { id: hit.id, plainSize: hit.plainSize, epoch: hit.epoch }, key });
      continue;
    }
    const chunk = sealChunk(keys.vault, plain);
    const of = { attempt: attempt.number, job: attempt.job.job };
    items.push({ ...of, id: chunk.id, kind: 'chunk', sealed: chunk.sealed });
    push(part, { ref: refOf(chunk), key: chunk.key });
    if (cache === undefined) continue;
    const { id, plainSize, epoch } = chunk;
    const { fingerprint, index } = cache;
    cached.push({
      ...of,
      index,
      chunk: { id, plainSize, epoch, maskedKey: maskKey(fingerprint, id, chunk.key) },
    });
  }
  const results: CaptureResult[] = [];
  for (const ending of window.endings) {
    if (ending.type === 'result') {
      results.push(ending.result);
      continue;
    }
    const { pages, captured } = endedFile(keys, ending);
    items.push(...pages);
    results.push(captured);
  }
  const { aborted, slabs, readBytes } = window;
  return { aborted, items, cached, slabs, results, readBytes };
}

/** A file that was read to its end, with the pages that its content still needs. */
function endedFile(
  { vault, cacheSecret }: CaptureKeys,
  { attempt, stat, startedMs, sha256 }: Extract<ReadEnding, { type: 'done' }>,
): { readonly pages: CaptureWindow['items']; readonly captured: CaptureResult } {
  const { tracker } = attempt;
  const of = { attempt: attempt.number, job: attempt.job.job };
  const { content, keys, pages } = tracker.finish();
  const version = { size: stat.size, mtimeNs: stat.mtimeNs, capturedAtMs: claimedMs(startedMs) };
  const growth = tracker.state(vault, cacheSecret, version);
  const { oldPart } = tracker;
  return {
    pages: pages.map(({ id, kind, sealed }) => ({ ...of, id, kind, sealed })),
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
