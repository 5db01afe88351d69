import type { Platform } from '@aliquot/proto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { belowPlacement, restoredStamp, targetPath, wholePaths } from './target.ts';

const bytes = (text: string) => Buffer.from(text);

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
    expect(() => wholePaths(platform, bytes(path))).toThrow(
      expect.objectContaining({ code: 'RESTORE_BAD_PATH' }),
    );
  });

  it('P2: keeps names that are no text byte for byte', () => {
    const raw = Buffer.from([0x2f, 0x61, 0xff, 0xfe, 0x2f, 0x80]);
    expect(targetPath(bytes('/D'), 'posix', raw, 'posix')).toEqual(
      Buffer.concat([bytes('/D'), raw]),
    );
    expect(() => wholePaths('windows', Buffer.concat([bytes('C:\\'), raw]))).toThrow(
      'is not UTF-8',
    );
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
            target = targetPath(
              bytes('/DIR'),
              platform,
              Buffer.concat([bytes(head), tail]),
              'posix',
            );
          } catch (error) {
            expect(error).toMatchObject({ code: 'RESTORE_BAD_PATH' });
            return;
          }
          const parts = target.toString('latin1').split('/');
          expect(parts.slice(0, 2)).toEqual(['', 'DIR']);
          expect(
            parts
              .slice(2)
              .every(
                (part) => part !== '' && part !== '.' && part !== '..' && !part.includes('\0'),
              ),
          ).toBe(true);
        },
      ),
    );
  });
});

it('P2: a path longer than the format has is refused before its names are looked at', () => {
  const path = (length: number) => bytes(`/${'a'.repeat(length - 1)}`);
  expect(() => targetPath(bytes('/DIR'), 'posix', path(32 * 1024), 'posix')).not.toThrow();
  expect(() => targetPath(bytes('/DIR'), 'posix', path(32 * 1024 + 1), 'posix')).toThrow(
    expect.objectContaining({
      code: 'RESTORE_BAD_PATH',
      message: expect.stringContaining('32769 bytes'),
    }),
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
    ['NUL .txt', '%4EUL .txt'],
    ['nul  .tar.gz', '%6Eul  .tar.gz'],
    ['CLOCK$', '%43LOCK$'],
    ['conin$', '%63onin$'],
    ['CONOUT$.log', '%43ONOUT$.log'],
    ['COM\u00b9', '%43OM\u00b9'],
    ['lpt\u00b3 .x', '%6Cpt\u00b3 .x'],
    ['AUX. ', '%41UX.%20'],
    ['PRN..', '%50RN.%2E'],
    ['NUL:', 'NUL%3A'],
    ['file.txt:stream:$DATA', 'file.txt%3Astream%3A$DATA'],
    ['clock$x', 'clock$x'],
    ['null .txt', 'null .txt'],
    ['...', '..%2E'],
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

describe('a restore beside the originals', () => {
  it.each([
    [1, '2026-11-21 20.15.03'],
    [2, '2026-11-21 20.15.03, 2'],
  ])('has a folder that says when, attempt %i', (attempt, expected) => {
    expect(restoredStamp(new Date(2026, 10, 21, 20, 15, 3).getTime(), attempt)).toBe(expected);
  });

  it.each([
    ['posix', '/data', '/data/run1.D/a', ['R', 'T', 'run1.D', 'a']],
    ['posix', '/', '/data/x', ['R', 'T', 'data', 'x']],
    ['windows', 'C:\\', 'C:\\Data\\x', ['R', 'T', 'Data', 'x']],
    ['windows', '\\\\srv\\share', '\\\\srv\\share\\d\\x', ['R', 'T', 'd', 'x']],
  ] as const)('on %s, in %s, keeps what %s has below it', (platform, base, path, expected) => {
    const place = belowPlacement(platform, bytes(base), [bytes('R'), bytes('T')]);
    expect(place(platform, bytes(path)).map(String)).toEqual(expected);
  });

  it('refuses what is not below', () => {
    const place = belowPlacement('posix', bytes('/data'), [bytes('R')]);
    for (const path of ['/database/x', '/x', '/data/../x']) {
      expect(() => place('posix', bytes(path))).toThrow(
        expect.objectContaining({ code: 'RESTORE_BAD_PATH' }),
      );
    }
  });
});
