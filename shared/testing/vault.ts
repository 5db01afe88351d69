import {
  type AgentId,
  asAgentId,
  asChainId,
  asFileId,
  asLineageId,
  asSourceId,
  type CollectorCertificateBody,
  type EntryDraft,
  type VaultDescriptorBody,
  type VaultParameters,
} from '@aliquot/proto';
import { type BoxKey, newBoxKey } from '../src/crypto/box.ts';
import { newSigningKey, type SigningKey } from '../src/crypto/sign.ts';
import { type AgentCertificate, collectorIdOf, vaultIdOf } from '../src/keys/certificates.ts';
import { type VaultKeys, vaultKeysFrom } from '../src/keys/derive.ts';
import { noise, repeatableRandom } from './bytes.ts';

export const smallParameters: VaultParameters = {
  chunkerVersion: 1,
  minChunkBytes: 64,
  averageChunkBytes: 256,
  maxChunkBytes: 1024,
  encoderVersion: 1,
};

/** One vault with all its secrets; the same for the same name on every machine. */
export interface TestVault {
  readonly authority: SigningKey;
  readonly vaultKey: BoxKey;
  readonly catalogKey: BoxKey;
  readonly descriptor: VaultDescriptorBody;
  readonly keys: VaultKeys;
  readonly collectorKey: SigningKey;
  readonly collector: CollectorCertificateBody;
}

export function testVault(name: string, epochs = 1): TestVault {
  const random = repeatableRandom(`vault ${name}`);
  const authority = newSigningKey(random);
  const vaultKey = newBoxKey(random);
  const catalogKey = newBoxKey(random);
  const collectorKey = newSigningKey(random);
  const vaultId = vaultIdOf(authority.publicKey);
  const descriptor: VaultDescriptorBody = {
    version: 1,
    vaultId,
    name,
    authorityKey: authority.publicKey,
    vaultKey: vaultKey.publicKey,
    catalogKey: catalogKey.publicKey,
    blind: false,
    parameters: smallParameters,
    createdAtMs: 1_700_000_000_000,
  };
  const secrets = Array.from({ length: epochs }, (_, index) => ({
    epoch: index + 1,
    secret: noise(`${name} dedup ${index}`, 32),
  }));
  const collector: CollectorCertificateBody = {
    version: 1,
    vaultId,
    collectorId: collectorIdOf(collectorKey.publicKey),
    signKey: collectorKey.publicKey,
    generation: 1,
    issuedAtMs: 1_700_000_000_000,
  };
  return {
    authority,
    vaultKey,
    catalogKey,
    descriptor,
    keys: vaultKeysFrom(secrets, descriptor),
    collectorKey,
    collector,
  };
}

/** One enrolled agent with its secrets. */
export interface TestAgent {
  readonly signKey: SigningKey;
  readonly boxKey: BoxKey;
  readonly certificate: AgentCertificate;
}

export function testAgent(vault: TestVault, name: string): TestAgent {
  const random = repeatableRandom(`agent ${name}`);
  const { vaultId } = vault.descriptor;
  const agentId: AgentId = asAgentId(random.bytes(16));
  const signKey = newSigningKey(random);
  const boxKey = newBoxKey(random);
  return {
    signKey,
    boxKey,
    certificate: {
      enrolment: {
        version: 1,
        vaultId,
        agentId,
        lineageId: asLineageId(agentId),
        replaces: undefined,
        name,
        enrolmentKey: newSigningKey(random).publicKey,
        selfRestore: true,
        dedupEpoch: 1,
        issuedAtMs: 1_700_000_000_000,
        expiresAtMs: 1_700_100_000_000,
      },
      binding: {
        version: 1,
        vaultId,
        agentId,
        signKey: signKey.publicKey,
        boxKey: boxKey.publicKey,
      },
    },
  };
}

export const CHAIN = asChainId(noise('chain', 16));

/** A draft of one small file with one chunk. */
export function fileDraft(path: string, change: Partial<EntryDraft> = {}): EntryDraft {
  return {
    kind: 'file',
    sourceId: asSourceId(noise('source', 16)),
    class: 'default',
    fileId: asFileId(noise(`file ${path}`, 16)),
    size: 100,
    capturedAtMs: 1_700_000_001_000,
    completion: 'assumed',
    resultId: undefined,
    content: {
      depth: 0,
      piece: 0,
      refs: [{ id: noise(`chunk of ${path}`, 32) as never, plainSize: 100, epoch: 1 }],
    },
    list: {
      platform: 'posix',
      path: new TextEncoder().encode(path),
      resultPathLength: 0,
      mtimeNs: 1_700_000_000_123_456_789n,
      mode: 0o644,
      attributes: 0,
      linkTarget: new Uint8Array(0),
    },
    read: { sha256: noise(`sha256 of ${path}`, 32), keys: [noise(`key of ${path}`, 32)] },
    ...change,
  };
}
