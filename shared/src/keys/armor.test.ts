import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { utf8 } from '../crypto/bytes.ts';
import { armor, dearmor } from './armor.ts';

const KIT = 'ALIQUOT RECOVERY KIT';
const BUNDLE = 'ALIQUOT ENROLMENT BUNDLE';
const content = utf8(
  'sixty-four columns are enough for anybody, but this needs more than one line of them',
);
const text = armor(KIT, ['Vault: Mass spec core'], content);

describe('armour', () => {
  test('gives any bytes back', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 300 }),
        fc.array(fc.string(), { maxLength: 3 }),
        (bytes, headers) => {
          const spoken = headers.map((header) => `Note: ${header}`);
          expect(dearmor(KIT, armor(KIT, spoken, bytes))).toEqual({ type: 'bytes', bytes });
        },
      ),
    );
  });

  test('has lines of at most 64 base64 columns between its BEGIN and END', () => {
    const lines = text.trimEnd().split('\n');
    expect(lines[0]).toBe('-----BEGIN ALIQUOT RECOVERY KIT-----');
    expect(lines[1]).toBe('Vault: Mass spec core');
    expect(lines[2]).toBe('');
    expect(lines.at(-1)).toBe('-----END ALIQUOT RECOVERY KIT-----');
    expect(lines.at(-2)).toMatch(/^=[A-Za-z0-9+/]{8}$/);
    for (const line of lines.slice(3, -2)) expect(line.length).toBeLessThanOrEqual(64);
  });

  test.each([
    ['CRLF line ends', text.replaceAll('\n', '\r\n')],
    ['old Mac line ends', text.replaceAll('\n', '\r')],
    ['mail around it', `Dear colleague,\nplease keep:\n\n${text}\n-- \nIT\n`],
    ['indentation and trailing blanks', text.replaceAll('\n', '  \n  ')],
    ['double spacing', text.replaceAll('\n', '\n\n')],
    ['a byte order mark', `\ufeff${text}`],
    ['no empty line', text.replace('\n\n', '\n')],
    ['a wrapped header', text.replace('Mass spec core', 'Mass\nspec core.')],
    ['a mangled header', text.replace('Vault: Mass spec core', 'V?ult: M')],
  ])('is read in spite of %s', (_, variant) => {
    expect(dearmor(KIT, variant)).toEqual({ type: 'bytes', bytes: content });
  });

  test('a changed, lost or doubled character of the body is damage', () => {
    const start = text.indexOf('\n\n') + 2;
    const end = text.indexOf('\n-----END');
    for (let at = start; at < end; at += 1) {
      if (text[at] === '\n') continue;
      const replacement = text[at] === 'A' ? 'B' : 'A';
      const variants = [
        text.slice(0, at) + replacement + text.slice(at + 1),
        text.slice(0, at) + text.slice(at + 1),
        text.slice(0, at) + text[at] + text.slice(at),
      ];
      for (const variant of variants)
        expect(dearmor(KIT, variant), `at ${at}`).toEqual({ type: 'damaged' });
    }
  });

  test('text that ends too early is damaged, whether within a line or between two', () => {
    const first = text.indexOf('-----\n') + 6;
    for (let length = first; length < text.trimEnd().length; length += 1) {
      expect(dearmor(KIT, text.slice(0, length)), `${length} characters`).toEqual({
        type: 'damaged',
      });
    }
  });

  test('another kind of file is named, and no file at all is absent', () => {
    expect(dearmor(BUNDLE, text)).toEqual({ type: 'foreign', found: KIT });
    expect(dearmor(KIT, '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n')).toEqual({
      type: 'foreign',
      found: 'CERTIFICATE',
    });
    for (const nothing of ['', 'hello', '\u0000\u0001', '-----BEGIN'])
      expect(dearmor(KIT, nothing)).toEqual({ type: 'absent' });
    expect(dearmor(KIT, 'x'.repeat(5 * 1024 * 1024))).toEqual({ type: 'absent' });
  });

  test('one kind cannot be relabelled as the other: the checksum covers the type', () => {
    expect(dearmor(BUNDLE, text.replaceAll(KIT, BUNDLE))).toEqual({ type: 'damaged' });
  });

  test('a header with line ends in it stays one line', () => {
    const sly = armor(KIT, ['Vault: a\n\nAAAA\r-----END ALIQUOT RECOVERY KIT-----'], content);
    expect(dearmor(KIT, sly)).toEqual({ type: 'bytes', bytes: content });
    expect(sly.split('\n')[1]).toBe('Vault: a??AAAA?-----END ALIQUOT RECOVERY KIT-----');
  });
});
