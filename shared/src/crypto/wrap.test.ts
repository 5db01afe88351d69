import { createPrivateKey, createPublicKey, diffieHellman } from 'node:crypto';
import type { AgentId, ChainId, VaultId, WrapRecipient } from '@aliquot/proto';
import nacl from 'tweetnacl';
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../testing/keys/fixtures.ts';
import vectors from '../../vectors/wrap-1.json' with { type: 'json' };
import type { Random } from '../ports.ts';
import { boxKeyFromSecret, boxOpen, boxSeal, newBoxKey, x25519 } from './box.ts';
import { concat, fromHex, hex } from './bytes.ts';
import { openWrap, type WrapContext, wrapKey } from './wrap.ts';

const bytes = (text: string) => fromHex(text) ?? new Uint8Array(0);
const random = seededRandom('wrap tests');
const context: WrapContext = {
  purpose: 'read',
  vaultId: random.bytes(16) as VaultId,
  agentId: random.bytes(16) as AgentId,
  chainId: random.bytes(16) as ChainId,
  sequence: 7,
};
const key = random.bytes(32);
const recipient = newBoxKey(random);

/** Keeps hold of the very arrays that it gave out, so that a test sees what became of them. */
function watched(inner: Random): Random & { readonly given: Uint8Array[] } {
  const given: Uint8Array[] = [];
  return {
    given,
    bytes(count) {
      const drawn = inner.bytes(count);
      given.push(drawn);
      return drawn;
    },
  };
}

