import { expect, test } from 'vitest';
import { figuresForDocs } from './docs-table.ts';
import { type Report, table } from './report.ts';
import { type BenchSample, verbs } from './samples.ts';
import { together } from './scenes.ts';

const usage = {
  clientCpuSeconds: 1,
  serverCpuSeconds: 0.5,
  clientPeakBytes: 100 << 20,
  serverPeakBytes: 50 << 20,
};
const sample = (more: Partial<BenchSample>): BenchSample => ({
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
  expect(text).toContainEqual(
    expect.stringMatching(/^ {2}processor, both sides +1\.50 s +1\.50 s$/),
  );
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

test('each folder of the corpus has a row of its own', () => {
  const folder = (name: string, storedBytes: number) =>
    sample({ verb: 'corpus-folders', folder: name, storedBytes });
  const text = table([folder('dicom', 300), folder('agilent_d', 200)], ['ours']);
  expect(text.slice(1, 3)).toEqual([
    expect.stringMatching(/^stored \/ raw, agilent_d +0\.200$/),
    expect.stringMatching(/^stored \/ raw, dicom +0\.300$/),
  ]);
});

test('what is kept of small files is told by the file', () => {
  const text = table([sample({ verb: 'small-kept', files: 10, kept })], ['ours']);
  expect(text).toContainEqual(expect.stringMatching(/^small files, packs +500 bytes a file$/));
  expect(text).toContainEqual(
    expect.stringMatching(/^small files, rows of the catalog +1\.100 rows a file$/),
  );
});

test('commands that belong together add their times and keep their largest peaks', () => {
  const all = together([
    { ...usage, wallSeconds: 1 },
    { ...usage, wallSeconds: 2, clientPeakBytes: 7 << 20 },
  ]);
  expect(all).toEqual({ ...usage, wallSeconds: 3, clientCpuSeconds: 2, serverCpuSeconds: 1 });
});

const kept = {
  bytes: { packs: 5000, history: 600, catalog: 250, index: 100, chain: 70, segments: 9000 },
  gathered: { catalog: 200, index: 90 },
  rows: { catalog: { H: 10, all: 11 }, index: { all: 2 } },
};

const report = (samples: readonly BenchSample[]): Report => ({
  ...{
    version: 1,
    startedAt: '2026-05-01T10:00:00.000Z',
    machine: { processor: 'CPU', cores: 2, kernel: '6', node: 'v24' },
  },
  ...{
    options: { runs: 3, scale: 1 },
    systems: { ours: 'aliquot 0.1.0', borg: 'borg 1.2' },
    skipped: {},
    samples,
  },
});

test('for the docs each row stands beside what is to be reached, under a title of its own', () => {
  const text = figuresForDocs(report([sample({}), sample({ system: 'borg', wallSeconds: 12 })]));
  expect(text).toContain(
    "| first backup | 2.00 s | 12.0 s | ≤ 0.7 × borg's | 32.5 s | 16.2 s | 3.4 s |\n",
  );
  expect(text).toContain(
    '| first backup: stored / raw | 0.500 | 0.500 | ≤ 0.50 | 0.568 | 0.603 | 1 |\n',
  );
  expect(text).toContain('2026-05-01');
});

test('every reference belongs to a row that the bench can measure', () => {
  const everything = verbs.map((verb) => sample({ verb, files: 10, kept }));
  const measured = figuresForDocs(report(everything));
  for (const [, title = ''] of figuresForDocs(undefined).matchAll(/^\| (\w[^|]*) \|/gm))
    expect(measured).toContain(`| ${title} |`);
});
