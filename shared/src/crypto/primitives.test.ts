import { createHash, createHmac, hkdfSync } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { concat, fromHex, hex, lengthPrefixed, u32be, u64be, utf8, wipe } from './bytes.ts';
import {
  aeadOpen,
  aeadSeal,
  equalBytes,
  gmac,
  hkdf,
  hkdfSha256,
  hmacSha256,
  labelled,
  sha256,
  sha512,
  ZERO_NONCE,
} from './primitives.ts';

function bytes(text: string): Uint8Array {
  const value = fromHex(text);
  if (value === undefined) throw new Error(`not hexadecimal: ${text}`);
  return value;
}

const range = (from: number, to: number) =>
  Uint8Array.from({ length: to - from + 1 }, (_, index) => from + index);

describe('hashes', () => {
  test('SHA-256 and SHA-512 of "abc" are those of FIPS 180-4, however the input is cut', () => {
    expect(hex(sha256(utf8('abc')))).toBe(
      'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    );
    expect(hex(sha256(utf8('a'), utf8(''), utf8('bc')))).toBe(hex(sha256(utf8('abc'))));
    expect(hex(sha512(utf8('ab'), utf8('c')))).toBe(
      'ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f',
    );
  });

  test('HMAC-SHA-256 matches RFC 4231 test cases 1 and 2', () => {
    expect(hex(hmacSha256(new Uint8Array(20).fill(0x0b), utf8('Hi There')))).toBe(
      'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7',
    );
    expect(hex(hmacSha256(utf8('Jefe'), utf8('what do ya want '), utf8('for nothing?')))).toBe(
      '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
    );
  });

  test('GMAC matches the published vector for GCM-AES-256 authentication of MACsec (IEEE 802.1AE, 54-byte packet)', () => {
    const key = bytes('e3c08a8f06c6e3ad95a70557b23f75483ce33021a9c72b7025666204c69c0b72');
    const packet =
      'd609b1f056637a0d46df998d88e5222ab2c2846512153524c0895e8108000f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f30313233340001';
    expect(hex(gmac(key, bytes('12153524c0895e81b2c28465'), bytes(packet)))).toBe(
      '2f0bc5af409e06d609ea8b7d0fa5ea50',
    );
    expect(() => gmac(key.subarray(1), ZERO_NONCE, key)).toThrowError(
      expect.objectContaining({ code: 'CRYPTO_LENGTH' }),
    );
  });

  test.each([
    {
      name: '1',
      ikm: new Uint8Array(22).fill(0x0b),
      salt: range(0x00, 0x0c),
      info: range(0xf0, 0xf9),
      okm: '3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865',
    },
    {
      name: '2',
      ikm: range(0x00, 0x4f),
      salt: range(0x60, 0xaf),
      info: range(0xb0, 0xff),
      okm: 'b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87',
    },
    {
      name: '3',
      ikm: new Uint8Array(22).fill(0x0b),
      salt: new Uint8Array(0),
      info: new Uint8Array(0),
      okm: '8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8',
    },
  ])('HKDF-SHA-256 matches RFC 5869 test case $name', ({ ikm, salt, info, okm }) => {
    expect(hex(hkdfSha256(ikm, salt, info, okm.length / 2))).toBe(okm);
  });

  test('HKDF agrees with node:crypto for any input', () => {
    const text = fc.uint8Array({ maxLength: 80 });
    fc.assert(
      fc.property(text, text, text, fc.integer({ min: 1, max: 300 }), (ikm, salt, info, length) => {
        expect(hex(hkdfSha256(ikm, salt, info, length))).toBe(
          hex(new Uint8Array(hkdfSync('sha256', ikm, salt, info, length))),
        );
      }),
    );
  });

  test('a label, a context and a salt each change what HKDF gives, and more than 255 blocks are refused', () => {
    const secret = range(0, 31);
    const seen = new Set([
      hex(hkdf(secret, secret, 'a', 32)),
      hex(hkdf(secret, secret, 'b', 32)),
      hex(hkdf(secret, secret, 'a', 32, utf8('x'))),
      hex(hkdf(secret, utf8('salt'), 'a', 32)),
    ]);
    expect(seen.size).toBe(4);
    expect(() => hkdf(secret, secret, 'a', 255 * 32 + 1)).toThrowError(
      expect.objectContaining({ code: 'CRYPTO_LENGTH' }),
    );
  });

  test('no label is a prefix of another', () => {
    expect(labelled('aliquot/v1/a')).not.toEqual(
      labelled('aliquot/v1/ab').subarray(0, labelled('aliquot/v1/a').length),
    );
  });
});

describe('AES-256-GCM', () => {
  const key = bytes('feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308');
  const nonce = bytes('cafebabefacedbaddecaf888');
  const plaintext = bytes(
    'd9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39',
  );
  const aad = bytes('feedfacedeadbeeffeedfacedeadbeefabaddad2');
  const sealed = bytes(
    '522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b',
  );
  const refused = expect.objectContaining({ code: 'CRYPTO_AUTHENTICATION', retryable: false });

  test('matches test cases 14 and 16 of McGrew and Viega, both ways', () => {
    expect(
      hex(aeadSeal(new Uint8Array(32), ZERO_NONCE, new Uint8Array(16), new Uint8Array(0))),
    ).toBe('cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919');
    expect(aeadSeal(key, nonce, plaintext, aad)).toEqual(sealed);
    expect(aeadOpen(key, nonce, sealed, aad)).toEqual(plaintext);
  });

  test('opens nothing after any one bit of sealed bytes, key, nonce or associated data changed', () => {
    const inputs = { key, nonce, sealed, aad };
    for (const name of ['key', 'nonce', 'sealed', 'aad'] as const) {
      for (let at = 0; at < inputs[name].length; at += 1) {
        const altered = { ...inputs, [name]: inputs[name].slice() };
        altered[name][at] = (altered[name][at] ?? 0) ^ (1 << (at % 8));
        expect(
          () => aeadOpen(altered.key, altered.nonce, altered.sealed, altered.aad),
          `${name} byte ${at}`,
        ).toThrowError(refused);
      }
    }
  });

  test('opens nothing that was truncated, down to nothing at all', () => {
    for (let length = 0; length < sealed.length; length += 1) {
      expect(() => aeadOpen(key, nonce, sealed.subarray(0, length), aad)).toThrowError(refused);
    }
  });

  test('an empty message has a tag and opens', () => {
    const empty = aeadSeal(key, nonce, new Uint8Array(0), aad);
    expect(empty.length).toBe(16);
    expect(aeadOpen(key, nonce, empty, aad)).toEqual(new Uint8Array(0));
  });

  test('keys and nonces of another length are refused before anything is sealed', () => {
    const wrong = expect.objectContaining({ code: 'CRYPTO_LENGTH' });
    expect(() => aeadSeal(key.subarray(1), nonce, plaintext, aad)).toThrowError(wrong);
    expect(() => aeadSeal(key, concat(nonce, nonce), plaintext, aad)).toThrowError(wrong);
    expect(() => aeadOpen(key, nonce.subarray(4), sealed, aad)).toThrowError(wrong);
  });
});

describe('byte strings', () => {
  test('hexadecimal goes both ways, and other text gives nothing', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (value) => {
        expect(fromHex(hex(value))).toEqual(value);
      }),
    );
    for (const text of ['0', 'zz', '0x', ' 00', '00\n'])
      expect(fromHex(text), text).toBeUndefined();
  });

  test('numbers are big-endian', () => {
    expect(hex(u32be(0x01020304))).toBe('01020304');
    expect(hex(u32be(2 ** 32 - 1))).toBe('ffffffff');
    expect(hex(u64be(Number.MAX_SAFE_INTEGER))).toBe('001fffffffffffff');
  });

  test('length prefixes keep different lists of parts apart', () => {
    expect(lengthPrefixed(utf8('ab'), utf8('c'))).not.toEqual(
      lengthPrefixed(utf8('a'), utf8('bc')),
    );
    expect(lengthPrefixed(utf8(''))).not.toEqual(lengthPrefixed());
  });

  test('equality holds for equal bytes only', () => {
    expect(equalBytes(range(0, 9), range(0, 9))).toBe(true);
    expect(equalBytes(range(0, 9), range(1, 10))).toBe(false);
    expect(equalBytes(range(0, 9), range(0, 8))).toBe(false);
    expect(equalBytes(new Uint8Array(0), new Uint8Array(0))).toBe(true);
  });

  test('wiping leaves zeros', () => {
    const secret = range(1, 4);
    wipe(secret);
    expect(secret).toEqual(new Uint8Array(4));
  });
});

describe('short and long messages', () => {
  const lengths = [0, 1, 31, 63, 64, 65, 8191, 8192, 8193, 20_000];

  test.each(lengths)('SHA-256 of %i bytes is the same in one part and in many', (length) => {
    const message = Uint8Array.from({ length }, (_, at) => (at * 7) % 251);
    const whole = hex(new Uint8Array(createHash('sha256').update(message).digest()));
    expect(hex(sha256(message))).toBe(whole);
    expect(
      hex(
        sha256(message.subarray(0, length >> 1), new Uint8Array(0), message.subarray(length >> 1)),
      ),
    ).toBe(whole);
  });

  test.each(lengths)(
    'HMAC-SHA-256 of %i bytes agrees with node:crypto, whatever the length of the key',
    (length) => {
      const message = Uint8Array.from({ length }, (_, at) => (at * 11) % 251);
      for (const keyLength of [0, 1, 16, 32, 63, 64, 65, 131]) {
        const key = Uint8Array.from({ length: keyLength }, (_, at) => 255 - at);
        const expected = hex(new Uint8Array(createHmac('sha256', key).update(message).digest()));
        expect(hex(hmacSha256(key, message.subarray(0, 3), message.subarray(3)))).toBe(expected);
      }
    },
  );
});
