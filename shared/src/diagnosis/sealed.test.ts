import { asAgentId, asVaultId } from '@aliquot/proto';
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../testing/keys/fixtures.ts';
import { newBoxKey } from '../crypto/box.ts';
import { newSigningKey } from '../crypto/sign.ts';
import { issueOperator } from '../keys/operator-certificate.ts';
import { askDiagnosis, openDiagnosis, sealDiagnosis, verifyDiagnosisRequest } from './sealed.ts';

const NOW = 1_790_000_000_000;
const random = seededRandom('diagnosis');
const authority = newSigningKey(random);
const vaultId = asVaultId(random.bytes(16));
const vault = { vaultId, authorityKey: authority.publicKey };
const agentId = asAgentId(random.bytes(16));
const signKey = newSigningKey(random);
const boxKey = newBoxKey(random);

const certificateFor = (
  purposes: readonly ('settings' | 'diagnose')[],
  expiresAtMs = NOW + 1,
  by = authority,
  of = vaultId,
) =>
  issueOperator(by, {
    version: 1,
    vaultId: of,
    name: 'maria',
    signKey: signKey.publicKey,
    boxKey: boxKey.publicKey,
    purposes,
    issuedAtMs: NOW - 1,
    expiresAtMs,
  });
const { request, body } = askDiagnosis(signKey, vaultId, agentId, NOW, random);
const certificate = certificateFor(['diagnose']);

describe('a question for a diagnosis', () => {
  it('is known by the operator whom the authority certified for that', () => {
    const verified = verifyDiagnosisRequest(vault, agentId, { request, certificate }, NOW);
    expect(verified.operator.name).toBe('maria');
    expect(verified.body).toEqual(body);
  });

  const others = newSigningKey(random);
  const other = asVaultId(random.bytes(16));
  it.each([
    [
      'a certificate of somebody else',
      { request, certificate: certificateFor(['diagnose'], NOW + 1, others) },
      'CERT_SIGNATURE',
    ],
    [
      'a certificate for another vault',
      { request, certificate: certificateFor(['diagnose'], NOW + 1, authority, other) },
      'CERT_OTHER_VAULT',
    ],
    [
      'a certificate past its term',
      { request, certificate: certificateFor(['diagnose'], NOW) },
      'CERT_EXPIRED',
    ],
    [
      'a certificate for other purposes',
      { request, certificate: certificateFor(['settings']) },
      'CERT_PURPOSE',
    ],
    [
      'a question that somebody else signed',
      { request: askDiagnosis(others, vaultId, agentId, NOW, random).request, certificate },
      'CERT_SIGNATURE',
    ],
    [
      'a question for another vault',
      { request: askDiagnosis(signKey, other, agentId, NOW, random).request, certificate },
      'CERT_OTHER_VAULT',
    ],
    [
      'a question for another agent',
      {
        request: askDiagnosis(signKey, vaultId, asAgentId(random.bytes(16)), NOW, random).request,
        certificate,
      },
      'CERT_SIGNATURE',
    ],
  ])('is refused with %s', (_, asked, code) => {
    expect(() => verifyDiagnosisRequest(vault, agentId, asked, NOW)).toThrow(
      expect.objectContaining({ code }),
    );
  });
});

describe('a sealed diagnosis', () => {
  const box = sealDiagnosis(boxKey.publicKey, body, 'how it is', random);
  if (box === undefined) throw new Error('too large');
  const unreadable = expect.objectContaining({ code: 'DIAGNOSIS_UNREADABLE' });

  it('opens for who asked, as the answer to that question', () => {
    expect(openDiagnosis(boxKey, body, box)).toBe('how it is');
    expect(() => openDiagnosis(newBoxKey(random), body, box)).toThrow(unreadable);
    expect(() => openDiagnosis(boxKey, { ...body, askId: random.bytes(16) }, box)).toThrow(
      unreadable,
    );
    expect(() =>
      openDiagnosis(boxKey, { ...body, agentId: asAgentId(random.bytes(16)) }, box),
    ).toThrow(unreadable);
    const altered = box.sealed.slice();
    altered[20] = (altered[20] ?? 0) ^ 1;
    expect(() => openDiagnosis(boxKey, body, { ...box, sealed: altered })).toThrow(unreadable);
  });

  it('is not made where it would be larger than an answer may be', () => {
    expect(sealDiagnosis(boxKey.publicKey, body, 'x'.repeat(9 << 20), random)).toBeUndefined();
    const noise = Buffer.from(random.bytes(2 << 20)).toString('base64');
    expect(sealDiagnosis(boxKey.publicKey, body, noise, random)).toBeUndefined();
    expect(
      sealDiagnosis(boxKey.publicKey, body, 'x'.repeat(4 << 20), random)?.sealed.length,
    ).toBeLessThan(10_000);
  });
});
