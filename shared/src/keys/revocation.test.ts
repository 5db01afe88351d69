import type { AgentRevocationBody, OperatorPurpose } from '@aliquot/proto';
import { expect, test } from 'vitest';
import {
  FIXTURE_TIME_MS,
  fixtureAgent,
  fixtureVault,
  seededRandom,
} from '../../testing/keys/fixtures.ts';
import { newBoxKey } from '../crypto/box.ts';
import { newSigningKey } from '../crypto/sign.ts';
import { issueApproval } from './approval.ts';
import { issueOperator } from './operator-certificate.ts';
import { issueRevocation, verifyRevocation } from './revocation.ts';

const vault = fixtureVault('revocations');
const foreign = fixtureVault('revocations of others');
const random = seededRandom('revocation');
const { vaultId, authorityKey } = vault.descriptor;
const { agentId } = fixtureAgent(vault, 'hplc-1');
const body: AgentRevocationBody = {
  version: 1,
  vaultId,
  agentId,
  revokedAtMs: FIXTURE_TIME_MS,
  reason: 'stolen',
};
const code = (expected: string) => expect.objectContaining({ code: expected });

function operator(purposes: readonly OperatorPurpose[], expiresAtMs = FIXTURE_TIME_MS + 1000) {
  const key = newSigningKey(random);
  const certificate = issueOperator(vault.authority, {
    version: 1,
    vaultId,
    name: 'maria',
    signKey: key.publicKey,
    boxKey: newBoxKey(random).publicKey,
    purposes,
    issuedAtMs: FIXTURE_TIME_MS - 1000,
    expiresAtMs,
  });
  return { revocation: issueRevocation(key, body), operator: certificate };
}

test('P4: whoever has the authority key can verify a revocation by itself, and by an operator beside his certificate', () => {
  const revocation = issueRevocation(vault.authority, body);
  expect(verifyRevocation(authorityKey, vaultId, { revocation })).toEqual(body);
  const signed = operator(['agents']);
  expect(verifyRevocation(authorityKey, vaultId, signed)).toEqual(body);
  // Years later as well; who takes it anew asks for a term that lasts.
  expect(() =>
    verifyRevocation(authorityKey, vaultId, signed, FIXTURE_TIME_MS + 1000),
  ).toThrowError(code('CERT_EXPIRED'));
});

test('P4: what somebody else signed, or for something else, revokes nobody', () => {
  const revocation = issueRevocation(vault.authority, body);
  const check = (signed: Parameters<typeof verifyRevocation>[2]) => () =>
    verifyRevocation(authorityKey, vaultId, signed);
  expect(check({ revocation: issueRevocation(foreign.authority, body) })).toThrowError(
    code('CERT_SIGNATURE'),
  );
  const ofOther = { ...body, vaultId: foreign.descriptor.vaultId };
  expect(check({ revocation: issueRevocation(vault.authority, ofOther) })).toThrowError(
    code('CERT_OTHER_VAULT'),
  );
  const altered = revocation.body.with(revocation.body.length - 1, 0x7a);
  expect(check({ revocation: { ...revocation, body: altered } })).toThrowError(
    code('CERT_SIGNATURE'),
  );
  expect(check(operator(['settings']))).toThrowError(code('CERT_PURPOSE'));
  expect(check(operator(['agents'], FIXTURE_TIME_MS))).toThrowError(code('CERT_EXPIRED'));
  expect(check({ ...operator(['agents']), operator: undefined })).toThrowError(
    code('CERT_SIGNATURE'),
  );
  // An approval of the same agent has another label.
  const approval = { version: 1, vaultId, agentId, approvedAtMs: 1, successor: undefined } as const;
  expect(check({ revocation: issueApproval(vault.authority, approval) })).toThrowError(
    code('CERT_SIGNATURE'),
  );
});
