/**
 * The typed values behind every disk record and everything signed: ids, content and commits here;
 * who belongs to a vault in `vault-types.ts`, what its log says in `log-types.ts`, what people
 * order in `order-types.ts`, what the desk says in `desk-types.ts`, records and carried files in `record-types.ts`, versions in
 * `block-types.ts`, and what is said in a session in `session-types.ts`.
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
/** 16 random bytes for each hold. */
export type HoldId = Branded<Uint8Array, 'HoldId'>;
/** 16 random bytes for each purge. */
export type PurgeId = Branded<Uint8Array, 'PurgeId'>;
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
   * Which piece of a slab it is, counted from 1; 0 when the references name chunks or pages. A
   * piece has depth 0 and one reference: the slab's id and epoch, and the piece's own plaintext
   * size.
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
  /**
   * The key of the slab that it is a piece of: in the first of its pieces, where all wait together.
   */
  readonly slabKey?: Uint8Array | undefined;
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
  /** Labelled SHA-256 over the commit's summary: proves which files it is about, and which not. */
  readonly summaryHash: Uint8Array;
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

/** What a block was that no commit holds any more, because every row of it was dropped. */
export interface GoneBlock {
  /** The hash over its clear rows, which the commit's header covers. */
  readonly rowsHash: Uint8Array;
}

/** A block as a commit holds it. */
export interface CommitBlock {
  /** The encoded `VersionBlock`; empty, as the boxes are, where the block is gone. */
  readonly block: Uint8Array;
  /** Merkle root over its rows' leaves. */
  readonly root: Uint8Array;
  /** The block's list and read key, sealed under the commit's. */
  readonly listBox: Uint8Array;
  readonly readBox: Uint8Array;
  /**
   * Where rows were purged, or the block is gone: the digest by which the commit's signature covers
   * what it was before.
   */
  readonly formerDigest: Uint8Array | undefined;
  /** Beside it: the marks of all rows that it had, which the signature covers as well. */
  readonly formerMarks?: Uint8Array | undefined;
  /** Where nothing of it is left. */
  readonly gone?: GoneBlock | undefined;
}

/**
 * A commit as it is sent and stored, verbatim. `headerOnly` commits were purged whole, or are lost
 * whole, and carry no blocks.
 */
export interface SignedCommit {
  readonly header: Uint8Array;
  readonly signature: Uint8Array;
  readonly blocks: readonly CommitBlock[];
  readonly wraps: readonly Wrap[];
  readonly headerOnly: boolean;
  /** Rows whose content is lost, by their number in the commit: they are no versions. */
  readonly lacking: readonly number[];
  /**
   * The agent's own word for that: its signature over the commit's hash and `lacking`. Of a commit
   * that is `headerOnly` it says that all of it is lost; without it, all was purged.
   */
  readonly lossSignature: Uint8Array | undefined;
}

/** A signed statement: the exact body bytes and an Ed25519 signature over `label ‖ body`. */
export interface Signed {
  readonly body: Uint8Array;
  readonly signature: Uint8Array;
}
