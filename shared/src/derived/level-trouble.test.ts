import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { posixOnly } from '../../testing/platform.ts';
import { temporaryFolder } from '../../testing/temp.ts';
import { levelTrouble, levelWords } from './level-trouble.ts';
import { nodeDisk } from './node-level.ts';

const options = { createIfMissing: true, cacheSize: 0, writeBufferSize: 64 * 1024 };

/** A database of a few files. */
async function database(): Promise<string> {
  const folder = join(temporaryFolder(), 'db');
  for (const turn of ['1', '2']) {
    const level = await nodeDisk.level.open(folder, options);
    const [key, value] = [Buffer.from(turn), Buffer.from(turn)];
    await level.batch([{ type: 'put', key, value }], { sync: false });
    await level.close();
  }
  return folder;
}

async function failureOf(
  folder: string,
  more: { readonly createIfMissing?: boolean } = {},
): Promise<unknown> {
  try {
    await (await nodeDisk.level.open(folder, { ...options, ...more })).close();
  } catch (error) {
    return error;
  }
  throw new Error('it opens');
}

const fileIn = (folder: string, pattern: RegExp): string =>
  join(folder, readdirSync(folder).find((name) => pattern.test(name)) ?? 'none');

describe('what LevelDB met', () => {
  it('is damage when a file of it is gone, cut or nonsense', async () => {
    for (const damage of [
      (folder: string) => rmSync(fileIn(folder, /^MANIFEST/)),
      (folder: string) => rmSync(fileIn(folder, /\.ldb$/)),
      (folder: string) => writeFileSync(join(folder, 'CURRENT'), 'nonsense'),
      (folder: string) => writeFileSync(join(folder, 'CURRENT'), ''),
      (folder: string) => writeFileSync(fileIn(folder, /^MANIFEST/), ''),
    ]) {
      const folder = await database();
      damage(folder);
      expect(levelTrouble(await failureOf(folder))).toBe('damaged');
    }
  });

  it('is damage when there is no database and none may be made', async () => {
    expect(levelTrouble(await failureOf(temporaryFolder(), { createIfMissing: false }))).toBe(
      'damaged',
    );
  });

  it('is a lock while another opening has it', async () => {
    const folder = await database();
    const level = await nodeDisk.level.open(folder, options);
    expect(levelTrouble(await failureOf(folder))).toBe('locked');
    await level.close();
  });

  it.runIf(posixOnly('on Windows LevelDB takes every failure to open its LOCK for a lock'))(
    'is the disk when a folder stands where a file belongs',
    async () => {
      const folder = await database();
      rmSync(join(folder, 'LOCK'));
      mkdirSync(join(folder, 'LOCK'));
      expect(levelTrouble(await failureOf(folder))).toBe('disk');
    },
  );

  it('is a full disk in the words of each system', () => {
    for (const says of [
      '/d/000005.log: No space left on device',
      'C:\\d\\5.log: There is not enough space on the disk.',
      '/d: Disk quota exceeded',
    ]) {
      const cause = Object.assign(new Error(`IO error: ${says}`), { code: 'LEVEL_IO_ERROR' });
      const error = Object.assign(new Error('Database failed to open', { cause }), {
        code: 'LEVEL_DATABASE_NOT_OPEN',
      });
      expect(levelTrouble(error)).toBe('no-space');
      expect(levelWords(error)).toBe(`IO error: ${says}`);
    }
  });

  it('is nothing when the error is none of its own', () => {
    for (const error of [
      new TypeError('no such file or directory'),
      new Error('no space left'),
      'corrupt',
      undefined,
    ])
      expect(levelTrouble(error)).toBeUndefined();
  });
});
