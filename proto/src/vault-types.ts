import type { Settings } from './desk-types.ts';
import type {
  AgentId,
  CollectorId,
  GroupId,
  LineageId,
  Signed,
  TreeHead,
  VaultId,
} from './types.ts';

/*
 * Who belongs to a vault, and what proves it: descriptor, certificates, kit, operators' keys,
 * bundles, enrolment.
 */

/**
 * Parameters that decide ids, fixed for a vault until signed policy switches them for the whole
 * fleet.
 */
export interface VaultParameters {
  readonly chunkerVersion: number;
  readonly minChunkBytes: number;
  readonly averageChunkBytes: number;
  readonly maxChunkBytes: number;
  readonly encoderVersion: number;
}

export interface VaultDescriptorBody {
  readonly version: 1;
  readonly vaultId: VaultId;
  readonly name: string;
  readonly authorityKey: Uint8Array;
  readonly vaultKey: Uint8Array;
  readonly catalogKey: Uint8Array;
  readonly blind: boolean;
  readonly parameters: VaultParameters;
  readonly createdAtMs: number;
}

export interface CollectorCertificateBody {
  readonly version: 1;
  readonly vaultId: VaultId;
  readonly collectorId: CollectorId;
  readonly signKey: Uint8Array;
  /** Grows with each successor; an agent refuses a lower one than it has seen. */
  readonly generation: number;
  readonly issuedAtMs: number;
}

export interface EnrolmentCertificateBody {
  readonly version: 1;
  readonly vaultId: VaultId;
  readonly agentId: AgentId;
  readonly lineageId: LineageId;
  /** The agent whose history this one continues. */
  readonly replaces: AgentId | undefined;
  readonly name: string;
  /** Public half of the one-time enrolment key in the bundle. */
  readonly enrolmentKey: Uint8Array;
  readonly selfRestore: boolean;
  readonly dedupEpoch: number;
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
  /** The group in which the lineage began: its path key comes from that group's secret. */
  readonly lineageGroup?: GroupId | undefined;
}

/**
 * The authority's permission for several PCs. What a group's agent is follows from it and from the
 * agent's binding.
 */
export interface GroupCertificateBody {
  readonly version: 1;
  readonly vaultId: VaultId;
  readonly name: string;
  /** Public half of the key in the group's bundle: it signs the bindings of the group's agents. */
  readonly groupKey: Uint8Array;
  /** How many PCs may enrol. */
  readonly uses: number;
  /** Patterns of the names that they may have, in lower case; none: any name. */
  readonly names: readonly string[];
  /** Each PC waits until an operator takes it in. */
  readonly approve: boolean;
  readonly selfRestore: boolean;
  readonly dedupEpoch: number;
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
}

/**
 * Who takes the place of an agent, and the path key of its lineage for nobody but the pending PC.
 */
export interface ApprovedSuccessor {
  /** An enrolment certificate whose enrolment key is the pending PC's own signing key. */
  readonly enrolment: Signed;
  readonly ephemeralKey: Uint8Array;
  readonly pathKeyBox: Uint8Array;
}

/** The word that a pending PC is taken in: as itself, or in the place of another agent. */
export interface AgentApprovalBody {
  readonly version: 1;
  readonly vaultId: VaultId;
  readonly agentId: AgentId;
  readonly approvedAtMs: number;
  readonly successor: ApprovedSuccessor | undefined;
}

/** The word that an agent is one no more, whatever a collector has forgotten since. */
export interface AgentRevocationBody {
  readonly version: 1;
  readonly vaultId: VaultId;
  readonly agentId: AgentId;
  readonly revokedAtMs: number;
  /** For people: one line. */
  readonly reason: string;
}

/**
 * What makes a binding one of a group: the agent's name, and the proof that it has its signing key.
 */
export interface GroupMember {
  readonly name: string;
  /** Ed25519 by the agent's own key over this binding, with 64 zero bytes in this place. */
  readonly possession: Uint8Array;
}

/**
 * The agent's own keys, signed with the enrolment key. Enrolment certificate and binding together
 * are its certificate.
 */
export interface AgentBindingBody {
  readonly version: 1;
  readonly vaultId: VaultId;
  readonly agentId: AgentId;
  readonly signKey: Uint8Array;
  readonly boxKey: Uint8Array;
  /** There exactly in a group, where the group's key signs. */
  readonly member?: GroupMember | undefined;
}

export interface DedupSecret {
  readonly epoch: number;
  readonly secret: Uint8Array;
}

