import { decodeOperatorCertificateBody } from '@aliquot/proto';
import { describe, expect, test } from 'vitest';
import { FIXTURE_TIME_MS, fixtureVault, seededRandom } from '../../testing/keys/fixtures.ts';
import { hex } from '../crypto/bytes.ts';
import { dearmor } from './armor.ts';
import { policyKeyFor } from './derive.ts';
import { openKit, sealKit } from './kit.ts';
import { inspectOperator, newOperator, openOperator, sealOperator } from './operator.ts';
import { issueOperator, verifyOperator } from './operator-certificate.ts';

const cheap = { logN: 1, r: 1, p: 1 };
const vault = fixtureVault('operators');
const foreign = fixtureVault('other');
const { authorityKey, vaultId } = vault.descriptor;
const kit = await openKit(sealKit(vault.kit, 'kit', seededRandom('kit'), cheap), 'kit');
const terms = {
  name: 'maria',
  purposes: ['settings', 'diagnose'] as const,
  issuedAtMs: FIXTURE_TIME_MS,
  expiresAtMs: FIXTURE_TIME_MS + 1000,
};
const contents = newOperator(kit, terms, seededRandom('maria'));
const text = sealOperator(contents, 'her own', seededRandom('salt'), cheap);
const body = decodeOperatorCertificateBody(contents.certificate.body);
const code = (value: string) => expect.objectContaining({ code: value });

describe('operator certificate', () => {
  test('holds for its purposes until its term ends', () => {
    expect(
      verifyOperator(
        authorityKey,
        vaultId,
        contents.certificate,
        'settings',
        FIXTURE_TIME_MS + 999,
      ),
    ).toEqual(body);
    expect(() =>
      verifyOperator(
        authorityKey,
        vaultId,
        contents.certificate,
        'settings',
        FIXTURE_TIME_MS + 1000,
      ),
    ).toThrow(code('CERT_EXPIRED'));
    expect(() =>
      verifyOperator(authorityKey, vaultId, contents.certificate, 'agents', FIXTURE_TIME_MS),
    ).toThrow(code('CERT_PURPOSE'));
  });

  test('of another authority, of another vault, or altered counts for nothing', () => {
    const verify = (signed: typeof contents.certificate) =>
      verifyOperator(authorityKey, vaultId, signed, 'settings', FIXTURE_TIME_MS);
    expect(() => verify(issueOperator(foreign.authority, body))).toThrow(code('CERT_SIGNATURE'));
    expect(() =>
      verify(issueOperator(vault.authority, { ...body, vaultId: foreign.descriptor.vaultId })),
    ).toThrow(code('CERT_OTHER_VAULT'));
    expect(() =>
      verify(issueOperator(vault.authority, { ...body, signKey: new Uint8Array(32) })),
    ).toThrow(code('CERT_WEAK_KEY'));
    const altered = contents.certificate.body.slice();
    altered[30] = (altered[30] ?? 0) ^ 1;
    expect(() => verify({ ...contents.certificate, body: altered })).toThrow(
      code('CERT_SIGNATURE'),
    );
  });
});

describe('operator key file', () => {
  test('opens to the certified keys, and to the policy key exactly with the purpose settings', async () => {
    const open = await openOperator(text, 'her own', 'diagnose', FIXTURE_TIME_MS);
    expect(open.certificate).toEqual(body);
    expect(hex(open.signKey.publicKey)).toBe(hex(body.signKey));
    expect(open.policyKey).toEqual(policyKeyFor(kit.pathSecret, vaultId));
    const other = newOperator(kit, { ...terms, purposes: ['agents'] }, seededRandom('jo'));
    const opened = await openOperator(
      sealOperator(other, 'x', seededRandom('s'), cheap),
      'x',
      'agents',
      FIXTURE_TIME_MS,
    );
    expect(opened.policyKey).toBeUndefined();
  });

  test('says its vault without a passphrase, and holds no key in clear', () => {
    expect(hex(inspectOperator(text).vaultId)).toBe(hex(vaultId));
    const read = dearmor('ALIQUOT OPERATOR KEY', text);
    for (const secret of [contents.signSeed, contents.boxSecretKey])
      expect(read.type === 'bytes' && hex(read.bytes).includes(hex(secret))).toBe(false);
  });

  test('is refused by name: wrong passphrase, past its term, for another purpose, a kit, damage', async () => {
    const open = (
      file: string,
      passphrase = 'her own',
      purpose: 'settings' | 'agents' = 'settings',
      nowMs = FIXTURE_TIME_MS,
    ) => openOperator(file, passphrase, purpose, nowMs);
    await expect(open(text, 'his')).rejects.toThrow(code('OPERATOR_WRONG_PASSPHRASE'));
    await expect(open(text, 'her own', 'settings', FIXTURE_TIME_MS + 1000)).rejects.toThrow(
      code('OPERATOR_EXPIRED'),
    );
    await expect(open(text, 'her own', 'agents')).rejects.toThrow(code('OPERATOR_PURPOSE'));
    await expect(open(sealKit(vault.kit, 'kit', seededRandom('kit'), cheap))).rejects.toThrow(
      code('OPERATOR_NOT_A_KEY'),
    );
    await expect(open(sealKit(vault.kit, 'kit', seededRandom('kit'), cheap))).rejects.toThrow(
      'a kit is given with --kit',
    );
    await expect(open('nothing of the kind')).rejects.toThrow(code('OPERATOR_NOT_A_KEY'));
    await expect(open(text.replace(/\n=.{8}\n/, '\n=AAAAAAAA\n'))).rejects.toThrow(
      code('OPERATOR_CORRUPT'),
    );
  });

  test('whose keys are not the certified ones is refused', async () => {
    const swapped = { ...contents, signSeed: seededRandom('thief').bytes(32) };
    const file = sealOperator(swapped, 'x', seededRandom('s'), cheap);
    await expect(openOperator(file, 'x', 'settings', FIXTURE_TIME_MS)).rejects.toThrow(
      code('OPERATOR_CORRUPT'),
    );
    const without = sealOperator(
      { ...contents, policySecretKey: undefined },
      'x',
      seededRandom('s'),
      cheap,
    );
    await expect(openOperator(without, 'x', 'settings', FIXTURE_TIME_MS)).rejects.toThrow(
      code('OPERATOR_CORRUPT'),
    );
  });
});
