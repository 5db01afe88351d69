import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openBench } from '../../testing/capture/bench.ts';
import { noise } from '../../testing/queue/support.ts';
import { fromText } from '../source/paths.ts';
import type { CaptureWindow } from './window.ts';
import { packWindow } from './window-pack.ts';

test('a window arrives at another thread as it was, over a few buffers, and large items without a copy', async () => {
  const bench = await openBench();
  try {
    mkdirSync(join(bench.data, 'run'));
    for (let n = 0; n < 20; n += 1) writeFileSync(join(bench.data, 'run', `f${n}`), `file ${n}`);
    writeFileSync(join(bench.data, 'large'), noise('large', 3_000_000));
    const windows: CaptureWindow[] = [];
    const names = [...Array.from({ length: 20 }, (_, n) => `run/f${n}`), 'missing', 'large'];
    await bench.host.capture(
      names.map((name, job) => ({ job, path: fromText(join(bench.data, name), '/') })),
      {
        lookup: async (indexes) => indexes.map(() => undefined),
        deliver: async (window) => {
          windows.push(window);
          return [];
        },
      },
    );
    for (const window of windows) {
      const before = structuredClone(window);
      const { packed, transfer } = packWindow(window);
      const large = window.items
        .filter(({ sealed }) => sealed.length >= 64 << 10)
        .map(({ sealed }) => sealed.buffer);
      expect(transfer).toHaveLength(2 + large.length);
      expect(transfer).toEqual(expect.arrayContaining(large));
      expect(structuredClone(packed, { transfer })).toEqual(before);
    }
    expect(windows.flatMap(({ results }) => results)).toHaveLength(22);
  } finally {
    await bench.close();
  }
});
