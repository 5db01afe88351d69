import type { LineageId } from '@aliquot/proto';
import { describe, expect, test } from 'vitest';
import { fixtureVault, seededRandom } from '../../testing/keys/fixtures.ts';
import vectors from '../../vectors/derive-1.json' with { type: 'json' };
import { fromHex, hex, utf8 } from '../crypto/bytes.ts';
import { collectorIdOf, vaultIdOf } from './certificates.ts';
import { fileIdFor, pathKeyFor, sourceIdFor, vaultKeysFrom } from './derive.ts';

const vault = fixtureVault('derive');
const other = fixtureVault('derive other');
const first = { epoch: 1, secret: seededRandom('first').bytes(32) };
const second = { epoch: 2, secret: seededRandom('second').bytes(32) };

describe('vault keys', () => {
  test('every subkey of every epoch and vault is another one', () => {
    const all = [vault, other].flatMap(({ descriptor }) => {
      const keys = vaultKeysFrom([first, second], descriptor);
      return [
        keys.gearSeed,
        ...[...keys.epochs.values()].flatMap((epoch) => [
          epoch.chunkSubkey,
          epoch.pageSubkey,
          epoch.slabSubkey,
        ]),
      ];
    });
    expect(new Set(all.map(hex)).size).toBe(14);
    expect(all.every((key) => key.length === 32)).toBe(true);
  });

  test('a new epoch changes the subkeys and leaves the gear table, in whatever order the secrets come', () => {
    const before = vaultKeysFrom([first], vault.descriptor);
    const after = vaultKeysFrom([second, first], vault.descriptor);
    expect([before.currentEpoch, after.currentEpoch]).toEqual([1, 2]);
    expect(after.gearSeed).toEqual(before.gearSeed);
    expect(after.epochs.get(1)).toEqual(before.epochs.get(1));
    expect(after.epochs.get(2)).not.toEqual(after.epochs.get(1));
    expect(after.parameters).toEqual(vault.descriptor.parameters);
  });

  test('without the secret of epoch 1 there are no vault keys, because the cuts would move', () => {
    expect(() => vaultKeysFrom([second], vault.descriptor)).toThrowError(
      expect.objectContaining({ code: 'CRYPTO_MISSING_EPOCH' }),
    );
  });
});

describe('path keys', () => {
  const random = seededRandom('paths');
  const secret = random.bytes(32);
  const lineage = random.bytes(16) as LineageId;
  const key = pathKeyFor(secret, { lineageId: lineage });

  test('belong to one lineage', () => {
    expect(pathKeyFor(secret, { lineageId: lineage })).toEqual(key);
    expect(pathKeyFor(secret, { lineageId: random.bytes(16) as LineageId })).not.toEqual(key);
    expect(pathKeyFor(random.bytes(32), { lineageId: lineage })).not.toEqual(key);
  });

  test('file ids depend on every byte of the path, and not on what it spells', () => {
    const composed = fileIdFor(key, utf8('/data/\u00e9'));
    const decomposed = fileIdFor(key, utf8('/data/e\u0301'));
    expect(composed.length).toBe(16);
    expect(composed).not.toEqual(decomposed);
    expect(fileIdFor(key, utf8('/data/\u00e9'))).toEqual(composed);
    expect(
      fileIdFor(
        pathKeyFor(secret, { lineageId: random.bytes(16) as LineageId }),
        utf8('/data/\u00e9'),
      ),
    ).not.toEqual(composed);
  });

  test('a source id is no prefix of the file id of the same path', () => {
    // A path of Windows is one file in every case of it, and central IT, which types it, need not
    // know which one the PC has.
    for (const [one, other] of [
      ['C:\\Data\\Läufe', 'c:\\DATA\\LÄUFE'],
      ['\\\\srv\\Lab\\x', '\\\\SRV\\lab\\X'],
    ] as const) {
      expect(fileIdFor(key, utf8(one))).toEqual(fileIdFor(key, utf8(other)));
      expect(sourceIdFor(key, utf8(one))).toEqual(sourceIdFor(key, utf8(other)));
    }
    expect(fileIdFor(key, utf8('/data/Run'))).not.toEqual(fileIdFor(key, utf8('/data/run')));
    const source = sourceIdFor(key, utf8('/data'));
    expect(source.length).toBe(16);
    expect(hex(fileIdFor(key, utf8('/data'))).startsWith(hex(source))).toBe(false);
  });
});

describe('version 1 stays as it is', () => {
  const bytes = (text: string) => fromHex(text) ?? new Uint8Array(0);

  test('ids of vaults and collectors follow from their keys', () => {
    expect(hex(vaultIdOf(bytes(vectors.authorityKey)))).toBe(vectors.vaultId);
    expect(hex(collectorIdOf(bytes(vectors.collectorKey)))).toBe(vectors.collectorId);
  });

  test('subkeys and gear seed follow from dedup secrets and vault', () => {
    const secrets = vectors.epochs.map(({ epoch, secret }) => ({ epoch, secret: bytes(secret) }));
    const keys = vaultKeysFrom(secrets, {
      ...vault.descriptor,
      vaultId: vaultIdOf(bytes(vectors.authorityKey)),
    });
    expect(hex(keys.gearSeed)).toBe(vectors.gearSeed);
    for (const { epoch, chunkSubkey, pageSubkey, slabSubkey } of vectors.epochs) {
      expect(keys.epochs.get(epoch)).toEqual({
        chunkSubkey: bytes(chunkSubkey),
        pageSubkey: bytes(pageSubkey),
        slabSubkey: bytes(slabSubkey),
      });
    }
  });

  test('path keys, file ids and source ids follow from the path secret', () => {
    const pathKey = pathKeyFor(bytes(vectors.pathSecret), {
      lineageId: bytes(vectors.lineageId) as LineageId,
    });
    expect(hex(pathKey)).toBe(vectors.pathKey);
    expect(hex(fileIdFor(pathKey, bytes(vectors.path)))).toBe(vectors.fileId);
    expect(hex(sourceIdFor(pathKey, bytes(vectors.path)))).toBe(vectors.sourceId);
  });
});
