import type { ChainId, CollectorCertificateBody, EnrolmentCertificateBody, Signed, VaultDescriptorBody } from '@aliquot/proto';
import type { CommitRecipient } from '@aliquot/shared/commit/commit';
import type { BoxKey } from '@aliquot/shared/crypto/box';
import type { SigningKey } from '@aliquot/shared/crypto/sign';
import type { AgentCertificate } from '@aliquot/shared/keys/certificates';
import type { VaultKeys } from '@aliquot/shared/keys/derive';

/** How the agent proves that a server is the right one before it says anything. */
export interface ServerTrust {
  /** The collector's base address, `http:` or `https:`. */
  readonly url: string;
  /** PEM of the only certificate authority to trust; empty when pin or system store decide. */
  readonly tlsCa: string;
  /** SHA-256 of the server's public key info; empty when none is pinned. */
  readonly tlsPinSha256: Uint8Array;
}

/** An enrolled agent: everything that capture, queue and uplink need, verified when loaded. Holds secrets. */
export interface AgentIdentity {
  readonly server: ServerTrust;
  readonly descriptor: VaultDescriptorBody;
  readonly certificate: AgentCertificate;
  readonly enrolment: Signed;
  readonly binding: Signed;
  /** The collector certificate of the bundle: the lowest generation to believe. */
  readonly collector: CollectorCertificateBody;
  readonly signKey: SigningKey;
  readonly boxKey: BoxKey;
  /** Random for each installation. */
  readonly chainId: ChainId;
  readonly keys: VaultKeys;
  readonly pathKey: Uint8Array;
  /** 32 random bytes of this installation, for the chunk cache. */
  readonly cacheSecret: Uint8Array;
}

/** Shorthand that most callers want. */
export function enrolmentOf(identity: AgentIdentity): EnrolmentCertificateBody {
  return identity.certificate.enrolment;
}

/** Who can open this agent's commits: the vault and the catalog always, the agent itself only under self-restore. */
export function recipientsOf(identity: AgentIdentity): readonly CommitRecipient[] {
  const recipients: CommitRecipient[] = [
    { recipient: 'vault', key: identity.descriptor.vaultKey },
    { recipient: 'catalog', key: identity.descriptor.catalogKey },
  ];
  if (enrolmentOf(identity).selfRestore) recipients.push({ recipient: 'agent', key: identity.boxKey.publicKey });
  return recipients;
}
