import type {
  ChainId,
  CollectorAddress,
  CollectorCertificateBody,
  EnrolmentCertificateBody,
  Signed,
  VaultDescriptorBody,
} from '@aliquot/proto';
import type { CommitRecipient } from '@aliquot/shared/commit/commit';
import type { BoxKey } from '@aliquot/shared/crypto/box';
import type { SigningKey } from '@aliquot/shared/crypto/sign';
import type { AgentCertificate } from '@aliquot/shared/keys/certificates';
import type { VaultKeys } from '@aliquot/shared/keys/derive';

/**
 * An enrolled agent: everything that capture, queue and uplink need, verified when loaded. Holds
 * secrets.
 */
export interface AgentIdentity {
  /** The address of the bundle; the ones that count before it are in the `AddressBook`. */
  readonly server: CollectorAddress;
  readonly descriptor: VaultDescriptorBody;
  readonly certificate: AgentCertificate;
  readonly enrolment: Signed;
  readonly binding: Signed;
  /** The collector certificate of the bundle: the lowest generation to believe. */
  readonly collector: CollectorCertificateBody;
  readonly signKey: SigningKey;
  readonly boxKey: BoxKey;
  /** Random for each enrolment. */
  readonly chainId: ChainId;
  /**
   * The chain of the agent that this one took the folder over from, with its queue; undefined where
   * it began in an empty folder.
   */
  readonly takesOver: ChainId | undefined;
  readonly keys: VaultKeys;
  readonly pathKey: Uint8Array;
  /** 32 random bytes of this installation, for the chunk cache. */
  readonly cacheSecret: Uint8Array;
}

/** Shorthand that most callers want. */
export function enrolmentOf(identity: AgentIdentity): EnrolmentCertificateBody {
  return identity.certificate.enrolment;
}

/**
 * Who can open this agent's commits: the vault and the catalog always, the agent itself only under
 * self-restore.
 */
export function recipientsOf(identity: AgentIdentity): readonly CommitRecipient[] {
  const recipients: CommitRecipient[] = [
    { recipient: 'vault', key: identity.descriptor.vaultKey },
    { recipient: 'catalog', key: identity.descriptor.catalogKey },
  ];
  if (enrolmentOf(identity).selfRestore)
    recipients.push({ recipient: 'agent', key: identity.boxKey.publicKey });
  return recipients;
}
