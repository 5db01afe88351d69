import { describe, expect, it } from 'vitest';
import { armor } from '../keys/armor.ts';
import { openBundle } from '../keys/bundle.ts';
import { openKit } from '../keys/kit.ts';
import { parseSettingsText } from '../settings/text.ts';
import { secretFrom } from './secret.ts';
import { isUtf16 } from './utf16.ts';

const little = (text: string) => Buffer.from(text, 'utf16le');
const big = (text: string) => little(text).swap16();
const ways: [string, (text: string) => Buffer][] = [
  ['little-endian with a mark, as PowerShell writes it', (text) => little(`\ufeff${text}`)],
  ['big-endian with a mark', (text) => big(`\ufeff${text}`)],
  ['little-endian without a mark', little],
  ['big-endian without a mark', big],
];

describe.each(ways)('a text in UTF-16, %s', (_, encode) => {
  it('is known as that, as bytes and as what UTF-8 makes of it', () => {
    const bytes = encode('sources: []');
    expect([isUtf16(bytes), isUtf16(bytes.toString('utf8'))]).toEqual([true, true]);
  });

  it('is named as that wherever a person hands over a file', async () => {
    const named = /UTF-16, as PowerShell’s > writes it; save it as UTF-8/;
    const settings = parseSettingsText(encode('sources: [{path: /data}]').toString('utf8'));
    expect('mistakes' in settings && settings.mistakes).toEqual([
      { line: 1, message: expect.stringMatching(named) },
    ]);
    const bundle = encode(
      armor('ALIQUOT ENROLMENT BUNDLE', ['For people.'], new Uint8Array(9)),
    ).toString('utf8');
    expect(() => openBundle(bundle)).toThrow(named);
    await expect(openKit(bundle, 'passphrase')).rejects.toThrow(named);
    expect(() => secretFrom(encode('token'), 'the token')).toThrow(
      /UTF-16, as PowerShell’s > writes it; save it as plain UTF-8/,
    );
  });
});

describe('other texts', () => {
  it.each(['', 'a', 'sources: []', '\ufeffsources: []', 'größer', '測試'])(
    '%j is not taken for UTF-16',
    (text) => {
      expect([isUtf16(text), isUtf16(Buffer.from(text))]).toEqual([false, false]);
    },
  );
});
