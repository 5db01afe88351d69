import type { KeptShares } from './measure/kept.ts';
import type { MachineLimits } from './measure/limits.ts';
import { median } from './measure/statistics.ts';
import type { BenchSample, Verb } from './samples.ts';
import type { SystemName } from './systems/system.ts';

/** All that one call of the bench found, as it goes into the JSON file. */
export interface Report {
  /** Of this format. */
  readonly version: 1;
  readonly startedAt: string;
  readonly machine: Readonly<Record<string, string | number>>;
  readonly limits?: MachineLimits;
  readonly options: Readonly<Record<string, unknown>>;
  /** Versions of what took part, by system; or why it did not. */
  readonly systems: Readonly<Record<string, string>>;
  readonly skipped: Readonly<Record<string, string>>;
  readonly samples: readonly BenchSample[];
}

interface Row {
  readonly title: string;
  cell(samples: readonly BenchSample[]): string | undefined;
}

const seconds = (value: number): string => `${value.toFixed(value < 9.95 ? 2 : 1)} s`;
const megabytes = (value: number): string => `${(value / 1e6).toFixed(1)} MB`;
const mebibytes = (value: number): string => `${Math.round(value / 2 ** 20)} MiB`;

/** The median over the runs of one figure of one verb; undefined where nothing was measured. */
function figure(
  samples: readonly BenchSample[],
  verb: Verb,
  of: (sample: BenchSample) => number | undefined,
): number | undefined {
  const values = samples
    .filter((sample) => sample.verb === verb)
    .map(of)
    .filter((value) => value !== undefined);
  return values.length === 0 ? undefined : median(values);
}

function row(
  title: string,
  verb: Verb,
  of: (sample: BenchSample) => number | undefined,
  show: (value: number) => string,
): Row {
  return {
    title,
    cell(samples) {
      const value = figure(samples, verb, of);
      return value === undefined ? undefined : show(value);
    },
  };
}

const wall = (sample: BenchSample): number => sample.wallSeconds;
const cpu = (sample: BenchSample): number => sample.clientCpuSeconds + sample.serverCpuSeconds;
const stored = (sample: BenchSample): number | undefined => sample.storedBytes;
const share = (sample: BenchSample): number | undefined =>
  sample.storedBytes === undefined ? undefined : sample.storedBytes / sample.rawBytes;
const ratio = (value: number): string => value.toFixed(3);
const clientPeak = (sample: BenchSample): number => sample.clientPeakBytes;
// A system without a server has no peak of one.
const serverPeak = (sample: BenchSample): number | undefined => sample.serverPeakBytes || undefined;

/** A row of `small-kept`: a figure of what is kept, by the file. */
function keptRow(
  title: string,
  of: (kept: KeptShares) => number,
  show: (value: number) => string,
): Row {
  const byFile = ({ kept, files }: BenchSample): number | undefined =>
    kept === undefined || files === undefined ? undefined : of(kept) / files;
  return row(title, 'small-kept', byFile, show);
}

const bytesAFile = (value: number): string => `${value.toFixed(0)} bytes a file`;
const rowsAFile = (value: number): string => `${value.toFixed(3)} rows a file`;

/** The largest peak of some verbs: of each run, and then the middle one of the runs. */
function peakRow(
  title: string,
  of: (sample: BenchSample) => number,
  counts: (verb: Verb) => boolean,
): Row {
  return {
    title,
    cell(samples) {
      const peaks = new Map<number, number>();
      for (const sample of samples.filter(({ verb }) => counts(verb))) {
        peaks.set(sample.run, Math.max(peaks.get(sample.run) ?? 0, of(sample)));
      }
      const value = median([...peaks.values()]);
      return peaks.size === 0 || value === 0 ? undefined : mebibytes(value);
    },
  };
}

const isCheck = (verb: Verb): boolean =>
  verb === 'check' || verb === 'scrub' || verb === 'small-check';
const isRestore = (verb: Verb): boolean =>
  verb === 'restore' || verb === 'one' || verb === 'small-restore';

/** One for each folder of the corpus that was measured. */
function folderRows(samples: readonly BenchSample[]): Row[] {
  const folders = new Set(samples.flatMap(({ folder }) => folder ?? []));
  return [...folders]
    .sort()
    .map((name) =>
      row(
        `stored / raw, ${name}`,
        'corpus-folders',
        (sample) => (sample.folder === name ? share(sample) : undefined),
        ratio,
      ),
    );
}

const rowsBefore: readonly Row[] = [
  row('first backup', 'first', wall, seconds),
  row('  processor, both sides', 'first', cpu, seconds),
  row('  stored / raw', 'first', share, ratio),
  row('stored / raw, real files', 'corpus', share, ratio),
];

