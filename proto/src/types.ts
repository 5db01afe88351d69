/**
 * The typed values behind every disk record and everything signed; `session-types.ts` has what is
 * said in a session.
 *
 * The door (`decode*`) is the only place where untrusted bytes become these types; everything
 * behind it may rely on the lengths, ranges and counts stated here. Byte strings are `Uint8Array`;
 * times in milliseconds since 1970 are `number`; 64-bit counters are `number` and proved to be safe
 * integers; file times are `bigint` nanoseconds.
 */

declare const brand: unique symbol;
type Branded<Base, Name extends string> = Base & { readonly [brand]: Name };

/** SHA-256 of the sealed bytes of a chunk or page, or of a slab's directory (32 bytes). */
export type ChunkId = Branded<Uint8Array, 'ChunkId'>;
/** SHA-256 over a commit's header (32 bytes); excludes the signature. */
export type CommitHash = Branded<Uint8Array, 'CommitHash'>;
/**
 * First 16 bytes of a labelled SHA-256 of the vault's authority key, so that an id cannot be
 * claimed by another key.
 */
export type VaultId = Branded<Uint8Array, 'VaultId'>;
/** 16 random bytes, chosen when the enrolment is issued. */
export type AgentId = Branded<Uint8Array, 'AgentId'>;
/**
 * The id of the first agent in a line of replacements (16 bytes): history, path key and chunk set
 * belong to the lineage.
 */
export type LineageId = Branded<Uint8Array, 'LineageId'>;
export type GroupId = Branded<Uint8Array, 'GroupId'>;
/** 16 random bytes for each installation of an agent. */
export type ChainId = Branded<Uint8Array, 'ChainId'>;
/** First 16 bytes of a labelled SHA-256 of the collector's signing key. */
export type CollectorId = Branded<Uint8Array, 'CollectorId'>;
/** HMAC of the exact path bytes under the lineage's path key, its first 16 bytes. */
export type FileId = Branded<Uint8Array, 'FileId'>;
/** HMAC of a source's root path under the lineage's path key (16 bytes). */
export type SourceId = Branded<Uint8Array, 'SourceId'>;
/** HMAC of the root path of a result under the lineage's path key (16 bytes). */
export type ResultId = Branded<Uint8Array, 'ResultId'>;

/**
 * A reference to one chunk or one piece of a slab (in content of depth 0), or one page (in deeper
 * content).
 */
export interface Ref {
  readonly id: ChunkId;
  /** Bytes of plaintext that the chunk, the piece, or everything below the page stands for. */
  readonly plainSize: number;
  /** The dedup-secret epoch whose subkeys sealed it. */
  readonly epoch: number;
}

/** A run of references: `refs` name chunks when `depth` is 0, else pages of depth `depth - 1`. */
export interface References {
  readonly depth: number;
  readonly refs: readonly Ref[];
}

/** What a version consists of. */
export interface Content extends References {
  /**
   * Which piece of a slab it is, counted from 1; 0 when the references name chunks or pages. A piece
   * has depth 0 and one reference: the slab's id and epoch, and the piece's own plaintext size.
   */
  readonly piece: number;
}

/** A page before its keys are opened: the clear references and the sealed run of their keys. */
export interface Page {
  readonly content: References;
  /** AES-256-GCM of `refs.length * 32` key bytes, tag last. */
  readonly sealedKeys: Uint8Array;
  /** The exact bytes that `sealedKeys` authenticates (everything before it). */
  readonly clear: Uint8Array;
}

/** One piece of a slab: a small file, sealed. */
export interface SlabPiece {
  /** Its sealed bytes, also where they are not here. */
  readonly length: number;
  /** SHA-256 of its sealed bytes (32 bytes): proves them without a key. */
  readonly hash: Uint8Array;
  /** Undefined in a hole: the slab is here without this piece. */
  readonly sealed: Uint8Array | undefined;
}

/** A slab taken apart; `pieceOf` gives its pieces. */
export interface Slab {
  /** What its id is the SHA-256 of: the same whichever pieces are here. */
  readonly directory: Uint8Array;
  /** 1 to 256. */
  readonly count: number;
  /** Where each piece begins in `bytes`; -1 for one that is not here. */
  readonly places: Int32Array;
  readonly bytes: Uint8Array;
}

export type StoredKind = 'chunk' | 'page' | 'slab';

export type EntryKind = 'file' | 'directory' | 'symlink' | 'gone';
/**
 * How sure the agent was that the instrument had finished: by the profile's proof, or only by quiet
 * time.
 */
