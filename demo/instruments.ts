import { appendFile, mkdir, open, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Simulated instruments that write the way real ones do: a growing file, a folder with its marker
 * last, a rewrite in place, a rename into place, and thousands of small files. Same seed, same
 * bytes.
 */

/**
 * What an instrument is given: where it writes, what it is seeded with, and how it lets time pass
 * between two writes.
 */
export interface InstrumentBench {
  readonly folder: string;
  readonly seed: number;
  /**
   * Resolves when the instrument may write its next piece; how long that takes is the caller's
   * choice.
   */
  readonly pause: () => Promise<void>;
}

export interface Instrument {
  readonly name: string;
  /** How it writes, in words for the person who watches. */
  readonly habit: string;
  run(bench: InstrumentBench): Promise<void>;
}

/**
 * A small repeatable generator (xorshift32, Marsaglia 2003): test data, never a key. Test only:
 * outside of this file.
 */
export function generator(seed: number): () => number {
  let state = seed | 0 || 0x9e3779b9;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

/**
 * A detector trace: 16-bit samples, peaks on a noisy baseline, as chromatographs and mass
 * spectrometers write them. Test only: outside of this file.
 */
export function waveform(bytes: number, seed: number): Buffer {
  const next = generator(seed);
  const samples = new Int16Array(bytes >>> 1);
  let height = 0;
  for (let i = 0; i < samples.length; i += 1) {
    if (next() % 4096 === 0) height = next() % 24_000;
    height *= 0.995;
    samples[i] = Math.round(height) + (next() % 31) - 15;
  }
  return Buffer.from(samples.buffer);
}

/** Tabular export: what plate readers and chromatography software hand to people. */
function table(rows: number, seed: number): string {
  const next = generator(seed);
  const lines = ['Well,Sample,Wavelength,Absorbance,Concentration'];
  for (let row = 0; row < rows; row += 1) {
    const well = `${'ABCDEFGH'[row % 8]}${1 + (row % 12)}`;
    lines.push(
      `${well},S-${1000 + row},${400 + (next() % 300)},${(next() % 40_000) / 10_000},${(next() % 90_000) / 100}`,
    );
  }
  return `${lines.join('\r\n')}\r\n`;
}

const chromatograph: Instrument = {
  name: 'chromatograph',
  habit: 'one file that grows for the whole run',
  async run({ folder, seed, pause }) {
    const file = join(folder, `run-${seed}.dat`);
    await mkdir(folder, { recursive: true });
    await writeFile(file, `RUN ${seed}\r\n`);
    for (let block = 0; block < 12; block += 1) {
      await pause();
      await appendFile(file, waveform(512 * 1024, seed + block));
    }
  },
};

const massSpectrometer: Instrument = {
  name: 'mass spectrometer',
  habit: 'a .D folder whose marker comes last',
  async run({ folder, seed, pause }) {
    const result = join(folder, `sample-${seed}.D`);
    await mkdir(join(result, 'AcqData'), { recursive: true });
    await mkdir(join(result, 'Results'), { recursive: true });
    for (let scan = 0; scan < 6; scan += 1) {
      await pause();
      await appendFile(join(result, 'AcqData', 'MSScan.bin'), waveform(768 * 1024, seed + scan));
      await writeFile(
        join(result, 'AcqData', `trace${scan}.ms`),
        waveform(48 * 1024, seed * 7 + scan),
      );
    }
    await pause();
    await writeFile(join(result, 'RUN.LOG'), 'Method completed\r\n');
  },
};

const plateReader: Instrument = {
  name: 'plate reader',
  habit: 'writes under another name, then renames into place',
  async run({ folder, seed, pause }) {
    await mkdir(folder, { recursive: true });
    for (let plate = 0; plate < 5; plate += 1) {
      await pause();
      const part = join(folder, `~plate-${seed}-${plate}.tmp`);
      await writeFile(part, table(96 * 8, seed + plate));
      await rename(part, join(folder, `plate ${seed}-${plate} µ-titre.csv`));
    }
  },
};

const workstation: Instrument = {
  name: 'results table',
  habit: 'the same file rewritten in place after every sample',
  async run({ folder, seed, pause }) {
    await mkdir(folder, { recursive: true });
    const file = join(folder, `summary-${seed}.csv`);
    for (let sample = 1; sample <= 5; sample += 1) {
      await pause();
      const handle = await open(file, sample === 1 ? 'w' : 'r+');
      try {
        await handle.write(table(200 * sample, seed), 0);
      } finally {
        await handle.close();
      }
    }
  },
};

const sequencer: Instrument = {
  name: 'sequencer',
  habit: 'thousands of small files in one run folder',
  async run({ folder, seed, pause }) {
    const run = join(folder, `run_${seed}`);
    for (let cycle = 0; cycle < 20; cycle += 1) {
      const cycleFolder = join(run, 'L001', `C${cycle + 1}.1`);
      await mkdir(cycleFolder, { recursive: true });
      await pause();
      for (let tile = 0; tile < 100; tile += 1) {
        await writeFile(
          join(cycleFolder, `s_1_${1101 + tile}.stats`),
          waveform(512 + (tile % 7) * 64, seed + cycle * 100 + tile),
        );
      }
    }
    await mkdir(join(run, 'Logs'), { recursive: true });
    await writeFile(join(run, 'RTAComplete.txt'), `run ${seed}`);
  },
};

/** The five habits, one instrument each. */
export const instruments: readonly Instrument[] = [
  chromatograph,
  massSpectrometer,
  plateReader,
  workstation,
  sequencer,
];