const rowsBehind: readonly Row[] = [
  row('nothing changed', 'unchanged', wall, seconds),
  row('  through the service', 'unchanged-service', wall, seconds),
  row('a little changed', 'changed', wall, seconds),
  row('  stored', 'changed', stored, megabytes),
  row('a second PC, same data', 'second', wall, seconds),
  row('  stored', 'second', stored, megabytes),
  row('restore all, verified', 'restore', wall, seconds),
  row('one 100 MiB file', 'one', wall, seconds),
  row('read and check all stored', 'check', wall, seconds),
  row('  by the collector, without keys', 'scrub', wall, seconds),
  row('100,000 small files, first', 'small', wall, seconds),
  row('  processor, both sides', 'small', cpu, seconds),
  row('  stored / raw', 'small', share, ratio),
  row('  nothing changed', 'small-unchanged', wall, seconds),
  row('  through the service', 'small-unchanged-service', wall, seconds),
  row('  peak memory, client', 'small', clientPeak, mebibytes),
  row('  peak memory, server', 'small', serverPeak, mebibytes),
  row('small files, restore all', 'small-restore', wall, seconds),
  row('  processor, both sides', 'small-restore', cpu, seconds),
  row('small files, check all', 'small-check', wall, seconds),
  row('  processor, both sides', 'small-check', cpu, seconds),
  row('small files, a second PC', 'small-second', wall, seconds),
  row('  processor, both sides', 'small-second', cpu, seconds),
  row('  stored', 'small-second', stored, megabytes),
  keptRow('small files, packs', ({ bytes }) => bytes.packs, bytesAFile),
  keptRow('small files, history', ({ bytes }) => bytes.history, bytesAFile),
  keptRow('small files, catalog', ({ bytes }) => bytes.catalog, bytesAFile),
  keptRow('  gathered', ({ gathered }) => gathered.catalog, bytesAFile),
  keptRow("small files, agent's index", ({ bytes }) => bytes.index, bytesAFile),
  keptRow('  gathered', ({ gathered }) => gathered.index, bytesAFile),
  keptRow("small files, agent's chain log", ({ bytes }) => bytes.chain, bytesAFile),
  keptRow('small files, rows of the catalog', ({ rows }) => rows.catalog['all'] ?? 0, rowsAFile),
  keptRow(
    "small files, rows of the agent's index",
    ({ rows }) => rows.index['all'] ?? 0,
    rowsAFile,
  ),
  row('1 GiB, five appends', 'growing', wall, seconds),
  row('  processor, both sides', 'growing', cpu, seconds),
  row('  stored', 'growing', stored, megabytes),
  row('  through the service', 'growing-service', wall, seconds),
  peakRow('peak memory, client', clientPeak, (verb) => !isRestore(verb) && !isCheck(verb)),
  peakRow('  restoring', clientPeak, isRestore),
  peakRow('  checking', clientPeak, isCheck),
  peakRow(
    'peak memory, server',
    (sample) => sample.serverPeakBytes,
    () => true,
  ),
];

/**
 * One row of the table: what is measured, and its median for each system; empty where nothing was
 * measured.
 */
export interface Figures {
  readonly title: string;
  readonly cells: readonly string[];
}

/** The medians of all that was measured. Rows without any figure are left out. */
export function figures(
  samples: readonly BenchSample[],
  systems: readonly SystemName[],
): Figures[] {
  return [...rowsBefore, ...folderRows(samples), ...rowsBehind]
    .map(({ title, cell }) => ({
      title,
      cells: systems.map(
        (system) => cell(samples.filter((sample) => sample.system === system)) ?? '',
      ),
    }))
    .filter(({ cells }) => cells.some((text) => text !== ''));
}

/** The medians as a table of text lines: one row a figure, one column a system. */
export function table(samples: readonly BenchSample[], systems: readonly SystemName[]): string[] {
  const all = [
    ['', ...systems],
    ...figures(samples, systems).map(({ title, cells }) => [title, ...cells]),
  ];
  return aligned(all);
}

/** Rows of cells as lines: the first column to the left, the others to the right. */
export function aligned(all: readonly (readonly string[])[]): string[] {
  const widths =
    all[0]?.map((_, column) => Math.max(...all.map((cells) => cells[column]?.length ?? 0))) ?? [];
  return all.map((cells) =>
    cells
      .map((text, at) => (at === 0 ? text.padEnd(widths[at] ?? 0) : text.padStart(widths[at] ?? 0)))
      .join('  '),
  );
}

/** The machine's limits as one line. */
export function limitsLine(limits: MachineLimits): string {
  const rate = (bytesPerSecond: number): string => `${(bytesPerSecond / 1e9).toFixed(2)} GB/s`;
  return [
    `memory copy ${rate(limits.memoryCopy)}`,
    `SHA-256 ${rate(limits.sha256)}`,
    `AES-256-GCM ${rate(limits.aes256gcm)}`,
    `zstd level 1 ${rate(limits.zstd1)}`,
    `disk write with fsync ${rate(limits.diskWriteSynced)}`,
    `TCP loopback ${rate(limits.loopback)}`,
  ].join(', ');
}