describe('X25519', () => {
  test('agrees on the secret of RFC 7748 §6.1', () => {
    const bob = boxKeyFromSecret(
      bytes('5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb'),
    );
    expect(hex(bob.publicKey)).toBe(
      'de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f',
    );
    const alice = bytes('8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a');
    expect(hex(x25519(bob.secretKey, alice))).toBe(
      '4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742',
    );
  });

  test('agrees with node:crypto', () => {
    for (let round = 0; round < 8; round += 1) {
      const mine = newBoxKey(random);
      const theirs = newBoxKey(random);
      const privateKey = createPrivateKey({
        key: Buffer.concat([bytes('302e020100300506032b656e04220420'), mine.secretKey]),
        format: 'der',
        type: 'pkcs8',
      });
      const publicKey = createPublicKey({
        key: Buffer.concat([bytes('302a300506032b656e032100'), theirs.publicKey]),
        format: 'der',
        type: 'spki',
      });
      expect(hex(x25519(mine.secretKey, theirs.publicKey))).toBe(
        hex(diffieHellman({ privateKey, publicKey })),
      );
    }
  });

  test('makes and opens the boxes of tweetnacl, byte for byte', () => {
    for (let round = 0; round < 8; round += 1) {
      const [mine, theirs, nonce, plaintext] = [
        newBoxKey(random),
        newBoxKey(random),
        random.bytes(24),
        random.bytes(round * 40),
      ];
      const expected = nacl.box(plaintext, nonce, theirs.publicKey, mine.secretKey);
      expect(hex(boxSeal(plaintext, nonce, theirs.publicKey, mine.secretKey))).toBe(hex(expected));
      expect(boxOpen(expected, nonce, mine.publicKey, theirs.secretKey)).toEqual(plaintext);
    }
  });

  /** u coordinates of low order, canonical and not (RFC 7748 §7, Langley and Hamburg). */
  const LOW_ORDER = [
    '0000000000000000000000000000000000000000000000000000000000000000',
    '0100000000000000000000000000000000000000000000000000000000000000',
    'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
    '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
    'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  ];

  test.each(LOW_ORDER)(
    'the low-order key %s is refused for agreement, wraps and boxes',
    (publicKey) => {
      const weak = expect.objectContaining({ code: 'CRYPTO_WEAK_KEY' });
      expect(() => x25519(recipient.secretKey, bytes(publicKey))).toThrowError(weak);
      expect(() =>
        boxSeal(key, new Uint8Array(24), bytes(publicKey), recipient.secretKey),
      ).toThrowError(weak);
      expect(() => wrapKey('vault', bytes(publicKey), context, key, random)).toThrowError(weak);
    },
  );

  test('keys of another length are refused', () => {
    const wrong = expect.objectContaining({ code: 'CRYPTO_LENGTH' });
    expect(() => boxKeyFromSecret(new Uint8Array(31))).toThrowError(wrong);
    expect(() => x25519(new Uint8Array(32), new Uint8Array(33))).toThrowError(wrong);
    expect(() => wrapKey('vault', new Uint8Array(16), context, key, random)).toThrowError(wrong);
    expect(() =>
      wrapKey('vault', recipient.publicKey, context, key.subarray(1), random),
    ).toThrowError(wrong);
  });
});

describe('wrap', () => {
  const wrap = wrapKey('vault', recipient.publicKey, context, key, random);

  test('gives its recipient the key back', () => {
    expect(openWrap(wrap, recipient, context)).toEqual(key);
  });

  test('P4: its sender cannot open it again with any key that it still has', () => {
    const sender = newBoxKey(random);
    expect(() => openWrap(wrap, sender, context)).toThrowError(
      expect.objectContaining({ code: 'WRAP_OTHER_RECIPIENT' }),
    );
    // A sealed box would open for its static sender; this one opens for the forgotten ephemeral
    // secret only.
    const nonceless = boxOpen(wrap.box, new Uint8Array(24), recipient.publicKey, sender.secretKey);
    expect(nonceless).toBeUndefined();
  });

  test('P4: the ephemeral secret is overwritten before the wrap leaves the function, and is new each time', () => {
    const source = watched(seededRandom('ephemeral'));
    const first = wrapKey('vault', recipient.publicKey, context, key, source);
    const second = wrapKey('vault', recipient.publicKey, context, key, source);
    expect(first.ephemeralKey).not.toEqual(second.ephemeralKey);
    expect(source.given).toEqual([new Uint8Array(32), new Uint8Array(32)]);
  });

  test('opens in no other context', () => {
    const other = (change: Partial<WrapContext>) => () =>
      openWrap(wrap, recipient, { ...context, ...change });
    const corrupt = expect.objectContaining({ code: 'WRAP_CORRUPT' });
    expect(other({ vaultId: random.bytes(16) as VaultId })).toThrowError(corrupt);
    expect(other({ agentId: random.bytes(16) as AgentId })).toThrowError(corrupt);
    expect(other({ chainId: random.bytes(16) as ChainId })).toThrowError(corrupt);
    expect(other({ sequence: 8 })).toThrowError(corrupt);
    expect(other({ purpose: 'list' })).toThrowError(
      expect.objectContaining({ code: 'WRAP_OTHER_PURPOSE' }),
    );
  });

  test('a list key cannot be passed off as a read key', () => {
    const relabelled = { ...wrap, purpose: 'list' as const };
    expect(() => openWrap(relabelled, recipient, { ...context, purpose: 'list' })).toThrowError(
      expect.objectContaining({ code: 'WRAP_CORRUPT' }),
    );
  });

  test('opens no more after any one of its bytes changed', () => {
    for (const part of ['ephemeralKey', 'box', 'recipientKey'] as const) {
      for (let at = 0; at < wrap[part].length; at += 1) {
        const altered = { ...wrap, [part]: wrap[part].slice() };
        altered[part][at] = (altered[part][at] ?? 0) ^ 1;
        const code = part === 'recipientKey' ? 'WRAP_OTHER_RECIPIENT' : 'WRAP_CORRUPT';
        expect(() => openWrap(altered, recipient, context), `${part} byte ${at}`).toThrowError(
          expect.objectContaining({ code }),
        );
      }
    }
  });

  test('a wrap with a low-order ephemeral key, or of another length, is corrupt', () => {
    const corrupt = expect.objectContaining({ code: 'WRAP_CORRUPT' });
    expect(() =>
      openWrap({ ...wrap, ephemeralKey: new Uint8Array(32) }, recipient, context),
    ).toThrowError(corrupt);
    expect(() =>
      openWrap({ ...wrap, box: wrap.box.subarray(0, 47) }, recipient, context),
    ).toThrowError(corrupt);
    expect(() =>
      openWrap({ ...wrap, box: concat(wrap.box, new Uint8Array(1)) }, recipient, context),
    ).toThrowError(corrupt);
  });

  test.each(vectors.opens)('version 1 stays readable: $name', (vector) => {
    const stored = {
      version: 1 as const,
      recipient: vector.recipient as WrapRecipient,
      purpose: vector.purpose as WrapContext['purpose'],
      recipientKey: bytes(vector.recipientKey),
      ephemeralKey: bytes(vector.ephemeralKey),
      box: bytes(vector.box),
    };
    const opened = openWrap(stored, boxKeyFromSecret(bytes(vector.secretKey)), {
      purpose: vector.purpose as WrapContext['purpose'],
      vaultId: bytes(vector.vaultId) as VaultId,
      agentId: bytes(vector.agentId) as AgentId,
      chainId: bytes(vector.chainId) as ChainId,
      sequence: vector.sequence,
    });
    expect(hex(opened)).toBe(vector.key);
  });
});
