import type { AgentId, Signed, TreeHead, VaultId } from '@aliquot/proto';
import {
  decodeAgentBindingBody,
  decodeCollectorCertificateBody,
  decodeEnrolmentCertificateBody,
  decodeEpochOpeningBody,
  decodeVaultDescriptorBody,
} from '@aliquot/proto';
import { describe, expect, test } from 'vitest';
import { FIXTURE_TIME_MS, fixtureAgent, fixtureVault } from '../../testing/keys/fixtures.ts';
import { newSigningKey } from '../crypto/sign.ts';
import {
  bindingHashOf,
  collectorIdOf,
  issueAddresses,
  issueBinding,
  issueCollectorCertificate,
  issueDescriptor,
  issueEnrolAnswer,
  issueEnrolment,
  issueEpochOpening,
  vaultIdOf,
  verifyAddresses,
  verifyAgent,
  verifyCollectorCertificate,
  verifyDescriptor,
  verifyEnrolAnswer,
  verifyEnrolment,
  verifyEpochOpening,
} from './certificates.ts';

const vault = fixtureVault('certificates');
const foreign = fixtureVault('foreign');
const { authority, descriptor, random } = vault;
const { authorityKey, vaultId } = descriptor;
const agent = fixtureAgent(vault, 'hplc-7');
const head: TreeHead = { logEpoch: 1, size: 3, root: random.bytes(32) };
const opening = issueEpochOpening(authority, {
  version: 1,
  vaultId,
  logEpoch: 2,
  base: head,
  lost: [{ ...head, size: 9 }],
  approvedAtMs: FIXTURE_TIME_MS,
});
const addressesBody = {
  version: 1 as const,
  vaultId,
  revision: 3,
  addresses: [{ url: 'https://collector.lab', tlsCa: '', tlsPins: [] }],
};
const addresses = issueAddresses(authority, addressesBody);
const collectorBody = decodeCollectorCertificateBody(vault.collectorCertificate.body);
const enrolmentBody = decodeEnrolmentCertificateBody(agent.enrolment.body);
const bindingBody = decodeAgentBindingBody(agent.binding.body);

/** A key of small order. */
const WEAK = new Uint8Array(32);

const code = (value: string) => expect.objectContaining({ code: value });

interface Case {
  readonly name: string;
  readonly signed: Signed;
  readonly verify: (signed: Signed) => unknown;
}

const cases: readonly Case[] = [
  {
    name: 'vault descriptor',
    signed: vault.kit.descriptor,
    verify: (signed) => verifyDescriptor(signed),
  },
  {
    name: 'collector certificate',
    signed: vault.collectorCertificate,
    verify: (signed) => verifyCollectorCertificate(authorityKey, vaultId, signed),
  },
  {
    name: 'enrolment',
    signed: agent.enrolment,
    verify: (signed) => verifyEnrolment(authorityKey, vaultId, signed),
  },
  {
    name: 'binding',
    signed: agent.binding,
    verify: (signed) => verifyAgent(authorityKey, vaultId, agent.enrolment, signed),
  },
  {
    name: 'collector addresses',
    signed: addresses,
    verify: (signed) => verifyAddresses(authorityKey, vaultId, signed),
  },
  {
    name: 'epoch opening',
    signed: opening,
    verify: (signed) => verifyEpochOpening(authorityKey, vaultId, signed),
  },
];

describe.each(cases)('$name', ({ signed, verify }) => {
  test('is believed as it was issued', () => {
    expect(() => verify(signed)).not.toThrow();
  });

  test('P5: is refused after any one byte of body or signature changed', () => {
    for (const part of ['body', 'signature'] as const) {
      for (let at = 0; at < signed[part].length; at += 1) {
        const altered = { ...signed, [part]: signed[part].slice() };
        altered[part][at] = (altered[part][at] ?? 0) ^ 1;
        expect(() => verify(altered), `${part} byte ${at}`).toThrowError(
          expect.objectContaining({ code: expect.stringMatching(/^CERT_/) }),
        );
      }
    }
  });

  test('is refused when truncated or empty', () => {
    for (const length of [0, 1, signed.body.length - 1]) {
      expect(() => verify({ ...signed, body: signed.body.subarray(0, length) })).toThrowError(
        expect.objectContaining({ code: expect.stringMatching(/^CERT_(SIGNATURE|MALFORMED)$/) }),
      );
    }
    expect(() => verify({ ...signed, signature: new Uint8Array(0) })).toThrowError(
      code('CERT_SIGNATURE'),
    );
  });

  test('cannot stand for a statement of another kind', () => {
    for (const other of cases) {
      if (other.signed === signed) continue;
      expect(() => verify(other.signed), other.name).toThrowError(
        expect.objectContaining({
          code: expect.stringMatching(/^CERT_(SIGNATURE|MALFORMED|ID_MISMATCH)$/),
        }),
      );
    }
  });
});

