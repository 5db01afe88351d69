import { execFile } from 'node:child_process';
import {
  appendFile,
  link,
  mkdir,
  readFile,
  rename,
  rm,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { waveform } from '../../demo/instruments.ts';
import type { Stage } from './stage.ts';

/** Files of up to so many bytes are kept together with others. */
const SMALL_BYTES = 64 << 10;
/** More than one group of files holds, and not a whole number of groups. */
const FILES = 300;
const EMPTY_FILES = 256;
const folders = ['plate 1', 'plate 2', 'plate 3'] as const;

/**
 * A tree of small files with everything that is awkward about many of them together: as many empty
 * ones as a group holds, files around the size from which they are cut, the same bytes at several
 * places, names of any bytes, links, and a large file in their middle.
 */
export async function writeSmallFiles(stage: Stage): Promise<void> {
  const at = (...names: readonly string[]): string => join(stage.source, ...names);
  for (const folder of [...folders, 'empty', 'edge', 'none of it', 'µ – 試料'])
    await mkdir(at(folder), { recursive: true });
  for (let file = 0; file < EMPTY_FILES; file += 1) await writeFile(at('empty', `${file}`), '');
  for (let file = 0; file < FILES; file += 1) await writeFile(at(nameOf(file)), lines(file));
  for (const bytes of [1, SMALL_BYTES - 1, SMALL_BYTES, SMALL_BYTES + 1]) {
    // One that packs well and one that hardly does.
    await writeFile(at('edge', `text of ${bytes}`), Buffer.alloc(bytes, lines(bytes)));
    await writeFile(at('edge', `trace of ${bytes}`), waveform(bytes + 2, bytes).subarray(0, bytes));
  }
  await writeFile(at('plate 2', 'in the middle.bin'), waveform(700_000, 21));
  for (const copy of ['a', 'b', 'c']) await writeFile(at('plate 3', `same ${copy}`), lines(7));
  await writeNames(stage);
  await symlink('well 000.csv', at('plate 1', 'link'));
  await symlink('nowhere', at('plate 1', 'dangling'));
  await symlink('.', at('plate 1', 'loop'));
  await link(at('edge', 'text of 1'), at('edge', 'another name of it'));
  await utimes(at('plate 1', 'well 000.csv'), 1_234_567_890.123, 1_234_567_890.123);
}

/** Names of every byte that a name may have, and those that look like something else. */
async function writeNames(stage: Stage): Promise<void> {
  const every = Buffer.from(
    Array.from({ length: 255 }, (_, byte) => byte + 1).filter((byte) => byte !== 0x2f),
  );
  const names = [
    every,
    Buffer.from([0xff, 0xfe]),
    Buffer.from('line\nbreak'),
    Buffer.from('back\\slash'),
    Buffer.from(' blank '),
    Buffer.from('point.'),
    Buffer.from('-n'),
    Buffer.from('n'.repeat(255)),
    Buffer.from('e\u0301'),
    Buffer.from('\u00e9'),
  ];
  for (const [at, name] of names.entries())
    await writeFile(Buffer.concat([Buffer.from(`${stage.source}/µ – 試料/`), name]), lines(at));
}

/** Some of the tree changed, touched, renamed and deleted, one by one and by the folder. */
export async function changeSmallFiles(stage: Stage): Promise<void> {
  const at = (...names: readonly string[]): string => join(stage.source, ...names);
  for (let file = 0; file < FILES; file += 1) {
    const path = at(nameOf(file));
    if (file % 7 === 1) await appendFile(path, 'corrected\n');
    else if (file % 7 === 2) await utimes(path, 1_500_000_000 + file, 1_500_000_000 + file);
    else if (file % 7 === 3) await rename(path, at(`${nameOf(file)} once more`));
    else if (file % 7 === 4) await rm(path);
    else if (file % 7 === 5) await writeFile(path, '');
  }
  await writeFile(at('empty', '0'), 'not any more');
  await rename(at('empty'), at('empty as before'));
  await writeFile(at('edge', `text of ${SMALL_BYTES}`), Buffer.alloc(SMALL_BYTES + 1, lines(3)));
  await writeFile(at('edge', `text of ${SMALL_BYTES + 1}`), Buffer.alloc(SMALL_BYTES, lines(4)));
  await rename(at('plate 3'), at('plate 4'));
}

/** Keeps the tree as it is now, and the time, for `timeOf` and `firstOf`. */
export async function keepFirst(stage: Stage): Promise<void> {
  await promisify(execFile)('cp', ['-a', stage.source, firstOf(stage)]);
  await writeFile(join(stage.folder, 'first.time'), new Date().toISOString());
}

export const firstOf = (stage: Stage): string => join(stage.folder, 'first');

export const timeOf = (stage: Stage): Promise<string> =>
  readFile(join(stage.folder, 'first.time'), 'utf8');

const nameOf = (file: number): string =>
  join(folders[file % folders.length] ?? '', `well ${String(file).padStart(3, '0')}.csv`);

/** Some hundred bytes to a few thousand: no two files the same. */
function lines(seed: number): string {
  const count = 3 + ((seed * 37) % 90);
  return Array.from(
    { length: count },
    (_, at) => `${seed},${at},${(seed * 7919 + at * 104_729) % 99_991}\n`,
  ).join('');
}
