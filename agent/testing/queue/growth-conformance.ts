import { describe, expect, test } from 'vitest';
import type { Queue } from '../../src/queue/queue.ts';
import { type SampleFile, sample } from './support.ts';

/**
 * What a queue keeps of files that grow: a cache, which may forget, and never gives one file's
 * state to another.
 */
export function queueGrowthConformance(current: () => Queue, reopen: () => Promise<void>): void {
  const keep = async (file: SampleFile, state: Uint8Array): Promise<void> => {
    const capture = current().intake.capture();
    for (const item of file.items) await capture.putItem(item);
    capture.keepGrowth(state);
    await capture.putVersion(file.draft, file.known);
  };

  describe('states of growing files', () => {
    test('I-A11: a state is there from the sync of its version on, and after opening again', async () => {
      const file = sample('/data/run.raw');
      expect(await current().ledger.growthOf(file.path)).toBeUndefined();
      await keep(file, Uint8Array.of(1, 2, 3));
      await current().sync();
      await reopen();
      expect(await current().ledger.growthOf(file.path)).toEqual(Uint8Array.of(1, 2, 3));
    });

    test('I-A11: the newest version brings its own state', async () => {
      const file = sample('/data/run.raw');
      for (const state of [1, 2]) await keep(file, Uint8Array.of(state));
      await current().sync();
      expect(await current().ledger.growthOf(file.path)).toEqual(Uint8Array.of(2));
    });

    test('I-A11: a capture that was given up keeps none, and one that has ended takes none', async () => {
      const file = sample('/data/run.raw');
      const capture = current().intake.capture();
      capture.keepGrowth(Uint8Array.of(1));
      capture.abort();
      expect(() => capture.keepGrowth(Uint8Array.of(2))).toThrowError(
        expect.objectContaining({ code: 'QUEUE_CLOSED' }),
      );
      await current().sync();
      expect(await current().ledger.growthOf(file.path)).toBeUndefined();
    });

    test('I-A11: of more files than it keeps states for, none is given the state of another', async () => {
      const files = Array.from({ length: 100 }, (_, at) => sample(`/data/run-${at}.raw`, 0));
      for (const [at, file] of files.entries()) await keep(file, Uint8Array.of(at));
      await current().sync();
      let kept = 0;
      for (const [at, { path }] of files.entries()) {
        const state = await current().ledger.growthOf(path);
        if (state === undefined) continue;
        expect(state).toEqual(Uint8Array.of(at));
        kept += 1;
      }
      expect(kept).toBeGreaterThan(80);
    });
  });
}