describe('each field of a genuine signature counts', () => {
  test('a descriptor whose id or authority is not its own is refused', () => {
    const body = decodeVaultDescriptorBody(vault.kit.descriptor.body);
    const otherId = issueDescriptor(authority, { ...body, vaultId: foreign.descriptor.vaultId });
    expect(() => verifyDescriptor(otherId)).toThrowError(code('CERT_ID_MISMATCH'));
    const stolenId = issueDescriptor(foreign.authority, {
      ...body,
      authorityKey: foreign.authority.publicKey,
    });
    expect(() => verifyDescriptor(stolenId)).toThrowError(code('CERT_ID_MISMATCH'));
    const signedByOther = issueDescriptor(foreign.authority, body);
    expect(() => verifyDescriptor(signedByOther)).toThrowError(code('CERT_SIGNATURE'));
  });

  test('certificates of a foreign authority are refused', () => {
    const stranger = fixtureAgent(foreign, 'stranger');
    expect(() =>
      verifyCollectorCertificate(authorityKey, vaultId, foreign.collectorCertificate),
    ).toThrowError(code('CERT_SIGNATURE'));
    expect(() => verifyEnrolment(authorityKey, vaultId, stranger.enrolment)).toThrowError(
      code('CERT_SIGNATURE'),
    );
    expect(() =>
      verifyAgent(authorityKey, vaultId, stranger.enrolment, stranger.binding),
    ).toThrowError(code('CERT_SIGNATURE'));
    expect(() =>
      verifyAddresses(authorityKey, vaultId, issueAddresses(foreign.authority, addressesBody)),
    ).toThrowError(code('CERT_SIGNATURE'));
    const otherOpening = issueEpochOpening(foreign.authority, decodeEpochOpeningBody(opening.body));
    expect(() => verifyEpochOpening(authorityKey, vaultId, otherOpening)).toThrowError(
      code('CERT_SIGNATURE'),
    );
  });

  test('certificates of another vault by the same authority key are refused', () => {
    const elsewhere = random.bytes(16) as VaultId;
    const otherCollector = issueCollectorCertificate(authority, {
      ...collectorBody,
      vaultId: elsewhere,
    });
    expect(() => verifyCollectorCertificate(authorityKey, vaultId, otherCollector)).toThrowError(
      code('CERT_OTHER_VAULT'),
    );
    const otherAddresses = issueAddresses(authority, { ...addressesBody, vaultId: elsewhere });
    expect(() => verifyAddresses(authorityKey, vaultId, otherAddresses)).toThrowError(
      code('CERT_OTHER_VAULT'),
    );
    const otherEnrolment = issueEnrolment(authority, { ...enrolmentBody, vaultId: elsewhere });
    expect(() => verifyEnrolment(authorityKey, vaultId, otherEnrolment)).toThrowError(
      code('CERT_OTHER_VAULT'),
    );
    const otherBinding = issueBinding(agent.enrolmentKey, { ...bindingBody, vaultId: elsewhere });
    expect(() => verifyAgent(authorityKey, vaultId, agent.enrolment, otherBinding)).toThrowError(
      code('CERT_OTHER_VAULT'),
    );
    const otherOpening = issueEpochOpening(authority, {
      ...decodeEpochOpeningBody(opening.body),
      vaultId: elsewhere,
    });
    expect(() => verifyEpochOpening(authorityKey, vaultId, otherOpening)).toThrowError(
      code('CERT_OTHER_VAULT'),
    );
  });

  test('a collector certificate whose id is not its key’s is refused', () => {
    const swapped = issueCollectorCertificate(authority, {
      ...collectorBody,
      signKey: newSigningKey(random).publicKey,
    });
    expect(() => verifyCollectorCertificate(authorityKey, vaultId, swapped)).toThrowError(
      code('CERT_ID_MISMATCH'),
    );
  });

  test('keys of small order are refused wherever a certificate names them', () => {
    const collector = issueCollectorCertificate(authority, {
      ...collectorBody,
      signKey: WEAK,
      collectorId: collectorIdOf(WEAK),
    });
    expect(() => verifyCollectorCertificate(authorityKey, vaultId, collector)).toThrowError(
      code('CERT_WEAK_KEY'),
    );
    const enrolment = issueEnrolment(authority, { ...enrolmentBody, enrolmentKey: WEAK });
    expect(() => verifyEnrolment(authorityKey, vaultId, enrolment)).toThrowError(
      code('CERT_WEAK_KEY'),
    );
    const binding = issueBinding(agent.enrolmentKey, { ...bindingBody, signKey: WEAK });
    expect(() => verifyAgent(authorityKey, vaultId, agent.enrolment, binding)).toThrowError(
      code('CERT_WEAK_KEY'),
    );
  });

  test('a binding that another enrolment key signed is refused', () => {
    const stolen = issueBinding(newSigningKey(random), bindingBody);
    expect(() => verifyAgent(authorityKey, vaultId, agent.enrolment, stolen)).toThrowError(
      code('CERT_SIGNATURE'),
    );
    const neighbour = fixtureAgent(vault, 'gc-2');
    expect(() =>
      verifyAgent(authorityKey, vaultId, agent.enrolment, neighbour.binding),
    ).toThrowError(code('CERT_SIGNATURE'));
  });

  test('a binding for another agent is refused even under the right enrolment key', () => {
    const other = issueBinding(agent.enrolmentKey, {
      ...bindingBody,
      agentId: random.bytes(16) as AgentId,
    });
    expect(() => verifyAgent(authorityKey, vaultId, agent.enrolment, other)).toThrowError(
      code('CERT_OTHER_AGENT'),
    );
  });

  test('an enrolment outlives its expiry: that limits the bundle, not the agent', () => {
    const certificate = verifyAgent(authorityKey, vaultId, agent.enrolment, agent.binding);
    expect(certificate.enrolment.expiresAtMs).toBeLessThan(Number.MAX_SAFE_INTEGER);
    expect(certificate.binding.signKey).toEqual(agent.signKey.publicKey);
  });

  test('ids follow from keys, and vault and collector ids of one key differ', () => {
    expect(vaultIdOf(authorityKey)).toEqual(vaultId);
    expect(vaultIdOf(authorityKey)).not.toEqual(collectorIdOf(authorityKey));
    expect(vaultIdOf(authorityKey).length).toBe(16);
  });
});