/** Everything in a recovery kit. All fields are secret except the obvious public ones. */
export interface KitContents {
  readonly version: 1;
  readonly descriptor: Signed;
  readonly authoritySeed: Uint8Array;
  readonly vaultSecretKey: Uint8Array;
  readonly catalogSecretKey: Uint8Array;
  readonly dedupSecrets: readonly DedupSecret[];
  /** From which every lineage's path key is derived. */
  readonly pathSecret: Uint8Array;
}

/** A kit, or an operator's key file, sealed under a passphrase, behind its text armour. */
export interface KitFile {
  readonly version: 1;
  readonly vaultName: string;
  readonly vaultId: VaultId;
  readonly scryptLogN: number;
  readonly scryptR: number;
  readonly scryptP: number;
  readonly salt: Uint8Array;
  readonly sealed: Uint8Array;
}

/**
 * What an operator key may sign: the settings of PCs, who may enrol, questions for diagnostics, and
 * whatever lets the collector throw something away.
 */
export type OperatorPurpose = 'settings' | 'agents' | 'diagnose' | 'retention';

/** What the authority says of a person's own keys. */
export interface OperatorCertificateBody {
  readonly version: 1;
  readonly vaultId: VaultId;
  /** Who, as lists and logs show it; the rules of an agent's name. */
  readonly name: string;
  readonly signKey: Uint8Array;
  /** X25519: what is sealed to this person. */
  readonly boxKey: Uint8Array;
  /** Each once, in the order of their numbers. */
  readonly purposes: readonly OperatorPurpose[];
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
}

/** Everything in an operator's key file. All fields are secret except the signed ones. */
export interface OperatorContents {
  readonly version: 1;
  readonly descriptor: Signed;
  readonly certificate: Signed;
  readonly signSeed: Uint8Array;
  readonly boxSecretKey: Uint8Array;
  /** Opens the vault's policy; there exactly with the purpose `settings`. */
  readonly policySecretKey: Uint8Array | undefined;
}

/** Where a collector is, and how a TLS server there proves to be the right one. */
export interface CollectorAddress {
  /** Base address, `https:`, or `http:` on the machine itself. */
  readonly url: string;
  /**
   * PEM of the certificate authorities to trust first; the system's decide where it is empty, or
   * does not fit.
   */
  readonly tlsCa: string;
  /**
   * SHA-256 of the public key infos of certificates that are believed without an authority:
   * self-signed ones.
   */
  readonly tlsPins: readonly Uint8Array[];
}

/** What the authority signs so that agents find their collector wherever it goes. */
export interface CollectorAddressesBody {
  readonly version: 1;
  readonly vaultId: VaultId;
  /** Rises with every set; an agent never goes back to a lower one. */
  readonly revision: number;
  /** In the order in which agents try them. */
  readonly addresses: readonly CollectorAddress[];
}

/**
 * A bundle is an address too: the one by which the operator reached the collector, or named for
 * this PC.
 */
export interface BundleContents extends CollectorAddress {
  readonly version: 1;
  readonly descriptor: Signed;
  readonly collectorCertificate: Signed;
  readonly enrolment: Signed;
  readonly enrolmentSeed: Uint8Array;
  readonly dedupSecrets: readonly DedupSecret[];
  /** There exactly in the bundle of one PC. */
  readonly pathKey: Uint8Array | undefined;
  /** A signed `CollectorAddressesBody`: those that the collector had when the bundle was made. */
  readonly addresses: Signed | undefined;
  /** What the PC is to do at first, in clear: the bundle is a secret. */
  readonly settings: Settings | undefined;
  /**
   * There exactly in a group's bundle, whose `enrolment` is a group certificate: each PC derives
   * its path key from it.
   */
  readonly groupSecret?: Uint8Array | undefined;
}

export interface EnrolRequest {
  readonly version: 1;
  /** An enrolment certificate, or that of a group. */
  readonly enrolment: Signed;
  readonly binding: Signed;
}

export interface EnrolAnswerBody {
  readonly version: 1;
  readonly vaultId: VaultId;
  readonly agentId: AgentId;
  /** SHA-256 of the binding's body: the keys that this enrolment now belongs to. */
  readonly bindingHash: Uint8Array;
  readonly enrolledAtMs: number;
  readonly head: TreeHead;
  /** The PC is known, and waits for an operator's approval. */
  readonly pending: boolean;
}

/**
 * The collector's signed answer to an enrolment, with the certificate that makes the signature mean
 * something.
 */
export interface EnrolAnswer {
  readonly answer: Signed;
  readonly collectorCertificate: Signed;
  /** A signed `AgentApprovalBody`, once there is one that names a successor. */
  readonly approval?: Signed | undefined;
}
