import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readTar, writeTar } from './tar.ts';
import { below, file, foldersOf, tree, writeFolder } from './tree.ts';
import { writeZip } from './zip.ts';

const folder = mkdtempSync(join(tmpdir(), 'aliquot-archives-'));
afterAll(() => rmSync(folder, { recursive: true }));

const long = `versions/0.1.0/${'folder/'.repeat(14)}file-with-a-name.js`;
const files = tree([
  file('current', '0.1.0\n'),
  file('bin/run', '#!/bin/sh\n', true),
  file(long, Buffer.alloc(1537, 7)),
]);
const SECONDS = 1_700_000_000;
const run = (command: string, ...args: string[]) =>
  spawnSync(command, args, { encoding: 'utf8', env: { ...process.env, TZ: 'UTC' } });
const has = (command: string) => run(command, '--version').status === 0;
/** What a skipped test says beside its name. */
const note = (command: string) =>
  has(command) ? '' : ` (skipped: there is no \`${command}\` here)`;

describe('the files of a package', () => {
  it('are sorted whatever order they come in, with their folders before them', () => {
    expect(tree([...files].reverse())).toEqual(files);
    expect(foldersOf(below('a', files)).slice(0, 4)).toEqual([
      'a',
      'a/bin',
      'a/versions',
      'a/versions/0.1.0',
    ]);
  });

  it('never lie over each other, on a disk without case neither', () => {
    expect(() => tree([file('Read', '')], [file('read', '')])).toThrow(
      'two files of the package are named read',
    );
  });

  it('are written for everybody to read and for the owner to change, and replace what was there', () => {
    const out = join(folder, 'written');
    writeFolder(out, [file('old', '')]);
    writeFolder(out, files);
    expect(statSync(join(out, 'bin/run')).mode & 0o777).toBe(0o755);
    expect(statSync(join(out, 'current')).mode & 0o777).toBe(0o644);
    expect(() => statSync(join(out, 'old'))).toThrow('ENOENT');
  });
});

describe('a tar archive', () => {
  it('holds every file, also one whose path is longer than a hundred bytes', () => {
    const read = readTar(writeTar(files, SECONDS));
    expect([...read]).toEqual(files.map(({ path, bytes }) => [path, bytes]));
  });

  it('is refused when it is cut, and when a path fits no header', () => {
    const archive = writeTar(files, SECONDS);
    expect(() => readTar(archive.subarray(0, 1600))).toThrow('cut or damaged');
    expect(() => writeTar([file('x'.repeat(101), '')], SECONDS)).toThrow(
      'too long for a tar archive',
    );
  });

  it.skipIf(!has('tar'))(
    `is read by tar, with times and owners that are always the same${note('tar')}`,
    () => {
      writeFileSync(join(folder, 'a.tar'), writeTar(files, SECONDS));
      const { stdout, stderr } = run('tar', '--utc', '--full-time', '-tvf', join(folder, 'a.tar'));
      expect(stderr).toBe('');
      const lines = stdout.trimEnd().split('\n');
      expect(lines).toHaveLength(files.length + foldersOf(files).length);
      expect(
        lines.every((line) => /^[d-]rw.r-.r-. root\/root +\d+ 2023-11-14 22:13:20 \S+$/.test(line)),
      ).toBe(true);
      expect(lines).toContainEqual(expect.stringMatching(/^-rwxr-xr-x .* bin\/run$/));
    },
  );
});

describe('a zip archive', () => {
  it.skipIf(!has('python3'))(`is read by another program, whole${note('python3')}`, () => {
    writeFileSync(join(folder, 'a.zip'), writeZip(files, SECONDS));
    const script =
      'import sys, zipfile\nz = zipfile.ZipFile(sys.argv[1])\nassert z.testzip() is None\n' +
      'for i in z.infolist(): print(i.filename, i.file_size, oct(i.external_attr >> 16), *i.date_time)';
    const { stdout, stderr } = run('python3', '-c', script, join(folder, 'a.zip'));
    expect(stderr).toBe('');
    expect(stdout.trimEnd().split('\n')).toEqual([
      'bin/run 10 0o100755 2023 11 14 22 13 20',
      'current 6 0o100644 2023 11 14 22 13 20',
      `${long} 1537 0o100644 2023 11 14 22 13 20`,
    ]);
  });

  it('does not know times before 1980', () => {
    expect(writeZip(files, 0)).toEqual(writeZip(files, 315532800));
  });
});
