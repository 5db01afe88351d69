import { mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Noise } from './noise.ts';
import { type TextKind, textFile } from './text.ts';
import { type Waveform, writeWaveform } from './waveform.ts';

/** One file of a set: its path below the set's folder, and what is in it. */
export type PlannedFile = { readonly path: string; readonly bytes: number } & (
  | { readonly text: TextKind }
  | { readonly waveform: Omit<Waveform, 'bytes'> }
);

/**
 * All generated data follows from this number. Changing it, or what the generators write, needs a
 * new `VERSION` in prepare.ts.
 */
export const SEED = 20_260_401;

const MIB = 1 << 20;
const texts: readonly TextKind[] = ['csv', 'txt', 'xml'];
/**
 * When the first file was written; each next one a minute later. The past, so that no tool doubts
 * the stamps.
 */
const FIRST_WRITTEN_S = Date.UTC(2026, 0, 5) / 1000;

/**
 * Sizes of the twelve large files in MiB, 1,200 together. The one of 100 MiB is what the bench
 * restores alone.
 */
const largeMib = [200, 40, 160, 60, 120, 100, 80, 140, 50, 110, 70, 70];
/** Noise of the large files, in counts: quiet detectors and loud ones. */
const largeSigma = [5.1, 12, 3.4, 24, 6.8, 8.5, 2.6, 15, 45, 6, 4.3, 10];

/**
 * The mixed set of 2.16 GB at scale 1: 12 noisy 16-bit waveforms of 40 to 200 MiB, 300 traces of 1
 * to 4 MiB, 4,000 small csv, txt and xml files, and 20 folder results of 60 files. `scale` makes
 * the large files smaller and the others fewer.
 */
export function planMixed(scale: number): PlannedFile[] {
  const noise = new Noise(SEED, 'plan of the mixed set');
  const files: PlannedFile[] = [];
  for (const [at, mib] of largeMib.entries()) {
    const bytes = even(mib * MIB * scale);
    files.push({
      path: `waveforms/run-${two(at + 1)}.dat`,
      bytes,
      waveform: { sigma: largeSigma[at] ?? 16, sample: 'int16' },
    });
  }
  for (let at = 0; at < count(300, scale); at += 1) {
    const bytes = even(noise.between(1, 3.4) * MIB);
    const waveform = {
      sigma: 2 * 2 ** noise.between(0, 4),
      sample: at % 5 === 4 ? 'float32' : 'int16',
    } as const;
    files.push({
      path: `traces/2026-${two(1 + (at % 12))}/trace-${four(at)}.bin`,
      bytes,
      waveform,
    });
  }
  for (let at = 0; at < count(4000, scale); at += 1)
    files.push(smallText('reports', at, 512, 48 << 10, noise));
  for (let folder = 0; folder < count(20, scale); folder += 1)
    files.push(...folderResult(`folders/sample-${two(folder + 1)}.D`, noise));
  return files;
}

/**
 * One folder result of 60 files: a few traces and what the instrument's software writes beside
 * them; some 7 MB.
 */
export function folderResult(folder: string, noise: Noise): PlannedFile[] {
  const files: PlannedFile[] = [];
  for (let at = 0; at < 60; at += 1) {
    if (at < 6) {
      const waveform = { sigma: 2 * 2 ** noise.between(0, 4), sample: 'int16' } as const;
      files.push({
        path: `${folder}/DAD1_${at}.ch`,
        bytes: even(noise.between(0.6, 1.2) * MIB),
        waveform,
      });
    } else files.push(smallText(folder, at, 256, 16 << 10, noise));
  }
  return files;
}

/** 100,000 text files of 1 to 8 KiB at scale 1, a thousand a folder. */
export function planSmall(scale: number): PlannedFile[] {
  const noise = new Noise(SEED, 'plan of the small set');
  return Array.from({ length: count(100_000, scale) }, (_, at) =>
    smallText(`plate-${four(Math.floor(at / 1000))}`, at, 1024, 8192, noise),
  );
}

/** One file of 1 GiB at scale 1, to which the bench appends. */
export function planGrowing(scale: number): PlannedFile[] {
  return [
    {
      path: 'acquisition.dat',
      bytes: even(1024 * MIB * scale),
      waveform: { sigma: 16, sample: 'int16' },
    },
  ];
}

/** The part of the mixed set that a second PC has as well: 219 MB of it, of every kind. */
export function planSecond(mixed: readonly PlannedFile[], scale: number): PlannedFile[] {
  const most = {
    waveforms: 120 * MIB * scale,
    traces: 80 * MIB * scale,
    reports: 18 * MIB * scale,
    folders: 8 * MIB * scale,
  };
  const taken: PlannedFile[] = [];
  for (const [kind, limit] of Object.entries(most)) {
    let bytes = 0;
    for (const file of mixed) {
      if (!file.path.startsWith(`${kind}/`) || (bytes > 0 && bytes + file.bytes > limit)) continue;
      if (file.bytes > limit * 1.5) continue;
      bytes += file.bytes;
      taken.push(file);
    }
  }
  return taken;
}

/** Writes planned files below a folder. `each` hears the bytes of every one. */
export function writePlan(
  folder: string,
  files: readonly PlannedFile[],
  each: (bytes: number) => void = () => undefined,
): void {
  const made = new Set<string>();
  for (const [at, file] of files.entries()) {
    const path = join(folder, file.path);
    if (!made.has(dirname(path))) mkdirSync(dirname(path), { recursive: true });
    made.add(dirname(path));
    if ('text' in file)
      writeFileSync(path, textFile(file.text, file.path, SEED, file.bytes), { flag: 'wx' });
    else writeWaveform(path, file.path, SEED, { ...file.waveform, bytes: file.bytes });
    const written = FIRST_WRITTEN_S + 60 * at;
    utimesSync(path, written, written);
    each(file.bytes);
  }
}

function smallText(
  folder: string,
  at: number,
  least: number,
  most: number,
  noise: Noise,
): PlannedFile {
  const text = texts[at % texts.length] ?? 'csv';
  return {
    path: `${folder}/result-${String(at).padStart(6, '0')}.${text}`,
    bytes: Math.round(noise.between(least, most)),
    text,
  };
}

const count = (whole: number, scale: number): number => Math.max(1, Math.round(whole * scale));
const even = (bytes: number): number => Math.max(4, Math.round(bytes / 4) * 4);
const two = (number: number): string => String(number).padStart(2, '0');
const four = (number: number): string => String(number).padStart(4, '0');
