import {
  appendFileSync,
  cpSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { Noise } from './data/noise.ts';
import { folderResult, type PlannedFile, planMixed, SEED, writePlan } from './data/sets.ts';
import { waveformBytes } from './data/waveform.ts';

/**
 * A change of a data set that can be taken back, so that every system meets the same set and the
 * same change.
 */
export interface BenchChange {
  /** Bytes that are new: appended, inserted, or in new files. */
  readonly newBytes: number;
  undo(): void;
}

const MIB = 1 << 20;
const EDITED = 50;

/**
 * A little changed: 50 reports got a line in their middle, one large waveform grew by 10 MiB, and a
 * new folder result and three new traces came: some 26 MB at scale 1.
 */
export function changeMixed(folder: string, scale: number): BenchChange {
  const plan = planMixed(scale);
  const aside = `${folder}.before`;
  rmSync(aside, { recursive: true, force: true });
  const reports = plan.filter((file) => file.path.startsWith('reports/'));
  const step = Math.max(1, Math.floor(reports.length / EDITED));
  const edited = reports.filter((_, at) => at % step === 0).slice(0, EDITED);
  const grown = plan.find((file) => file.path.startsWith('waveforms/run-05')) ?? plan[0];
  if (grown === undefined) throw new Error('the mixed set is empty');
  for (const { path } of edited) {
    mkdirSync(dirname(join(aside, path)), { recursive: true });
    // The copy keeps the old stamps, and takes the file's place again at the end.
    cpSync(join(folder, path), join(aside, path), { preserveTimestamps: true });
    const text = readFileSync(join(folder, path), 'latin1');
    const middle = text.indexOf('\n', text.length >> 1) + 1;
    writeFileSync(
      join(folder, path),
      `${text.slice(0, middle)}corrected by the operator: factor 1.0173\n${text.slice(middle)}`,
      'latin1',
    );
  }
  const appended = Math.max(4, Math.round((10 * MIB * scale) / 4) * 4);
  const grownPath = join(folder, grown.path);
  const stamps = statSync(grownPath);
  appendFileSync(grownPath, waveformBytes(`more of ${grown.path}`, SEED, appended, 8));
  const noise = new Noise(SEED, 'what came');
  const arrived: PlannedFile[] = [];
  for (let at = 0; at < Math.max(1, Math.round(3 * scale)); at += 1) {
    arrived.push({
      path: `new/trace-${at}.bin`,
      bytes: 3 * MIB,
      waveform: { sigma: 8, sample: 'int16' },
    });
  }
  if (scale >= 0.5) arrived.push(...folderResult('new/sample-new.D', noise));
  writePlan(folder, arrived);
  return {
    newBytes: appended + arrived.reduce((sum, { bytes }) => sum + bytes, 0) + edited.length * 41,
    undo() {
      for (const { path } of edited) renameSync(join(aside, path), join(folder, path));
      rmSync(aside, { recursive: true, force: true });
      truncateSync(grownPath, grown.bytes);
      utimesSync(grownPath, stamps.atime, stamps.mtime);
      rmSync(join(folder, 'new'), { recursive: true, force: true });
    },
  };
}

/** The growing file gets its next part, of 10 MiB at scale 1. `part` counts from 1. */
export function appendPart(file: string, part: number, scale: number): number {
  const bytes = Math.max(4, Math.round((10 * MIB * scale) / 4) * 4);
  appendFileSync(file, waveformBytes(`part ${part}`, SEED, bytes, 16));
  return bytes;
}
