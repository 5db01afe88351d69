import { describe, expect, it } from 'vitest';
import { readNameList } from './name-list.ts';

const read = (text: string | Uint8Array) =>
  readNameList(typeof text === 'string' ? Buffer.from(text) : text);

describe('a list of names for bundles', () => {
  it('is one name on a line; blank lines, comments, line ends of any system and a byte order mark are nothing', () => {
    const names = [
      { line: 2, name: 'hplc-1' },
      { line: 4, name: 'gcms.2' },
      { line: 5, name: 'X_3' },
    ];
    expect(read('# hall 7\nhplc-1\n\n  gcms.2\t# the old one\nX_3')).toEqual({ names });
    expect(read('\ufeff# hall 7\r\nhplc-1\r\n\r\ngcms.2\r\nX_3\r\n')).toEqual({ names });
    expect(read('#\rhplc-1\r\rgcms.2\rX_3\r')).toEqual({ names });
  });

  it('names every mistake at once, each with its line', () => {
    const text = [
      'hplc-1',
      'hplc 2',
      'hplc-1',
      '-x',
      'HPLC-1',
      'gcms',
      `${'n'.repeat(65)}`,
      'a\u001b[31m',
    ].join('\n');
    const found = read(text);
    expect(found).toEqual({
      mistakes: [
        {
          line: 2,
          message: expect.stringMatching(/^"hplc 2" is no agent name; use 1 to 64 letters/),
        },
        { line: 3, message: 'hplc-1 stands in line 1 already; take one of the two away' },
        { line: 4, message: expect.stringContaining('"-x" is no agent name') },
        {
          line: 5,
          message:
            'HPLC-1 differs from hplc-1 in line 1 by case alone; on Windows both would be one file',
        },
        { line: 7, message: expect.stringContaining('…" is no agent name') },
        { line: 8, message: expect.stringContaining('"a?[31m" is no agent name') },
      ],
    });
  });

  it('says what to do with what PowerShell writes, with bytes of another code page, and with nothing', () => {
    const utf16 = {
      mistakes: [{ line: 1, message: expect.stringMatching(/UTF-16.*Out-File -Encoding utf8/) }],
    };
    expect(read(Buffer.from('\ufeffhplc-1\r\n', 'utf16le'))).toEqual(utf16);
    expect(read(Buffer.from('hplc-1\r\n', 'utf16le'))).toEqual(utf16);
    expect(read(Buffer.from([0x68, 0xe4, 0x0a]))).toEqual({
      mistakes: [{ line: 1, message: 'not UTF-8; save it as UTF-8' }],
    });
    for (const nothing of ['', '\n\n', '# none yet\n']) {
      expect(read(nothing)).toEqual({
        mistakes: [{ line: 1, message: 'no name in it; write one on each line' }],
      });
    }
  });

  it('has no more names than somebody carries to PCs one by one', () => {
    const lines = Array.from({ length: 1001 }, (_none, at) => `pc-${at}`);
    expect(read(lines.slice(0, 1000).join('\n'))).toMatchObject({ names: { length: 1000 } });
    expect(read(lines.join('\n'))).toEqual({
      mistakes: [{ line: 1001, message: expect.stringMatching(/more than 1000.*--group/) }],
    });
  });
});
