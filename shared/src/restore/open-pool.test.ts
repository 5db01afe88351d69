import { randomBytes } from 'node:crypto';
import { asVaultId } from '@aliquot/proto';
import { afterAll, describe, expect, it } from 'vitest';
import { refOf, sealChunk } from '../content/seal.ts';
import type { VaultKeys } from '../keys/derive.ts';
import { OpenPool } from './open-pool.ts';
import { type ChunkOpener, hereOpener, type SealedPiece } from './opener.ts';

const vaultId = asVaultId(Buffer.alloc(16, 7));
const keys: VaultKeys = {
  vaultId,
  parameters: {
    chunkerVersion: 1,
    minChunkBytes: 65_536,
    averageChunkBytes: 262_144,
    maxChunkBytes: 1_048_576,
    encoderVersion: 1,
  },
  currentEpoch: 1,
  epochs: new Map([
    [
      1,
      {
        chunkSubkey: Buffer.alloc(32, 1),
        pageSubkey: Buffer.alloc(32, 2),
        slabSubkey: Buffer.alloc(32, 3),
      },
    ],
  ]),
  gearSeed: Buffer.alloc(32, 3),
};

function pieceOf(plain: Uint8Array): SealedPiece {
  const chunk = sealChunk(keys, plain);
  return { ref: refOf(chunk), key: chunk.key, sealed: chunk.sealed };
}

const pool = new OpenPool(2);
afterAll(() => pool.close());

const openers: readonly (readonly [string, ChunkOpener])[] = [
  ['on the spot', hereOpener],
  ['in threads', pool],
];

describe.each(openers)('opening chunks %s', (_name, opener) => {
  it('gives back what was sealed, large and small, that shrank and that did not, in order', async () => {
    const contents = Array.from({ length: 40 }, (_, at) => {
      const size = [1, 3000, 70_000, 900_000][at % 4] ?? 1;
      return at % 8 < 4 ? new Uint8Array(size).fill(at) : new Uint8Array(randomBytes(size));
    });
    const opened = await opener.open(vaultId, contents.map(pieceOf));
    expect(opened.length).toBe(contents.length);
    for (const [index, one] of opened.entries()) {
      expect(
        'plain' in one && Buffer.compare(one.plain, contents[index] ?? new Uint8Array(0)),
      ).toBe(0);
    }
  });

  it('P2: tells for each that does not prove what is wrong with it, and opens the others', async () => {
    const sound = pieceOf(new Uint8Array(randomBytes(700_000)));
    const good = { ...sound, sealed: sound.sealed.slice() };
    const altered = {
      ...sound,
      sealed: sound.sealed.map((byte, at) => (at === 9 ? byte ^ 1 : byte)),
    };
    const wrongKey = { ...sound, key: new Uint8Array(32), sealed: sound.sealed.slice() };
    const opened = await opener.open(vaultId, [altered, good, wrongKey]);
    expect(
      opened.map((one) => ('error' in one ? (one.error as { code: string }).code : 'opened')),
    ).toEqual(['SEAL_ID_MISMATCH', 'opened', 'SEAL_AUTHENTICATION']);
  });
});
