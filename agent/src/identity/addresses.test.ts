import { readFileSync, writeFileSync } from 'node:fs';
import type { CollectorAddress, Signed } from '@aliquot/proto';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import { issueAddresses } from '@aliquot/shared/keys/certificates';
import { fixtureVault } from '@aliquot/shared/testing/keys/fixtures';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { temporaryFolder, vault } from '../../testing/queue/support.ts';
import { AddressBook, type AddressOwner } from './addresses.ts';

const at = (url: string, ...pins: number[]): CollectorAddress => ({
  url,
  tlsCa: '',
  tlsPins: pins.map((pin) => new Uint8Array(32).fill(pin)),
});
const bundled = at('https://bundle.lab', 1);
const owner: AddressOwner = { server: bundled, descriptor: vault.descriptor };
const foreign = fixtureVault('another lab');

let folder: ReturnType<typeof temporaryFolder>;

beforeEach(() => {
  folder = temporaryFolder();
});

afterEach(() => folder.remove());

const open = () => AddressBook.open(nodeFiles, folder.dir, owner);

function signed(revision: number, addresses: readonly CollectorAddress[], by = vault): Signed {
  return issueAddresses(by.authority, {
    version: 1,
    vaultId: by.descriptor.vaultId,
    revision,
    addresses,
  });
}

describe('where an agent looks for its collector', () => {
  test('P6: what the authority signed comes first, then what worked last, then the bundle’s; each once, and after a restart too', async () => {
    const book = await open();
    expect(book.candidates()).toEqual([bundled]);
    await book.worked(bundled);
    expect(await book.learn(signed(7, [at('https://one.lab'), at('https://two.lab')]))).toBe(true);
    await book.worked(at('https://one.lab'));
    expect(book.candidates().map(({ url }) => url)).toEqual([
      'https://one.lab',
      'https://two.lab',
      'https://bundle.lab',
    ]);
    expect(await book.learn(signed(8, [at('https://three.lab')]))).toBe(true);
    for (const now of [book, await open()]) {
      expect(now.candidates().map(({ url }) => url)).toEqual([
        'https://three.lab',
        'https://one.lab',
        'https://bundle.lab',
      ]);
      expect(now.revision).toBe(8);
    }
  });

  test('P6: one address with another trust stands beside the old one, so that a mistaken announcement cuts nobody off', async () => {
    const book = await open();
    await book.learn(signed(1, [at('https://bundle.lab', 2)]));
    expect(book.candidates()).toEqual([at('https://bundle.lab', 2), bundled]);
  });

  test('I-A14 P5: a lower or the same revision changes nothing, however it is repeated', async () => {
    const book = await open();
    await book.learn(signed(8, [at('https://new.lab')]));
    for (const revision of [8, 7, 1])
      expect(await book.learn(signed(revision, [at('https://old.lab')]))).toBe(false);
    expect((await open()).candidates().map(({ url }) => url)).toEqual([
      'https://new.lab',
      'https://bundle.lab',
    ]);
  });

  test('I-A14 P5: addresses of another vault, of nobody, or altered in any byte, are refused, and nothing is kept', async () => {
    const book = await open();
    const good = signed(8, [at('https://new.lab')]);
    const wrong = [
      signed(9, [at('https://evil.lab')], foreign),
      issueAddresses(vault.authority, {
        version: 1,
        vaultId: foreign.descriptor.vaultId,
        revision: 9,
        addresses: [at('https://x.lab')],
      }),
      ...[...good.body.keys()].map((byte) => ({
        ...good,
        body: good.body.with(byte, (good.body[byte] ?? 0) ^ 1),
      })),
      { ...good, signature: new Uint8Array(64) },
      vault.collectorCertificate,
    ];
    for (const addresses of wrong)
      await expect(book.learn(addresses)).rejects.toMatchObject({ code: 'ADDRESSES_FOREIGN' });
    expect((await open()).candidates()).toEqual([bundled]);
  });

  test('a damaged file stops nobody: the bundle’s address counts until the collector hands the others out again', async () => {
    const book = await open();
    await book.learn(signed(8, [at('https://new.lab')]));
    const path = AddressBook.path(folder.dir);
    const text = readFileSync(path, 'utf8');
    for (const damage of [
      '',
      'hello',
      text.slice(0, -30),
      text.replace('"version": 1', '"version": 2'),
      text.replace(/[A-Z](?=[a-z]{2})/, '0'),
    ]) {
      writeFileSync(path, damage);
      const again = await open();
      expect(again.candidates()).toEqual([bundled]);
      expect(again.revision).toBe(0);
    }
    expect(await (await open()).learn(signed(8, [at('https://new.lab')]))).toBe(true);
    expect((await open()).revision).toBe(8);
  });
});