/**
 * `growing`: captured by what was appended to the version before; the whole file was not read, so
 * nothing compared it as a whole.
 */
export type Completion = 'assumed' | 'proven' | 'growing';
export type Platform = 'posix' | 'windows';

/** What stands in clear of one version of a file, folder or link: a row of a version block. */
export interface Entry {
  readonly kind: EntryKind;
  readonly sourceId: SourceId;
  /** Policy class, clear text, 1 to 64 of `[a-z0-9-]`. */
  readonly class: string;
  readonly fileId: FileId;
  /** Plaintext bytes; 0 unless `kind` is file. */
  readonly size: number;
  readonly capturedAtMs: number;
  readonly completion: Completion;
  readonly content: Content;
  /** The result that it belongs to; undefined when it belongs to none. */
  readonly resultId: ResultId | undefined;
}

/** Names and times: opened with the catalog key. */
export interface ListPart {
  readonly platform: Platform;
  /** The absolute path exactly as the file system gave it (POSIX: raw bytes; Windows: UTF-8). */
  readonly path: Uint8Array;
  /**
   * How many leading bytes of `path` name the result that this file belongs to; 0 when the file is
   * itself the result.
   */
  readonly resultPathLength: number;
  readonly mtimeNs: bigint;
  /** POSIX permission bits (0 to 0o7777); 0 on Windows. */
  readonly mode: number;
  /** Windows file attributes; 0 elsewhere. */
  readonly attributes: number;
  /** Target of a symbolic link; empty otherwise. */
  readonly linkTarget: Uint8Array;
}

/**
 * What opens and proves a file: opened with the vault key (or the agent's own, under self-restore).
 */
export interface ReadPart {
  /** SHA-256 of the whole file; empty exactly in a version that is `growing`. */
  readonly sha256: Uint8Array;
  /** One 32-byte key for each ref of the entry's content, in order. */
  readonly keys: readonly Uint8Array[];
}

/**
 * A version as captured, before a commit's keys exist. Lives only in the agent's unsent queue,
 * sealed under a batch key.
 */
export interface EntryDraft extends Entry {
  readonly list: ListPart;
  /** Present exactly when `kind` is file. */
  readonly read: ReadPart | undefined;
}

/**
 * A point in the log's history: the Merkle root over the first `size` leaves of log epoch
 * `logEpoch`.
 */
export interface TreeHead {
  readonly logEpoch: number;
  readonly size: number;
  readonly root: Uint8Array;
}

export interface ChainPoint {
  readonly chainId: ChainId;
  readonly sequence: number;
  readonly hash: CommitHash;
}

export interface CommitHeader {
  readonly version: 1;
  readonly vaultId: VaultId;
  readonly agentId: AgentId;
  readonly chainId: ChainId;
  /** 1 for the first commit of a chain. */
  readonly sequence: number;
  /** Hash of the previous commit of the chain; 32 zero bytes for the first. */
  readonly predecessor: CommitHash;
  /** The agent's clock when the commit was signed. */
  readonly agentTimeMs: number;
  /** The newest tree head that the agent has verified; absent before its first receipt. */
  readonly treeHead: TreeHead | undefined;
  readonly entryCount: number;
  /** RFC 6962 Merkle root over the blocks' roots: for whoever opens rows, and for grants. */
  readonly entriesRoot: Uint8Array;
  /** Labelled SHA-256 over the blocks' rows hashes: proves clear rows without a key. */
  readonly rowsHash: Uint8Array;
  /** Labelled SHA-256 over the blocks' digests: covers every byte of them. */
  readonly blocksHash: Uint8Array;
  /** Labelled SHA-256 over the wraps that the commit was made with. */
  readonly wrapsHash: Uint8Array;
  readonly chunkerVersion: number;
  readonly encoderVersion: number;
  /**
   * Set on the first commit under a new chain id that goes on from another chain. With a commit of
   * its own before it (sequence above 1) it names exactly that commit: `forkedFrom.hash` is the
   * predecessor, and the sequence goes on. With sequence 1 the installation had signed nothing yet,
   * and it names the head that the collector gave.
   */
  readonly forkedFrom: ChainPoint | undefined;
}

export type WrapRecipient = 'vault' | 'catalog' | 'agent' | 'grant';
export type WrapPurpose = 'list' | 'read';

