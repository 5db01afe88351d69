import { describe, expect, it } from 'vitest';
import { escaped, forTerminal, plainJson } from './terminal.ts';

/** Each kind, with one sign of it. */
const kinds: readonly (readonly [string, string])[] = [
  ['escape', '\u001b'],
  ['bell', '\u0007'],
  ['backspace', '\b'],
  ['carriage return', '\r'],
  ['DEL', '\u007f'],
  ['CSI of C1', '\u009b'],
  ['next line', '\u0085'],
  ['line separator', '\u2028'],
  ['paragraph separator', '\u2029'],
  ['right-to-left override', '\u202e'],
  ['right-to-left isolate', '\u2067'],
  ['right-to-left mark', '\u200f'],
  ['Arabic letter mark', '\u061c'],
  ['zero-width space', '\u200b'],
  ['zero-width joiner', '\u200d'],
  ['byte order mark', '\ufeff'],
  ['soft hyphen', '\u00ad'],
  ['Hangul filler', '\u3164'],
  ['tag', '\u{e0041}'],
  ['half of a pair', '\ud83d'],
];

describe('the door to terminals', () => {
  it.each(kinds)('spells %s out', (_, sign) => {
    const spelled = /^a\\(x[0-9a-f]{2}|u\{[0-9a-f]+\})b$/;
    expect(escaped(`a${sign}b`)).toMatch(spelled);
    expect(forTerminal(`a${sign}b`)).toMatch(spelled);
  });

  it.each(kinds)('has no %s in JSON, which means the same', (_, sign) => {
    const record = { [`n${sign}`]: `a${sign}b`, list: [sign] };
    const json = plainJson(`${JSON.stringify(record)}\n`);
    expect(json).toMatch(/^[\x20-\x7e]*\n$/);
    expect(JSON.parse(json)).toEqual(record);
  });

  it('leaves text as it is, in whatever language', () => {
    for (const text of ['plain', 'Größe, 測定, μL', 'a😀b', 'e\u0301', '👩‍🔬', '❤️'])
      expect([escaped(text), forTerminal(text)]).toEqual([text, text]);
    expect(forTerminal('two\nlines\tand a tab')).toBe('two\nlines\tand a tab');
    expect(escaped('two\nlines')).toBe('two\\x0alines');
  });
});
