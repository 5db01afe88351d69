import { mkdir, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { waveform } from '../../demo/instruments.ts';
import { differences, pictureOf } from '../../demo/picture.ts';
import type { Finished } from '../../demo/programs.ts';
import { must, type Stage } from './stage.ts';

/**
 * Small results of every shape that matters to queue and packs: several chunks, one chunk, nothing,
 * a folder of its own.
 */
export async function writeSources(stage: Stage): Promise<void> {
  await mkdir(join(stage.source, 'run.D', 'empty'), { recursive: true });
  await writeFile(join(stage.source, 'trace.bin'), waveform(700_000, 11));
  await writeFile(join(stage.source, 'run.D', 'scan.bin'), waveform(40_000, 12));
  await writeFile(join(stage.source, 'run.D', 'RUN.LOG'), 'Method completed\r\n');
  await writeFile(join(stage.source, 'µ – titre.csv'), 'Well,Titre\r\nA1,17\r\n');
  await writeFile(join(stage.source, 'nothing'), '');
  await utimes(join(stage.source, 'trace.bin'), 1_600_000_000.25, 1_600_000_000.25);
}

/** A program that failed, and was not killed, says why in a line with a code. */
export function mustBeNamed({ code, stderr }: Pick<Finished, 'code' | 'stderr'>): void {
  if (code === 0 || code >= 128) return;
  must(
    /\[[A-Z][A-Z0-9_]+\]$/m.test(stderr),
    `it ended with ${code} and named nothing: ${stderr.trim()}`,
  );
}

/** A backup or a flush that has to send everything. */
export async function mustSend(stage: Stage, args: readonly string[]): Promise<void> {
  const { lines, stdout } = await stage.mustAgent([...args, '--json']);
  const summary = lines.find((line) => line['event'] === 'summary');
  must(
    summary?.['queued'] === 0 && summary['failed'] === 0,
    `not everything was sent: ${stdout.trim()}`,
  );
}

/** What the operator restores, as it was at `at`, is what lies in `original`. */
export async function mustComeBack(stage: Stage, original: string, at?: string): Promise<void> {
  const target = stage.beside('restored');
  await rm(target, { recursive: true, force: true });
  const when = at === undefined ? [] : ['--at', at];
  await stage.mustOperate([
    'restore',
    '--kit',
    stage.kit,
    '--agent',
    'pc',
    '--to',
    target,
    ...when,
  ]);
  await mustEqual(original, join(target, stage.source));
}

/** Two trees are the same, unfinished files of a killed restore aside. */
export async function mustEqual(original: string, copy: string): Promise<void> {
  const different = differences(await pictureOf(original), await pictureOfFinished(copy));
  must(different.length === 0, `what came back differs: ${different.slice(0, 3).join('; ')}`);
}

/** Nothing in `copy` carries a name of `original` with other bytes: what is there is whole. */
export async function mustHoldNothingPartial(original: string, copy: string): Promise<void> {
  const expected = await pictureOf(original);
  // Times and modes come after the bytes; a restore that was killed may leave a file without them
  // only under another name.
  for (const [path, what] of await pictureOfFinished(copy)) {
    if (what.startsWith('folder')) continue;
    must(expected.get(path) === what, `partial under its final name: ${path}: ${what}`);
  }
}

async function pictureOfFinished(folder: string): Promise<Map<string, string>> {
  try {
    return new Map([...(await pictureOf(folder))].filter(([path]) => !path.includes('/.aq-')));
  } catch {
    return new Map(); // nothing was written yet
  }
}
