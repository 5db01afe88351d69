import type { Platform } from '@aliquot/proto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { besideName, besidePlacement, splitOriginal, targetPath, wholePaths } from './target.ts';

const bytes = (text: string) => Buffer.from(text);
const names = (platform: Platform, path: string) => wholePaths(platform, bytes(path)).map(String);

describe.runIf(process.platform !== 'win32')('the target of restore --to', () => {
  it.each([
    ['posix', '/data/run1/x', '/DIR/data/run1/x'],
    ['posix', '/', '/DIR'],
    ['posix', '/data/a\\b', '/DIR/data/a\\b'],
    ['posix', '/data/ .. /...', '/DIR/data/ .. /...'],
    ['windows', 'C:\\Data\\x', '/DIR/C/Data/x'],
    ['windows', 'c:/Data/x', '/DIR/c/Data/x'],
    ['windows', 'C:\\', '/DIR/C'],
    ['windows', '\\\\srv\\share\\x', '/DIR/srv/share/x'],
    ['windows', '\\\\?\\C:\\Data\\x', '/DIR/C/Data/x'],
    ['windows', '\\\\?\\UNC\\srv\\share\\x', '/DIR/srv/share/x'],
    ['windows', 'C:\\Größe\\µ.csv', '/DIR/C/Größe/µ.csv'],
  ] as const)('of a %s path %s is %s', (platform, path, target) => {
    expect(targetPath(bytes('/DIR'), platform, bytes(path), 'posix').toString()).toBe(target);
  });

  it.each([
    ['posix', ''],
    ['posix', 'data/x'],
    ['posix', '/data/../x'],
    ['posix', '/..'],
    ['posix', '/data/./x'],
    ['posix', '/data//x'],
    ['posix', '//data'],
    ['posix', '/data/'],
    ['posix', '/data/x\0y'],
    ['windows', ''],
    ['windows', 'C:'],
    ['windows', 'C:x'],
    ['windows', 'x\\y'],
    ['windows', '\\x'],
    ['windows', 'C:\\a\\..\\b'],
    ['windows', 'C:\\a/../b'],
    ['windows', 'C:\\a\\\\b'],
    ['windows', 'C:\\a:stream'],
    ['windows', 'CC:\\a'],
    ['windows', '\\\\srv'],
    ['windows', '\\\\.\\PhysicalDrive0'],
    ['windows', '\\\\..\\share\\x'],
    ['windows', '\\\\?\\GLOBALROOT\\x'],
    ['windows', '\\\\srv\\share\\a:b'],
  ] as const)('P2: refuses the %s path "%s"', (platform, path) => {
    expect(() => wholePaths(platform, bytes(path))).toThrow(expect.objectContaining({ code: 'RESTORE_BAD_PATH' }));
  });

  it('P2: keeps names that are no text byte for byte', () => {
    const raw = Buffer.from([0x2f, 0x61, 0xff, 0xfe, 0x2f, 0x80]);
    expect(targetPath(bytes('/D'), 'posix', raw, 'posix')).toEqual(Buffer.concat([bytes('/D'), raw]));
    expect(() => wholePaths('windows', Buffer.concat([bytes('C:\\'), raw]))).toThrow('is not UTF-8');
  });

  it('P2: never leaves the target, whatever bytes a path holds', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('posix', 'windows'),
        fc.constantFrom('/', 'C:\\', '\\\\s\\s\\', ''),
        fc.uint8Array({ maxLength: 24 }),
        (platform, head, tail) => {
          let target: Buffer;
          try {
            target = targetPath(bytes('/DIR'), platform, Buffer.concat([bytes(head), tail]), 'posix');
          } catch (error) {
            expect(error).toMatchObject({ code: 'RESTORE_BAD_PATH' });
            return;
          }
          const parts = target.toString('latin1').split('/');
          expect(parts.slice(0, 2)).toEqual(['', 'DIR']);
          expect(parts.slice(2).every((part) => part !== '' && part !== '.' && part !== '..' && !part.includes('\0'))).toBe(true);
        },
      ),
    );
  });
});

