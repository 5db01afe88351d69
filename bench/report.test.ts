import { expect, test } from 'vitest';
import { table } from './report.ts';
import type { Sample } from './samples.ts';
import { together } from './scenes.ts';

const usage = { clientCpuSeconds: 1, serverCpuSeconds: 0.5, clientPeakBytes: 100 << 20, serverPeakBytes: 50 << 20 };
const sample = (more: Partial<Sample>): Sample => ({
  ...{ system: 'ours', verb: 'first', run: 1, wallSeconds: 2, rawBytes: 1000, storedBytes: 500 },
  ...usage,
  ...more,
});

test('a cell is the median of the runs, and rows that nobody measured are left out', () => {
  const samples = [
    ...[1, 30, 3].map((wallSeconds, at) => sample({ wallSeconds, run: at + 1 })),
    sample({ system: 'borg', wallSeconds: 12, storedBytes: 600 }),
  ];
  const text = table(samples, ['ours', 'borg']);
  expect(text[0]).toMatch(/^ +ours +borg$/);
  expect(text).toContainEqual(expect.stringMatching(/^first backup +3\.00 s +12\.0 s$/));
  expect(text).toContainEqual(expect.stringMatching(/^ {2}stored \/ raw +0\.500 +0\.600$/));
  expect(text).toContainEqual(expect.stringMatching(/^ {2}processor, both sides +1\.50 s +1\.50 s$/));
  expect(text.join('\n')).not.toContain('restore');
});

test('the peak of a run is that of its hungriest command, and restores have a row of their own', () => {
  const samples = [
    sample({ clientPeakBytes: 80 << 20 }),
    sample({ verb: 'changed', clientPeakBytes: 120 << 20 }),
    sample({ verb: 'restore', clientPeakBytes: 200 << 20 }),
  ];
  const text = table(samples, ['ours']);
  expect(text).toContainEqual(expect.stringMatching(/^peak memory, client +120 MiB$/));
  expect(text).toContainEqual(expect.stringMatching(/^ {2}restoring +200 MiB$/));
});

test('commands that belong together add their times and keep their largest peaks', () => {
  const all = together([
    { ...usage, wallSeconds: 1 },
    { ...usage, wallSeconds: 2, clientPeakBytes: 7 << 20 },
  ]);
  expect(all).toEqual({ ...usage, wallSeconds: 3, clientCpuSeconds: 2, serverCpuSeconds: 1 });
});
