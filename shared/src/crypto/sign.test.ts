import fc from 'fast-check';
import nacl from 'tweetnacl';
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../testing/keys/fixtures.ts';
import { concat, fromHex, hex, utf8 } from './bytes.ts';
import { labelled } from './primitives.ts';
import {
  isWeakSigningKey,
  newSigningKey,
  sign,
  signatureHolds,
  signBytes,
  signingKeyFromSeed,
  verifyBytes,
} from './sign.ts';

const bytes = (text: string) => fromHex(text) ?? new Uint8Array(0);

/** RFC 8032 §7.1, tests 1 to 3. */
const vectors = [
  {
    seed: '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
    publicKey: 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
    message: '',
    signature:
      'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
  },
  {
    seed: '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb',
    publicKey: '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
    message: '72',
    signature:
      '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
  },
  {
    seed: 'c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7',
    publicKey: 'fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025',
    message: 'af82',
    signature:
      '6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a',
  },
];

/** The group order L of RFC 8032 §5.1. */
const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;

/**
 * S + L in place of S: the same equation holds, so a verifier that does not compare S with L
 * accepts it too.
 */
function malleated(signature: Uint8Array): Uint8Array {
  let s = 0n;
  for (let at = 63; at >= 32; at -= 1) s = (s << 8n) | BigInt(signature[at] ?? 0);
  s += ORDER;
  const altered = signature.slice();
  for (let at = 32; at < 64; at += 1) {
    altered[at] = Number(s & 0xffn);
    s >>= 8n;
  }
  return altered;
}

describe('Ed25519', () => {
  test.each(vectors)(
    'signs and verifies the vector of RFC 8032 with message "$message"',
    ({ seed, publicKey, message, signature }) => {
      const key = signingKeyFromSeed(bytes(seed));
      expect(hex(key.publicKey)).toBe(publicKey);
      expect(hex(signBytes(key, bytes(message)))).toBe(signature);
      expect(verifyBytes(bytes(publicKey), bytes(message), bytes(signature))).toBe(true);
    },
  );

  test('signs every message as tweetnacl does, byte for byte', () => {
    const bytesOf = (minLength: number, maxLength: number) =>
      fc.uint8Array({ minLength, maxLength });
    fc.assert(
      fc.property(bytesOf(32, 32), bytesOf(0, 2000), (seed, message) => {
        const expected = nacl.sign.detached(message, nacl.sign.keyPair.fromSeed(seed).secretKey);
        expect(hex(signBytes(signingKeyFromSeed(seed), message))).toBe(hex(expected));
      }),
      { numRuns: 40 },
    );
  });

  test.each(vectors)(
    'refuses the malleated signature S + L for message "$message", which tweetnacl accepts',
    (vector) => {
      const altered = malleated(bytes(vector.signature));
      expect(
        nacl.sign.detached.verify(bytes(vector.message), altered, bytes(vector.publicKey)),
      ).toBe(true);
      expect(verifyBytes(bytes(vector.publicKey), bytes(vector.message), altered)).toBe(false);
    },
  );

  test('refuses a signature after any one of its bytes, or of the body, changed', () => {
    const key = newSigningKey(seededRandom('sign'));
    const signed = sign(key, 'aliquot/v1/test', utf8('what was said'));
    expect(signatureHolds(key.publicKey, 'aliquot/v1/test', signed)).toBe(true);
    for (const part of ['body', 'signature'] as const) {
      for (let at = 0; at < signed[part].length; at += 1) {
        const altered = { ...signed, [part]: signed[part].slice() };
        altered[part][at] = (altered[part][at] ?? 0) ^ 1;
        expect(
          signatureHolds(key.publicKey, 'aliquot/v1/test', altered),
          `${part} byte ${at}`,
        ).toBe(false);
      }
    }
  });

  test('a signature holds under its own label and key only', () => {
    const random = seededRandom('labels');
    const key = newSigningKey(random);
    const signed = sign(key, 'aliquot/v1/test', utf8('body'));
    expect(signatureHolds(key.publicKey, 'aliquot/v1/tes', signed)).toBe(false);
    expect(signatureHolds(newSigningKey(random).publicKey, 'aliquot/v1/test', signed)).toBe(false);
    const moved = {
      body: concat(utf8('t'), new Uint8Array(1), utf8('body')),
      signature: signed.signature,
    };
    expect(signatureHolds(key.publicKey, 'aliquot/v1/tes', moved)).toBe(false);
    expect(hex(signBytes(key, concat(labelled('aliquot/v1/test'), utf8('body'))))).toBe(
      hex(signed.signature),
    );
  });

  test('no signature holds under a key of small order, in whatever spelling', () => {
    const weak = [
      '0000000000000000000000000000000000000000000000000000000000000000',
      '0000000000000000000000000000000000000000000000000000000000000080',
      '0100000000000000000000000000000000000000000000000000000000000000',
      '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
      '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85',
      'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
      'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
      'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
      'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    ];
    // R = the neutral element and S = 0 satisfy the equation for the key that is itself the neutral
    // element.
    const universal = bytes(`01${'00'.repeat(63)}`);
    for (const key of weak) {
      expect(isWeakSigningKey(bytes(key)), key).toBe(true);
      expect(verifyBytes(bytes(key), utf8('anything'), universal), key).toBe(false);
    }
    expect(isWeakSigningKey(newSigningKey(seededRandom('strong')).publicKey)).toBe(false);
  });

  test('keys, seeds and signatures of another length are refused without an exception that a caller does not expect', () => {
    const key = newSigningKey(seededRandom('length'));
    const signed = sign(key, 'aliquot/v1/test', utf8('body'));
    expect(signatureHolds(key.publicKey.subarray(1), 'aliquot/v1/test', signed)).toBe(false);
    expect(signatureHolds(new Uint8Array(0), 'aliquot/v1/test', signed)).toBe(false);
    expect(
      signatureHolds(key.publicKey, 'aliquot/v1/test', {
        ...signed,
        signature: signed.signature.subarray(1),
      }),
    ).toBe(false);
    expect(() => signingKeyFromSeed(new Uint8Array(31))).toThrowError(
      expect.objectContaining({ code: 'CRYPTO_LENGTH' }),
    );
  });

  test('many more keys than the cache holds still verify', () => {
    const random = seededRandom('cache');
    const first = newSigningKey(random);
    const signed = sign(first, 'aliquot/v1/test', utf8('body'));
    for (let at = 0; at < 1100; at += 1)
      signatureHolds(random.bytes(32), 'aliquot/v1/test', signed);
    expect(signatureHolds(first.publicKey, 'aliquot/v1/test', signed)).toBe(true);
  });
});