it('P2: a path longer than the format has is refused before its names are looked at', () => {
  const path = (length: number) => bytes(`/${'a'.repeat(length - 1)}`);
  expect(() => targetPath(bytes('/DIR'), 'posix', path(32 * 1024), 'posix')).not.toThrow();
  expect(() => targetPath(bytes('/DIR'), 'posix', path(32 * 1024 + 1), 'posix')).toThrow(
    expect.objectContaining({ code: 'RESTORE_BAD_PATH', message: expect.stringContaining('32769 bytes') }),
  );
});

describe('a name on a PC with Windows', () => {
  const on = (host: Platform, name: Buffer) =>
    targetPath(Buffer.alloc(0), 'posix', Buffer.concat([bytes('/'), name]), host)
      .subarray(1)
      .toString();

  it.each([
    ['plain.csv', 'plain.csv'],
    ['a:b', 'a%3Ab'],
    ['a\\b', 'a%5Cb'],
    ['what?', 'what%3F'],
    ['dot.', 'dot%2E'],
    ['space ', 'space%20'],
    ['NUL', '%4EUL'],
    ['com1.txt', '%63om1.txt'],
    ['console', 'console'],
    ['tab\there', 'tab%09here'],
  ])('%s becomes %s', (name, expected) => {
    expect(on('windows', bytes(name))).toBe(expected);
    expect(on('posix', bytes(name))).toBe(name);
  });

  it('that is no text is spelled out', () => {
    expect(on('windows', Buffer.from([0x61, 0xff]))).toBe('a%FF');
  });
});

describe('the name beside the original', () => {
  const now = new Date(2026, 10, 21, 20, 15, 3).getTime();

  it.each([
    ['x.csv', 1, 'x (restored 2026-11-21 20.15.03).csv'],
    ['x.csv', 2, 'x (restored 2026-11-21 20.15.03, 2).csv'],
    ['run.tar.gz', 1, 'run.tar (restored 2026-11-21 20.15.03).gz'],
    ['.hidden', 1, '.hidden (restored 2026-11-21 20.15.03)'],
    ['no extension', 1, 'no extension (restored 2026-11-21 20.15.03)'],
  ])('of %s, attempt %i, is %s', (name, attempt, expected) => {
    expect(besideName(bytes(name), now, attempt).toString()).toBe(expected);
  });

  it('fits into 255 bytes, ends between characters and keeps the extension', () => {
    const name = besideName(bytes(`${'µ'.repeat(125)}.csv`), now);
    expect(name.length).toBeLessThanOrEqual(255);
    expect(name.toString()).toMatch(/^µ+ \(restored 2026-11-21 20\.15\.03\)\.csv$/);
  });

  it('places a file, and everything below a folder, beside what was asked for', () => {
    const unit = bytes('/data/run1.D');
    const { folder, name } = splitOriginal('posix', unit);
    expect([folder.toString(), name.toString()]).toEqual(['/data/', 'run1.D']);
    const place = besidePlacement('posix', unit, bytes('run1 (restored).D'));
    expect(place('posix', unit).map(String)).toEqual(['run1 (restored).D']);
    expect(place('posix', bytes('/data/run1.D/a/b')).map(String)).toEqual(['run1 (restored).D', 'a', 'b']);
    expect(() => place('posix', bytes('/data/run1.Dx'))).toThrow(expect.objectContaining({ code: 'RESTORE_BAD_PATH' }));
    expect(() => splitOriginal('posix', bytes('/'))).toThrow(expect.objectContaining({ code: 'RESTORE_BAD_PATH' }));
    expect(splitOriginal('windows', bytes('C:\\Data\\x')).folder.toString()).toBe('C:\\Data\\');
    expect(names('windows', 'C:\\Data\\x')).toEqual(['C', 'Data', 'x']);
  });
});
