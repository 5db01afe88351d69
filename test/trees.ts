import { existsSync } from 'node:fs';
import { copyFile, lstat, mkdir, readdir, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { waveform } from '../demo/instruments.ts';

/**
 * Trees of files for whole-system tests: made here, or the real instrument data where it lies
 * beside the project.
 */

const corpus = fileURLToPath(new URL('../../shared/corpus', import.meta.url));

/** The folder of real instrument data, when this checkout has it beside it. */
export const realData: string | undefined = existsSync(corpus) ? corpus : undefined;

/** Copies a tree with its times. */
export async function copyTree(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true });
  for (const item of await readdir(from, { withFileTypes: true })) {
    const source = join(from, item.name);
    const target = join(to, item.name);
    if (item.isDirectory()) await copyTree(source, target);
    else await copyFile(source, target);
    const { atime, mtime } = await lstat(source);
    await utimes(target, atime, mtime);
  }
}

/**
 * A small tree with everything that is awkward: empty things, odd names, links, a file of several
 * chunks.
 */
export async function makeTree(root: string, seed = 1): Promise<void> {
  await mkdir(join(root, 'empty folder'), { recursive: true });
  await mkdir(join(root, 'run.D', 'AcqData'), { recursive: true });
  await writeFile(join(root, 'empty file'), '');
  await writeFile(join(root, 'run.D', 'AcqData', 'MSScan.bin'), waveform(9_000_000, seed));
  await writeFile(join(root, 'run.D', 'RUN.LOG'), 'Method completed\r\n');
  await writeFile(join(root, 'Sample.csv'), `upper ${seed}`);
  await writeFile(join(root, 'sample.csv'), `lower ${seed}`);
  await writeFile(join(root, 'µ-Titration – Ωmega 試料.txt'), `unicode ${seed}`);
  await writeFile(join(root, 'e\u0301 decomposed'), 'not normalised');
  await writeFile(join(root, '\u00e9 composed'), 'normalised');
  await writeFile(
    Buffer.concat([Buffer.from(`${root}/raw `), Buffer.from([0xff, 0xfe])]),
    'no Unicode at all',
  );
  await writeFile(join(root, 'n'.repeat(255)), 'a name of 255 bytes');
  await symlink('Sample.csv', join(root, 'link to sample'));
  await symlink('.', join(root, 'loop'));
  await utimes(join(root, 'Sample.csv'), 1_234_567_890.123, 1_234_567_890.123);
  await utimes(join(root, 'empty file'), 86_400.5, 86_400.5);
}
