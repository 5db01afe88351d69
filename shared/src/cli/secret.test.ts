import { describe, expect, it } from 'vitest';
import { secretFrom } from './secret.ts';

const read = (given: string | Uint8Array) => secretFrom(given, 'the token in token.txt');
const utf16 = (text: string, mark: readonly number[]) =>
  Buffer.from([...mark, ...Buffer.from(text, 'utf16le')]);

describe('a secret from a file or the environment', () => {
  it.each(['', '\n', '\r\n', '\r', '\n\n', '\r\n\r\n'])(
    'is what a person would type: a line end %j is not part of it',
    (end) => {
      expect(read(`correct horse battery${end}`)).toBe('correct horse battery');
      expect(read(Buffer.from(`correct horse battery${end}`))).toBe('correct horse battery');
    },
  );

  it('keeps everything else, in any script', () => {
    for (const text of [
      '  a'.trim(),
      'scho\u0308n',
      'пароль из слов',
      '\u{1f469}\u200d\u{1f52c} lab',
      '"quoted"',
      '$HOME',
      'a  b',
    ]) {
      expect(read(text)).toBe(text);
      expect(read(Buffer.from(`${text}\n`))).toBe(text);
    }
  });

  it.each([
    ['nothing', '', 'is empty'],
    ['only line ends', '\r\n\n', 'is empty'],
    ['only blanks', '   ', 'begins or ends with a blank'],
    ['a blank at the end', 'secret \n', 'begins or ends with a blank'],
    ['a blank at the front', ' secret', 'begins or ends with a blank'],
    ['a blank of another kind', 'secret\u00a0', 'begins or ends with a blank'],
    ['a blank without width', '\u200bsecret', 'begins or ends with a blank'],
    ['a mark inside of text', '\ufeffsecret', 'begins or ends with a blank'],
    ['a tab', 'sec\tret', 'control character'],
    ['an escape', 'sec\u001b[Aret', 'control character'],
    ['a control character of C1', 'sec\u0085ret', 'control character'],
    ['a nul', 'sec\u0000ret', 'control character'],
    ['two lines', 'one\ntwo\n', 'more than one line'],
    ['what was no UTF-8 in the environment', 'caf\ufffd horse', 'is not UTF-8'],
    ['half of a character', 'caf\ud83d', 'is not UTF-8'],
    ['Latin-1 in a file', Buffer.from('caf\xe9 horse', 'latin1'), 'is not UTF-8'],
    [
      'UTF-16 as Windows writes it',
      utf16('secret', [0xff, 0xfe]),
      'is written in UTF-16, as PowerShell’s > writes it; save it as plain UTF-8',
    ],
    ['UTF-16 the other way round', Buffer.from([0xfe, 0xff, 0, 0x73]), 'is written in UTF-16'],
    ['UTF-16 without a mark', utf16('secret', []), 'is written in UTF-16'],
    ['UTF-8 with a mark', Buffer.from('\ufeffsecret'), 'with a byte order mark'],
  ])('that holds %s is refused with what to do, and not repeated', (_what, given, says) => {
    const thrown = (() => {
      try {
        return read(given);
      } catch (error) {
        return error;
      }
    })();
    expect(thrown).toMatchObject({
      code: 'USAGE_INVALID',
      message: expect.stringMatching(/^the token in token\.txt (is|has|holds|begins)/),
    });
    expect(String(thrown)).toContain(says);
    expect(String(thrown)).not.toContain('sec');
  });
});
