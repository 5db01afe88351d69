import { appendFile, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { SeededRandom } from '@aliquot/shared/testing/random';
import { waveform } from '../../demo/instruments.ts';
import type { FinishedResult, Record } from './record.ts';

/**
 * What an instrument writes and how, drawn at random: new files and folders, appended, overwritten,
 * renamed into place, deleted.
 */

const LARGEST_BYTES = 400_000;
const HUGE_BYTES = 4_000_000;

/** Writes below `folder` until `stopped`, and ends between two results. */
export async function runInstrument(
  folder: string,
  random: SeededRandom,
  record: Record,
  stopped: () => boolean,
): Promise<void> {
  const contents = new Map<string, Buffer>();
  for (let number = 0; !stopped(); number += 1) {
    // Mostly what was told as captured is touched: then its earlier state has to come back.
    // Sometimes anything is.
    const old = record
      .finishedResults(random.chance(0.9))
      .filter(({ path }) => path.startsWith(`${folder}/`));
    const habit =
      old.length === 0
        ? 'new'
        : random.pick([
            'new',
            'new',
            'new',
            'folder',
            'append',
            'append',
            'overwrite',
            'replace',
            'delete',
          ] as const);
    const some = old.length === 0 ? undefined : random.pick(old);
    if (habit === 'new' || some === undefined) {
      const path = join(folder, `day-${random.below(20)}`, `sample ${number} µ.raw`);
      await write(record.begin(path, [path]), {
        record,
        random,
        contents,
        pieces: 1 + random.below(3),
      });
    } else if (habit === 'folder') {
      const path = join(folder, `day-${random.below(20)}`, `run-${number}.D`);
      const files = ['scan.bin', 'AcqData/peaks.bin', 'RUN.LOG'].map((name) => join(path, name));
      await write(record.begin(path, files), { record, random, contents, pieces: 1 });
    } else if (habit === 'delete') {
      record.gone(some);
      await rm(some.path, { recursive: true });
      for (const file of some.files) contents.delete(file);
    } else {
      await change(some, habit, { record, random, contents });
    }
    await delay(random.below(1200)); // the instrument's own pace; nothing depends on it
  }
}

interface Bench {
  readonly record: Record;
  readonly random: SeededRandom;
  /** What each file holds now. */
  readonly contents: Map<string, Buffer>;
}

async function write(
  result: FinishedResult,
  { record, random, contents, pieces }: Bench & { readonly pieces: number },
): Promise<void> {
  for (const file of result.files) {
    await mkdir(dirname(file), { recursive: true });
    for (let piece = 0; piece < pieces; piece += 1) {
      const before = contents.get(file) ?? Buffer.alloc(0);
      const after = Buffer.concat([before, drawn(file, before.length, random, record)]);
      record.passes(file, after, before.length);
      record.wrote(file, after);
      contents.set(file, after);
      await appendFile(file, after.subarray(before.length));
      // sometimes longer than the quiet time
      if (piece + 1 < pieces) await delay(random.below(2500));
    }
  }
  record.finish(result);
}

async function change(
  result: FinishedResult,
  habit: 'append' | 'overwrite' | 'replace',
  { record, random, contents }: Bench,
): Promise<void> {
  record.touch(result);
  const file = random.pick(result.files);
  const before = habit === 'append' ? (contents.get(file) ?? Buffer.alloc(0)) : Buffer.alloc(0);
  const after = Buffer.concat([before, drawn(file, before.length, random, record)]);
  if (habit !== 'replace') record.passes(file, after, before.length);
  record.wrote(file, after);
  contents.set(file, after);
  if (habit === 'append') await appendFile(file, after.subarray(before.length));
  else if (habit === 'overwrite') await writeFile(file, after);
  else {
    const part = join(dirname(file), `~${random.below(1e9)}.tmp`);
    await writeFile(part, after);
    await rename(part, file);
  }
  record.finish(result);
}

/** Bytes whose length makes the file a size that it never had. */
function drawn(file: string, before: number, random: SeededRandom, record: Record): Buffer {
  for (;;) {
    const bytes = 2 + 2 * random.below((random.chance(0.02) ? HUGE_BYTES : LARGEST_BYTES) >>> 1);
    if (!record.hadSize(file, before + bytes)) return waveform(bytes, 1 + random.below(1e9));
  }
}
