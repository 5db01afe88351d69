/**
 * Repeatable keys and certificates for tests of every room. Nothing outside tests imports this
 * file.
 */
import type { AgentId, ChainId, KitContents, LineageId, Signed } from '@aliquot/proto';
import { type BoxKey, newBoxKey } from '../../src/crypto/box.ts';
import { concat, hex, u64be, utf8 } from '../../src/crypto/bytes.ts';
import { sha256 } from '../../src/crypto/primitives.ts';
import { newSigningKey, type SigningKey, signingKeyFromSeed } from '../../src/crypto/sign.ts';
import {
  collectorIdOf,
  issueBinding,
  issueCollectorCertificate,
  issueEnrolment,
  verifyDescriptor,
} from '../../src/keys/certificates.ts';
import { createKit } from '../../src/keys/kit.ts';
import type { Random } from '../../src/ports.ts';

/** Bytes that look random and are the same in every run: SHA-256 of the seed and a counter. */
export function seededRandom(seed: string): Random {
  let counter = 0;
  return {
    bytes(count) {
      const blocks: Uint8Array[] = [];
      for (let have = 0; have < count; have += 32) {
        blocks.push(sha256(utf8(seed), u64be(counter)));
        counter += 1;
      }
      return concat(...blocks).slice(0, count);
    },
  };
}

/** The instant at which the fixtures' certificates are issued: 2026-01-02T03:04:05.678Z. */
export const FIXTURE_TIME_MS = 1_767_323_045_678;

/** A vault with one collector. The same seed gives the same keys. */
export function fixtureVault(seed: string, options: { name?: string; blind?: boolean } = {}) {
  const random = seededRandom(seed);
  const vault = {
    name: options.name ?? 'Mass spec core',
    blind: options.blind ?? false,
    nowMs: FIXTURE_TIME_MS,
  };
  const kit: KitContents = createKit(vault, random);
  const descriptor = verifyDescriptor(kit.descriptor);
  const authority = signingKeyFromSeed(kit.authoritySeed);
  const collector = newSigningKey(random);
  const certify = (key: SigningKey, generation: number): Signed =>
    issueCollectorCertificate(authority, {
      version: 1,
      vaultId: descriptor.vaultId,
      collectorId: collectorIdOf(key.publicKey),
      signKey: key.publicKey,
      generation,
      issuedAtMs: FIXTURE_TIME_MS,
    });
  return {
    random,
    kit,
    descriptor,
    authority,
    collector,
    collectorCertificate: certify(collector, 1),
    certify,
  };
}

export type FixtureVault = ReturnType<typeof fixtureVault>;

/** An enrolled agent of a fixture vault, with all its keys. */
export function fixtureAgent(
  vault: FixtureVault,
  name: string,
  options: { selfRestore?: boolean } = {},
) {
  const { vaultId } = vault.descriptor;
  const random = seededRandom(`agent ${name} of ${hex(vaultId)}`);
  const agentId = random.bytes(16) as AgentId;
  const enrolmentKey = newSigningKey(random);
  const signKey = newSigningKey(random);
  const boxKey: BoxKey = newBoxKey(random);
  const enrolment = issueEnrolment(vault.authority, {
    version: 1,
    vaultId,
    agentId,
    lineageId: Uint8Array.from(agentId) as LineageId,
    replaces: undefined,
    name,
    enrolmentKey: enrolmentKey.publicKey,
    selfRestore: options.selfRestore ?? true,
    dedupEpoch: 1,
    issuedAtMs: FIXTURE_TIME_MS,
    expiresAtMs: FIXTURE_TIME_MS + 86_400_000,
  });
  const binding = issueBinding(enrolmentKey, {
    version: 1,
    vaultId,
    agentId,
    signKey: signKey.publicKey,
    boxKey: boxKey.publicKey,
  });
  return {
    agentId,
    enrolmentKey,
    signKey,
    boxKey,
    enrolment,
    binding,
    chainId: random.bytes(16) as ChainId,
  };
}
