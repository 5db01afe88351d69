import { describe, expect, it } from 'vitest';
import { tarOf } from '../../testing/release/vendor.ts';
import { readArchive } from './archive.ts';

async function* pieces(bytes: Buffer, size: number) {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function unpack(bytes: Buffer, size = 1000) {
  const files: { path: string; executable: boolean; text: string }[] = [];
  for await (const { path, executable, content } of readArchive(pieces(bytes, size))) {
    const parts: Uint8Array[] = [];
    for await (const part of content) parts.push(part);
    files.push({ path, executable, text: Buffer.concat(parts).toString() });
  }
  return files;
}

/** The same archive with other bytes in the first header, and the right sum over it. */
function bent(change: (head: Buffer) => void): Buffer {
  const archive = tarOf({ 'a.txt': 'x' });
  change(archive);
  archive.write('        ', 148);
  archive.write(
    `${archive
      .subarray(0, 512)
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, '0')}\0 `,
    148,
  );
  return archive;
}

describe('an archive of a release', () => {
  it('gives its files back, however its bytes arrive', async () => {
    const archive = tarOf({
      'aliquot-agent*': '#!/bin/sh\n',
      'program/main.js': 'x'.repeat(1300),
      'program/empty': '',
    });
    for (const size of [1, 511, 512, 513, 100_000]) {
      expect(await unpack(archive, size)).toEqual([
        { path: 'aliquot-agent', executable: true, text: '#!/bin/sh\n' },
        { path: 'program/main.js', executable: false, text: 'x'.repeat(1300) },
        { path: 'program/empty', executable: false, text: '' },
      ]);
    }
  });

  it.each([
    '../evil',
    'a/../../evil',
    '/etc/passwd',
    'C:evil',
    'a\\b',
    'a//b',
    './a',
    'a/.',
    '.hidden',
    'con',
    'lpt1.txt',
    'a/NUL.js',
    'x.',
    'a b',
    '',
  ])('refuses a file named %j', async (name) => {
    await expect(unpack(tarOf({ [name]: 'x' }))).rejects.toMatchObject({ code: 'ARCHIVE_BROKEN' });
  });

  it('refuses links, devices, a name twice in any case, an altered header, and what is cut anywhere', async () => {
    for (const type of ['1', '2', '3', '6', 'x', 'L'])
      await expect(unpack(bent((head) => head.write(type, 156)))).rejects.toMatchObject({
        code: 'ARCHIVE_BROKEN',
      });
    await expect(unpack(tarOf({ a: 'x', A: 'y' }))).rejects.toMatchObject({
      code: 'ARCHIVE_BROKEN',
    });
    const altered = tarOf({ a: 'x' });
    altered.write('b', 0);
    await expect(unpack(altered)).rejects.toMatchObject({ code: 'ARCHIVE_BROKEN' });
    const whole = tarOf({ a: 'x'.repeat(700) });
    for (let at = 0; at < 512 + 1024; at += 97)
      await expect(unpack(whole.subarray(0, at))).rejects.toMatchObject({ code: 'ARCHIVE_BROKEN' });
  });

  it('refuses a size that is none', async () => {
    await expect(unpack(bent((head) => head.write('zzzzzzzzzzz', 124)))).rejects.toMatchObject({
      code: 'ARCHIVE_BROKEN',
    });
    await expect(unpack(bent((head) => head.write('77777777777', 124)))).rejects.toMatchObject({
      code: 'ARCHIVE_BROKEN',
    });
  });
});
