import { describe, expect, test } from 'vitest';
import { fixtureVault } from '../../testing/keys/fixtures.ts';
import { addressesFile, readAddressesFile } from './addresses-file.ts';
import { armor } from './armor.ts';
import { issueAddresses } from './certificates.ts';

const { authority, descriptor } = fixtureVault('addresses');
const body = {
  version: 1 as const,
  vaultId: descriptor.vaultId,
  revision: 7,
  addresses: [
    { url: 'https://collector.lab:8480', tlsCa: '', tlsPins: [new Uint8Array(32).fill(1)] },
  ],
};
const signed = issueAddresses(authority, body);

describe('a file of collector addresses', () => {
  test('gives back what was signed, says to a person what it is, and survives a mail program’s line ends', () => {
    const text = addressesFile(signed, body);
    expect(text).toContain('Address: https://collector.lab:8480');
    expect(text).toContain('no secret');
    for (const carried of [
      text,
      text.replaceAll('\n', '\r\n'),
      `Dear colleague,\n\n${text}\nRegards`,
    ]) {
      expect(readAddressesFile(carried)).toEqual(signed);
    }
  });

  test('is none when it is empty, cut, altered, of another kind, or holds something else', () => {
    const text = addressesFile(signed, body);
    const others = [
      '',
      'hello',
      text.slice(0, -40),
      text.replace(/[a-z](?=[A-Za-z0-9+/]{20}\n)/, '0'),
      armor('ALIQUOT ENROLMENT BUNDLE', [], signed.body),
      armor('ALIQUOT COLLECTOR ADDRESSES', [], new Uint8Array([1, 2, 3])),
    ];
    for (const other of others) expect(readAddressesFile(other)).toBeUndefined();
  });
});
