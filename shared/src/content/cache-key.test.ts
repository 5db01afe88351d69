import { asChunkId } from '@aliquot/proto';
import { describe, expect, it } from 'vitest';
import { noise } from '../../testing/bytes.ts';
import { hmacSha256, sha256 } from '../crypto/primitives.ts';
import { cacheIndex, chunkFingerprint, maskKey, unmaskKey } from './cache-key.ts';

const secret = noise('cache secret', 32);
const plain = noise('a chunk', 1000);
const id = asChunkId(noise('an id', 32));
const key = noise('a key', 32);

describe('the chunk cache', () => {
  it('gives the key back to whoever has the content', () => {
    const fingerprint = chunkFingerprint(secret, plain);
    expect(unmaskKey(fingerprint, id, maskKey(fingerprint, id, key))).toEqual(key);
  });

  it('P4: gives another key for other content, another installation, or another id', () => {
    const masked = maskKey(chunkFingerprint(secret, plain), id, key);
    expect(unmaskKey(chunkFingerprint(secret, noise('other', 1000)), id, masked)).not.toEqual(key);
    expect(unmaskKey(chunkFingerprint(noise('other secret', 32), plain), id, masked)).not.toEqual(
      key,
    );
    expect(
      unmaskKey(chunkFingerprint(secret, plain), asChunkId(noise('other id', 32)), masked),
    ).not.toEqual(key);
  });

  it('P4: is opened neither by what it holds itself nor by the published hash of a file', () => {
    const index = cacheIndex(chunkFingerprint(secret, plain));
    const masked = maskKey(chunkFingerprint(secret, plain), id, key);
    for (const guess of [
      index,
      secret,
      masked,
      id,
      sha256(plain),
      hmacSha256(secret, sha256(plain)),
    ]) {
      expect(unmaskKey(guess, id, masked)).not.toEqual(key);
    }
  });

  it('finds the same content again, and nothing else', () => {
    const index = cacheIndex(chunkFingerprint(secret, plain));
    expect(cacheIndex(chunkFingerprint(secret, Uint8Array.from(plain)))).toEqual(index);
    expect(cacheIndex(chunkFingerprint(secret, noise('other', 1000)))).not.toEqual(index);
    expect(index).toHaveLength(32);
  });

  it('masks the keys of one content under two ids differently', () => {
    const fingerprint = chunkFingerprint(secret, plain);
    const zero = new Uint8Array(32);
    expect(maskKey(fingerprint, id, zero)).not.toEqual(
      maskKey(fingerprint, asChunkId(noise('id 2', 32)), zero),
    );
  });
});
