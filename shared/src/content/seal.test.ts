import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { flipped, noise, readings, toHex } from '../../testing/bytes.ts';
import { testVault } from '../../testing/vault.ts';
import { vectors } from '../../testing/vectors.ts';
import { aeadSeal, hmacSha256, sha256, ZERO_NONCE } from '../crypto/primitives.ts';
import { encode } from './codec.ts';
import { itemHeader, openChunk, refOf, sealChunk } from './seal.ts';

const vault = testVault('ours');
const other = testVault('theirs');
const { vaultId } = vault.keys;
const code = (expected: string) => expect.objectContaining({ code: expected });

describe('a sealed chunk', () => {
  it('P2: opens to the same bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 3000 }), (plain) => {
        const chunk = sealChunk(vault.keys, plain);
        expect(toHex(openChunk(vaultId, refOf(chunk), chunk.key, chunk.sealed))).toBe(toHex(plain));
      }),
      { verbose: true },
    );
  });

  it('of the same content is the same chunk on every agent of the vault', () => {
    const plain = readings('shared', 5000);
    expect(sealChunk(vault.keys, plain)).toEqual(
      sealChunk(testVault('ours').keys, Uint8Array.from(plain)),
    );
  });

  it('P3: of another vault has another id and another key', () => {
    const plain = readings('shared', 5000);
    const ours = sealChunk(vault.keys, plain);
    const theirs = sealChunk(other.keys, plain);
    expect(theirs.id).not.toEqual(ours.id);
    expect(theirs.key).not.toEqual(ours.key);
  });

  it('of another epoch has another id and key, and both epochs still open', () => {
    const later = testVault('ours', 2);
    const plain = readings('epochs', 2000);
    const first = sealChunk(vault.keys, plain);
    const second = sealChunk(later.keys, plain);
    expect([first.epoch, second.epoch]).toEqual([1, 2]);
    expect(second.id).not.toEqual(first.id);
    expect(openChunk(vaultId, refOf(second), second.key, second.sealed)).toEqual(
      openChunk(vaultId, refOf(first), first.key, first.sealed),
    );
  });

  it('never shares its key with another content', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.uint8Array({ maxLength: 200 }), (a, b) => {
        fc.pre(toHex(a) !== toHex(b));
        expect(toHex(sealChunk(vault.keys, a).key)).not.toBe(toHex(sealChunk(vault.keys, b).key));
      }),
      { verbose: true },
    );
  });

  it('has a key that follows from the encoded bytes, so that two encodings of one content never share it', () => {
    const plain = readings('encodings', 3000);
    const chunk = sealChunk(vault.keys, plain);
    const subkey = vault.keys.epochs.get(1)?.chunkSubkey ?? new Uint8Array(0);
    expect(chunk.key).toEqual(hmacSha256(subkey, encode(plain, 1)));
    expect(chunk.key).not.toEqual(hmacSha256(subkey, Uint8Array.of(0, ...plain)));
  });

  it('P3: does not hold its content in the open', () => {
    const plain = noise('secret content', 4000);
    const sealed = Buffer.from(sealChunk(vault.keys, plain).sealed);
    for (let at = 0; at + 8 <= plain.length; at += 8)
      expect(sealed.includes(Buffer.from(plain.subarray(at, at + 8)))).toBe(false);
  });
});

describe('a chunk that was touched', () => {
  const plain = noise('touched', 300);
  const chunk = sealChunk(vault.keys, plain);
  const ref = refOf(chunk);

  it('P2: is refused with any single byte changed, even under an id to match', () => {
    for (let at = 0; at < chunk.sealed.length; at += 1) {
      const sealed = flipped(chunk.sealed, at, at % 8);
      expect(() => openChunk(vaultId, ref, chunk.key, sealed)).toThrow(code('SEAL_ID_MISMATCH'));
      const id = sha256(sealed) as typeof ref.id;
      expect(() => openChunk(vaultId, { ...ref, id }, chunk.key, sealed)).toThrow(
        code('SEAL_AUTHENTICATION'),
      );
    }
  });

  it('is refused when cut off anywhere', () => {
    for (const size of [0, 1, 15, 16, 17, chunk.sealed.length - 1]) {
      const sealed = chunk.sealed.subarray(0, size);
      expect(() => openChunk(vaultId, ref, chunk.key, sealed)).toThrow(code('SEAL_ID_MISMATCH'));
      expect(() =>
        openChunk(vaultId, { ...ref, id: sha256(sealed) as typeof ref.id }, chunk.key, sealed),
      ).toThrow(code('SEAL_AUTHENTICATION'));
    }
  });

  it('is refused with another key, a key of the wrong length, in another vault, or as a page', () => {
    expect(() => openChunk(vaultId, ref, flipped(chunk.key, 3), chunk.sealed)).toThrow(
      code('SEAL_AUTHENTICATION'),
    );
    expect(() => openChunk(vaultId, ref, chunk.key.subarray(1), chunk.sealed)).toThrow(
      code('SEAL_AUTHENTICATION'),
    );
    expect(() => openChunk(other.keys.vaultId, ref, chunk.key, chunk.sealed)).toThrow(
      code('SEAL_AUTHENTICATION'),
    );
    const asPage = aeadSeal(chunk.key, ZERO_NONCE, encode(plain, 1), itemHeader('page', vaultId));
    expect(() =>
      openChunk(vaultId, { ...ref, id: sha256(asPage) as typeof ref.id }, chunk.key, asPage),
    ).toThrow(code('SEAL_AUTHENTICATION'));
  });

  it('P2: is refused when its reference says another size', () => {
    expect(() => openChunk(vaultId, { ...ref, plainSize: 301 }, chunk.key, chunk.sealed)).toThrow(
      code('SEAL_SIZE_MISMATCH'),
    );
    expect(() => openChunk(vaultId, { ...ref, plainSize: 299 }, chunk.key, chunk.sealed)).toThrow(
      code('SEAL_CODEC_TOO_LARGE'),
    );
  });

  it('cannot be made for an epoch whose secret is missing', () => {
    expect(() => sealChunk({ ...vault.keys, currentEpoch: 7 }, plain)).toThrow(
      code('SEAL_EPOCH_UNKNOWN'),
    );
  });
});

describe('sealed chunks of format version 1, frozen', () => {
  const { cases } = vectors<{
    cases: { content: string; id: string; key: string; sealed: string }[];
  }>('seal-1');
  it.each(cases)('seals "$content" as it always did', ({ content, id, key, sealed }) => {
    const chunk = sealChunk(vault.keys, new TextEncoder().encode(content));
    expect({ id: toHex(chunk.id), key: toHex(chunk.key), sealed: toHex(chunk.sealed) }).toEqual({
      id,
      key,
      sealed,
    });
  });
});
