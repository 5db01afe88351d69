import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { asVaultId } from '@aliquot/proto';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import { systemRandom } from '@aliquot/shared/ports';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { vectors } from '@aliquot/shared/testing/vectors';
import { describe, expect, test } from 'vitest';
import { StoreError } from '../errors.ts';
import { DiskHistory } from './disk-history.ts';
import { decodeFileEnd, encodeFileEnd } from './history-format.ts';
import { type HistoryKind, historyStart } from './history-log.ts';

interface HistoryVectors {
  readonly vault: string;
  readonly salt: string;
  readonly records: readonly { readonly kind: HistoryKind; readonly bytes: string }[];
  readonly bytes: string;
  readonly wrong: readonly {
    readonly name: string;
    readonly bytes: string;
    readonly refused?: string;
    readonly replayed?: number;
  }[];
}

const given = vectors<HistoryVectors>('history-1');
const unhex = (text: string) => new Uint8Array(Buffer.from(text, 'hex'));
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const vaultId = asVaultId(unhex(given.vault));
const random = { bytes: () => unhex(given.salt) };

/** What a collector makes of a history whose first file is these bytes. */
async function takenFor(bytes: string): Promise<string | number> {
  const dir = join(temporaryFolder(), 'history');
  mkdirSync(dir);
  writeFileSync(join(dir, '00000001.history'), unhex(bytes));
  try {
    const history = await DiskHistory.open(dir, vaultId, {
      ...{ files: nodeFiles, random: systemRandom },
    });
    let replayed = 0;
    try {
      for await (const _ of history.replay(historyStart)) replayed += 1;
    } finally {
      await history.close();
    }
    return replayed;
  } catch (error) {
    if (error instanceof StoreError) return error.code;
    throw error;
  }
}

describe('a history file', () => {
  test('is written byte for byte as FORMAT.md says', async () => {
    const dir = join(temporaryFolder(), 'history');
    const ports = { files: nodeFiles, random, fileBytes: 150 };
    const history = await DiskHistory.open(dir, vaultId, ports);
    const rows = given.records.map(({ kind, bytes }) => ({ kind, payload: unhex(bytes) }));
    for (const row of [...rows, ...rows]) await history.append([row]);
    await history.close();
    expect(hex(readFileSync(join(dir, '00000001.history')))).toBe(given.bytes);
    expect(await takenFor(given.bytes)).toBe(2);
  });

  test.each(given.wrong)('that $name', async ({ bytes, refused, replayed }) => {
    expect(await takenFor(bytes)).toBe(refused ?? replayed);
  });
});

test('the end of a history file is four bytes, and nothing else', () => {
  expect(decodeFileEnd(encodeFileEnd(70_000))).toBe(70_000);
  for (const length of [0, 3, 5]) expect(decodeFileEnd(new Uint8Array(length))).toBeUndefined();
});