/** A commit's list or read key, sealed to one recipient by a forgotten ephemeral key. */
export interface Wrap {
  readonly version: 1;
  readonly recipient: WrapRecipient;
  readonly purpose: WrapPurpose;
  /** X25519 public key of the recipient. */
  readonly recipientKey: Uint8Array;
  readonly ephemeralKey: Uint8Array;
  /** 48 bytes: the 32-byte key and its authenticator. */
  readonly box: Uint8Array;
}

/** A block as a commit holds it. */
export interface CommitBlock {
  /** The encoded `VersionBlock`. */
  readonly block: Uint8Array;
  /** Merkle root over its rows' leaves. */
  readonly root: Uint8Array;
  /** The block's list and read key, sealed under the commit's. */
  readonly listBox: Uint8Array;
  readonly readBox: Uint8Array;
  /** Where rows were purged: the digest by which the commit's signature covers what it was before. */
  readonly formerDigest: Uint8Array | undefined;
}

/**
 * A commit as it is sent and stored, verbatim. `headerOnly` commits were purged whole and carry no
 * blocks.
 */
export interface SignedCommit {
  readonly header: Uint8Array;
  readonly signature: Uint8Array;
  readonly blocks: readonly CommitBlock[];
  readonly wraps: readonly Wrap[];
  readonly headerOnly: boolean;
  /** Rows whose content nobody has any more, by their number in the commit: they are no versions. */
  readonly lacking: readonly number[];
}

/** A signed statement: the exact body bytes and an Ed25519 signature over `label ‖ body`. */
export interface Signed {
  readonly body: Uint8Array;
  readonly signature: Uint8Array;
}

/** How many paths of an agent have one kind of problem. */
export interface ProblemCount {
  /**
   * Lower-case words with dashes, as `aliquot-agent status --json` gives them. A reader may meet
   * codes that it does not know.
   */
  readonly code: string;
  readonly count: number;
  /** Since when the oldest of them stands, by the agent's clock. */
  readonly sinceMs: number;
}

/**
 * An agent's word at the end of a scan, a backup or a flush: what it knows, and what is not safe.
 */
export interface HeartbeatBody {
  readonly version: 1;
  readonly vaultId: VaultId;
  readonly agentId: AgentId;
  readonly chainId: ChainId;
  readonly timeMs: number;
  readonly files: number;
  readonly bytes: number;
  readonly queuedEntries: number;
  /** Paths that could not be captured, each with a named problem. */
  readonly unprotected: number;
  readonly chainHead: ChainPoint | undefined;
  readonly treeHead: TreeHead | undefined;
  /** Results that were seen and are not in the queue yet. */
  readonly pending: number;
  /**
   * Results that have not come to rest within their limit: captured as they were, and not whole.
   */
  readonly unsettled: number;
  /** Every named problem by its code, in the order of the codes. */
  readonly problems: readonly ProblemCount[];
}

export interface ReceiptBody {
  readonly version: 1;
  readonly vaultId: VaultId;
  readonly collectorId: CollectorId;
  readonly agentId: AgentId;
  readonly chainId: ChainId;
  readonly sequence: number;
  readonly commitHash: CommitHash;
  /** The collector's clock: locks and the upper clamp of version times count from here. */
  readonly receivedAtMs: number;
  readonly leafIndex: number;
  /** The head just after this leaf: `head.size === leafIndex + 1`. */
  readonly head: TreeHead;
  /** Durable copies at the time of signing. */
  readonly copies: number;
}

export interface TreeHeadBody {
  readonly version: 1;
  readonly vaultId: VaultId;
  readonly collectorId: CollectorId;
  readonly timeMs: number;
  readonly head: TreeHead;
}

export type LeafType = 'commit' | 'event';

/** One leaf of the log: `subject` is a commit hash, or the SHA-256 of an event's bytes. */
export interface LogLeaf {
  readonly version: 1;
  readonly type: LeafType;
  readonly timeMs: number;
  readonly subject: Uint8Array;
}

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

/**
 * The authority's word that a log lost its tail and goes on: the first leaf of log epoch
 * `logEpoch`.
 */