describe('enrolment answer', () => {
  const certificate = verifyAgent(authorityKey, vaultId, agent.enrolment, agent.binding);
  const body = {
    version: 1 as const,
    vaultId,
    agentId: agent.agentId,
    bindingHash: bindingHashOf(agent.binding),
    enrolledAtMs: FIXTURE_TIME_MS,
    pending: false,
    head,
  };
  const collectorCertificate = vault.collectorCertificate;
  const check = (answer: Signed, by = collectorCertificate) =>
    verifyEnrolAnswer(authorityKey, certificate, agent.binding, {
      answer,
      collectorCertificate: by,
    });

  test('is believed from the certified collector, for these keys', () => {
    expect(check(issueEnrolAnswer(vault.collector, body)).answer.head).toEqual(head);
  });

  test('is refused from anybody else, and for any other keys', () => {
    const impostor = newSigningKey(random);
    expect(() => check(issueEnrolAnswer(impostor, body))).toThrowError(code('CERT_SIGNATURE'));
    expect(() =>
      check(issueEnrolAnswer(foreign.collector, body), foreign.collectorCertificate),
    ).toThrowError(code('CERT_SIGNATURE'));
    expect(() =>
      check(issueEnrolAnswer(vault.collector, { ...body, bindingHash: random.bytes(32) })),
    ).toThrowError(code('CERT_OTHER_AGENT'));
    expect(() =>
      check(issueEnrolAnswer(vault.collector, { ...body, agentId: random.bytes(16) as AgentId })),
    ).toThrowError(code('CERT_OTHER_AGENT'));
    expect(() =>
      check(issueEnrolAnswer(vault.collector, { ...body, vaultId: random.bytes(16) as VaultId })),
    ).toThrowError(code('CERT_OTHER_VAULT'));
  });
});