export interface EpochOpeningBody {
  readonly version: 1;
  readonly vaultId: VaultId;
  /** The new log epoch. */
  readonly logEpoch: number;
  /** What the collector still has; the opening becomes leaf `base.size`. */
  readonly base: TreeHead;
  /** Heads that the collector had signed and lost, newest first. */
  readonly lost: readonly TreeHead[];
  readonly approvedAtMs: number;
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

/** What an operator key may sign: the settings of PCs, who may enrol, questions for diagnostics. */
export type OperatorPurpose = 'settings' | 'agents' | 'diagnose';

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

/** An operator's question for one agent's diagnosis; signed by a key with purpose `diagnose`. */
export interface DiagnosisRequestBody {
  readonly version: 1;
  readonly vaultId: VaultId;
  readonly agentId: AgentId;
  /** Random, 16 bytes. */
  readonly askId: Uint8Array;
  readonly askedAtMs: number;
}

/** The policy of a vault as it was set: what it says is sealed to the policy key, beside this. */
export interface PolicyBody {
  readonly version: 1;
  readonly vaultId: VaultId;
  /** From 1, rising with every set. */
  readonly revision: number;
  readonly setAtMs: number;
  /** SHA-256 of the sealed text. */
  readonly sealedHash: Uint8Array;
}

/** The settings of one PC, signed by the authority or an operator. Only that PC opens them. */
export interface SettingsBody {
  readonly version: 1;
  readonly vaultId: VaultId;
  /** Absent only in the bundle of a group. */
  readonly agentId: AgentId | undefined;
  /** The revision of the policy that they were made from. */
  readonly sequence: number;
  readonly issuedAtMs: number;
  /** A PC that meets them later does not take them; those in force stay. */
  readonly expiresAtMs: number;
  /** Names of the groups that the PC is in, in their order. */
  readonly groups: readonly string[];
  /** With `sealed`: X25519, forgotten by who made them. */
  readonly ephemeralKey: Uint8Array | undefined;
  /** Encoded `SettingsContents`, sealed to the PC's box key. */
  readonly sealed: Uint8Array | undefined;
  /**
   * The same in clear: only in a bundle, which is a secret itself, and made before the PC has keys.
   */
  readonly contents: Uint8Array | undefined;
}

/** The settings of a PC. */
export interface SettingsContents {
  readonly version: 1;
  /** YAML, as in `agent.yaml`, with what only the desk says. */
  readonly text: string;
  /** X25519 public: what the PC answers is sealed to it. */
  readonly answerKey: Uint8Array;
}

/** Why a PC refuses settings, in the words that `agent.yaml` gets; sealed to the policy key. */
export interface SettingsDetail {
  readonly version: 1;
  /** Lines: each with the line of the settings that it is about, and what is accepted. */
  readonly text: string;
}

/**
 * Settings as they travel and rest: the signed body, and the certificate of the operator who
 * signed; the authority needs none.
 */
export interface Settings {
  readonly settings: Signed;
  readonly certificate: Signed | undefined;
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

/**
 * What an operator says of a history that is held apart: another PC with the same identity, or the
 * same PC put back.
 */
export type ForkDecision = 'clone' | 'restored';

/** What the audit log records; each is one leaf. */
export type EventBody =
  | {
      readonly type: 'vaultAdded';
      readonly timeMs: number;
      readonly descriptor: Signed;
      readonly collectorCertificate: Signed;
    }
  | { readonly type: 'agentExpected'; readonly timeMs: number; readonly enrolment: Signed }
  | {
      readonly type: 'agentEnrolled';
      readonly timeMs: number;
      readonly enrolment: Signed;
      readonly binding: Signed;
    }
  | {
      readonly type: 'agentRevoked';
      readonly timeMs: number;
      readonly agentId: AgentId;
      readonly reason: string;
    }
  | {
      readonly type: 'headReported';
      readonly timeMs: number;
      readonly agentId: AgentId;
      readonly head: Signed;
      readonly collectorCertificate: Signed;
    }
  | { readonly type: 'epochOpened'; readonly timeMs: number; readonly opening: Signed }
  /** `at` is the commit that opens the branch held apart. */
  | {
      readonly type: 'chainForked';
      readonly timeMs: number;
      readonly agentId: AgentId;
      readonly at: ChainPoint;
    }
  | { readonly type: 'gcEpochAnnounced'; readonly timeMs: number; readonly gcEpoch: number }
  | {
      readonly type: 'forkDecided';
      readonly timeMs: number;
      readonly agentId: AgentId;
      readonly branchId: LineageId;
      readonly decision: ForkDecision;
      /** The clone's own name; empty when restored. */
      readonly name: string;
    }
  /**
   * An operator has seen what is wrong with an agent and cannot be mended: versions that are lost,
   * clones.
   */
  | { readonly type: 'problemsAcknowledged'; readonly timeMs: number; readonly agentId: AgentId }
  /** The authority has said where the collector is (`CollectorAddressesBody`). */
  | { readonly type: 'addressesSet'; readonly timeMs: number; readonly addresses: Signed }
  /**
   * An operator says of files that a replaced agent had, and its successor has not found, that they
   * are gone.
   */
  | {
      readonly type: 'filesGone';
      readonly timeMs: number;
      readonly agentId: AgentId;
      readonly fileIds: readonly FileId[];
    }
  /** The policy was set (`PolicyBody`), with its sealed text. */
  | {
      readonly type: 'policySet';
      readonly timeMs: number;
      readonly policy: Signed;
      readonly certificate: Signed | undefined;
      readonly sealed: Uint8Array;
    }
  /** A PC has new settings (`SettingsBody`); `waits`: it gets them when they are promoted. */
  | {
      readonly type: 'settingsSet';
      readonly timeMs: number;
      readonly settings: Signed;
      readonly certificate: Signed | undefined;
      readonly waits: boolean;
    }
  /**
   * What waited is handed out, up to `sequence`: by an operator, or `automatic` after a day without
   * a new problem.
   */
  | {
      readonly type: 'settingsPromoted';
      readonly timeMs: number;
      readonly sequence: number;
      readonly automatic: boolean;
    }
  /**
   * An operator gave the collector a release to hand out; `targetsHash` is the SHA-256 of the
   * vendor's list that came with it.
   */
  | {
      readonly type: 'releaseAdded';
      readonly timeMs: number;
      readonly version: string;
      readonly targetsHash: Uint8Array;
    }
  /** An operator asked an agent how it is; recorded before it is asked. */
  | {
      readonly type: 'diagnosisAsked';
      readonly timeMs: number;
      readonly request: Signed;
      readonly certificate: Signed;
    }
  | { readonly type: 'releaseRemoved'; readonly timeMs: number; readonly version: string }
  | { readonly type: 'groupAdded'; readonly timeMs: number; readonly group: Signed }
  | { readonly type: 'groupEnded'; readonly timeMs: number; readonly groupId: GroupId }
  /** A PC of a group that waits for approval; `enrolment` is the group's certificate. */
  | {
      readonly type: 'agentPending';
      readonly timeMs: number;
      readonly enrolment: Signed;
      readonly binding: Signed;
    }
  | {
      readonly type: 'agentApproved';
      readonly timeMs: number;
      readonly approval: Signed;
      readonly operator: Signed | undefined;
    };

// ---- records at rest
// ---------------------------------------------------------------------------------------------

/**
 * An accepted commit in the collector's journal: bytes as received, its leaf of the log, and the
 * receipt that was sent.
 */
export interface StoredCommit {
  readonly commit: Uint8Array;
  readonly leaf: Uint8Array;
  readonly receipt: Signed;
}

/** An audit event in the collector's journal with its leaf of the log. */
export interface StoredEvent {
  readonly event: Uint8Array;
  readonly leaf: Uint8Array;
}

/**
 * Who uploaded which chunks since the previous such record: makes upload ownership survive a
 * restart and a rebuild.
 */
export interface StoredUploads {
  readonly lineageId: LineageId;
  readonly ids: readonly ChunkId[];
}

/**
 * Pages of which everything below was found in their lineage's set, and what they say of chunks
 * that no commit had referred to before: so that nobody has to read a page to replay a history.
 */
export interface StoredReferences {
  readonly lineageId: LineageId;
  readonly pages: readonly ChunkId[];
  readonly chunks: readonly ChunkId[];
  /** Plaintext bytes of each of the chunks. */
  readonly plainSizes: readonly number[];
}

/**
 * One commit in the answer to an operator's question for an agent's state: enough to verify it
 * without asking again.
 */
export interface StateRecord {
  readonly enrolment: Signed;
  readonly binding: Signed;
  readonly commit: Uint8Array;
  readonly receipt: Signed;
  /** Slots of interest (live at the asked time, or versions of the asked file). */
  readonly live: readonly number[];
  /** The version time of each slot in `live`, in the same order. */
  readonly versionTimesMs: readonly number[];
}

// ---- carried by hand
// ---------------------------------------------------------------------------------------------

/** `queue`: from an agent to its collector. `receipts`: the answer. */
export type CarriedKind = 'queue' | 'receipts';

/** The last bytes of a carried file: SHA-256 of all before, and the sender's signature over it. */
export interface CarriedTrailer {
  readonly digest: Uint8Array;
  readonly signature: Uint8Array;
}

/** A carried file as a whole. */
export interface CarriedFile {
  readonly kind: CarriedKind;
  /** Encoded frames (header and body). */
  readonly frames: readonly Uint8Array[];
  readonly trailer: CarriedTrailer;
}
