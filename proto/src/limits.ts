/**
 * Every limit of the formats, with its reason. The door applies them before anything else sees a
 * value; a hostile peer can therefore make a reader hold at most a small multiple of the byte limit
 * of the message that it is reading.
 */

const KIB = 1024;
const MIB = 1024 * KIB;

/** SHA-256, X25519 and Ed25519 keys, seeds, secrets and Merkle nodes: all of them are 32 bytes. */
export const HASH_BYTES = 32;
/**
 * Vault, agent, lineage, chain, collector and source ids: 128 bits are unguessable and never
 * collide by chance.
 */
export const ID_BYTES = 16;
/** An Ed25519 signature (RFC 8032). */
export const SIGNATURE_BYTES = 64;
/** A wrapped 32-byte key: the key and the 16-byte authenticator of NaCl's box. */
export const WRAP_BOX_BYTES = 48;
/** The authentication tag of AES-256-GCM. */
export const TAG_BYTES = 16;

/**
 * The largest plaintext chunk that vault parameters may ask for: bounds the memory of every sealing
 * and opening.
 */
export const MAX_CHUNK_PLAIN_BYTES = 4 * MIB;
/**
 * A window of less gives more metadata than data; it is this low so that tests can cut small
 * samples.
 */
export const MIN_CHUNK_PLAIN_BYTES = 64;
/**
 * A sealed chunk: the largest plaintext, its codec byte, the tag, and room for padding headers of
 * later versions.
 */
export const MAX_SEALED_CHUNK_BYTES = MAX_CHUNK_PLAIN_BYTES + KIB;

/**
 * References in one page: a whole page of references is 76 KiB, small beside the chunks that it
 * names.
 */
export const MAX_PAGE_REFS = 1024;
/** Pages over pages: four levels of 1,024 references of 1 MiB are more than an exabyte. */
export const MAX_PAGE_DEPTH = 4;
/** Upper bound of a page's bytes; `MAX_PAGE_REFS` keeps every real page below it. */
export const MAX_PAGE_BYTES = 128 * KIB;
/**
 * References that stand in the entry itself; more go into pages. Builders start pages earlier, at
 * 32.
 */
export const MAX_INLINE_REFS = 64;

/**
 * A file up to this size that does not grow is a piece of a slab: above it, a chunk of its own
 * costs little beside its bytes.
 */
export const MAX_PIECE_PLAIN_BYTES = 64 * KIB;
/** A sealed piece: the largest plaintext, its codec byte, and room for headers of filters. */
export const MAX_PIECE_BYTES = MAX_PIECE_PLAIN_BYTES + KIB;
/** Pieces of one slab: its directory is 9 KiB then, which whoever wants one piece reads too. */
export const MAX_SLAB_PIECES = 256;
/** Upper bound of a slab's bytes, twice what a builder makes. */
export const MAX_SLAB_BYTES = 512 * KIB;

/**
 * A path in bytes: Windows allows 32,767 UTF-16 units, Linux 4,096 bytes, and no path in a lab
 * comes near either.
 */
export const MAX_PATH_BYTES = 32 * KIB;
/** A captured version in the queue: two paths, 64 references with their keys, fixed fields. */
export const MAX_DRAFT_BYTES = 2 * MAX_PATH_BYTES + 16 * KIB;
/** Rows of one version block: a cut of it costs little, and it is opened whole. */
export const MAX_BLOCK_ROWS = 256;
/** Names and times of one block before they are compressed: paths may be long. */
export const MAX_BLOCK_LIST_BYTES = 512 * KIB;
/**
 * A version block. A maker ends one at half a mebibyte of all its parts; a list that does not
 * become smaller is a little larger sealed.
 */
export const MAX_BLOCK_BYTES = 640 * KIB;
/** One of the texts that a result's row seals: a profile's name, a line of a log. */
export const MAX_EVIDENCE_BYTES = 4 * KIB;

/**
 * Entries in one commit: a folder of 100,000 small files is seven commits of a mebibyte, and one is
 * verified in well under a second.
 */
export const MAX_COMMIT_ENTRIES = 16_384;
/** What a commit's summary has of each file and result that the commit is about. */
export const SUMMARY_MARK_BYTES = 8;
export const MAX_SUMMARY_BYTES: number = MAX_COMMIT_ENTRIES * SUMMARY_MARK_BYTES;
/**
 * Blocks of one commit: those of versions of one file hold one row each, and a maker takes no more
 * versions than this into a commit. Each costs whoever verifies it some 10 µs at one go.
 */
export const MAX_COMMIT_BLOCKS = 4096;
/** A block's key under a key of its commit: nonce, key, tag. */
export const BLOCK_KEY_BOX_BYTES = 12 + HASH_BYTES + TAG_BYTES;
/** A signed commit as it is sent and stored. */
export const MAX_COMMIT_BYTES = 4 * MIB;
/** A commit's header: fixed fields only. */
export const MAX_COMMIT_HEADER_BYTES = KIB;
/** Wraps beside one commit: three from the agent, the others for grants and new recipients. */
export const MAX_WRAPS = 16;

/** Kinds of problem that one heartbeat may name: a few times more than any release knows. */
export const MAX_PROBLEM_CODES = 64;
/** The code of a problem: a few words. */
export const MAX_PROBLEM_CODE_CHARS = 64;
/** An agent's heartbeat: fixed fields and its problems, each below 90 bytes. */
export const MAX_HEARTBEAT_BYTES = 8 * KIB;

/** A signed body: descriptors, certificates, receipts, heads, openings. */
export const MAX_SIGNED_BODY_BYTES = 16 * KIB;
/** Lost heads that one opening of a log epoch may name. */
export const MAX_LOST_HEADS = 64;
/** A Merkle path: a log of 2^53 leaves has paths of 53 hashes, a consistency proof one more. */
export const MAX_PROOF_HASHES = 64;
/** An encoded leaf of the log. */
export const MAX_LOG_LEAF_BYTES = 128;
/** An audit event: a few signed bodies. */
export const MAX_EVENT_BYTES = 64 * KIB;

/**
 * Events that a vault keeps beside its history, of one kind: of agents and groups that ended for
 * good, more than a fleet of a thousand wears out in ten years.
 */
export const MAX_BOOK_EVENTS = 16_384;
/** All of them: the end of an agent has 70 bytes, and 200 to 500 where it is signed. */
export const MAX_EVENT_BOOK_BYTES: number = 4 * MIB;

/** Commits of which one record says what a run of retention expired: a bitmap for each. */
export const MAX_EXPIRED_LEAVES = 16_384;
/** Brakes that the event of a run names: some 80 bytes each, half of `MAX_EVENT_BYTES`. */
export const MAX_RETENTION_BRAKES = 256;
/** Files of which one event may say that they are gone: half of `MAX_EVENT_BYTES`. */
export const MAX_GONE_FILES = 1024;

/** PCs, classes, or patterns of paths that one hold names; who means more means all, or two. */
export const MAX_HOLD_WORDS = 64;
/** Lineages that the PCs of one hold come to: a quarter of `MAX_EVENT_BYTES`. */
export const MAX_HOLD_LINEAGES = 1024;
/** The patterns of one hold, sealed: as much. */
export const MAX_HOLD_PATHS_BYTES = 16 * KIB;
/**
 * All commits of one purge, sealed anew: they come in one request, and are kept for the day on which
 * a history is put back.
 */
export const MAX_PURGE_BYTES: number = 32 * MIB;
/** How many they are: none has less than 500 bytes. */
export const MAX_PURGED_COMMITS = 65_536;
/** The file that keeps a purge: order and approval stand beside its commits. */
export const MAX_KEPT_PURGE_BYTES: number = MAX_PURGE_BYTES + MIB;
/** Files and folder results of one order to purge, which is one signed body with its reason. */
export const MAX_PURGED_FILES = 800;
/** Ids of files in one part of a resolution, which is one signed body. */
export const MAX_HELD_FILES = 1000;
/** Parts of one resolution: four million files, more than a hold by path should come to. */
export const MAX_HOLD_PARTS = 4096;

/**
 * Settings of one PC as text: some hundred folders with their patterns; the signed body around them
 * has to fit as well.
 */
export const MAX_SETTINGS_CHARS = 14 * KIB;
/** Groups that one PC may be in. */
export const MAX_SETTINGS_GROUPS = 32;
/**
 * The policy of a vault as its operators write it, before it is compressed: a fleet of thousands of
 * PCs.
 */
export const MAX_POLICY_BYTES = MIB;
/** The policy as it rests, compressed and sealed: with its statement it fits into an event. */
export const MAX_SEALED_POLICY_BYTES = 48 * KIB;
/** Rules of retention in one policy. */
export const MAX_RULES = 1000;
/** Classes, or names of PCs, in one of them. */
export const MAX_RULE_NAMES = 256;
/**
 * All of them in clear, beside what else a signed policy says: a rule for one root folder of each
 * of nine hundred PCs.
 */
export const MAX_RULES_BYTES = 15 * KIB;
/** The longest term in each unit, a thousand years: more is a slip of the hand, or no date. */
export const maxTermCounts = { d: 365_250, w: 52_178, mo: 12_000, y: 1000 } as const;
/** Days, weeks, months or years of which a rule counts one by one; more is a slip of the hand. */
export const MAX_KEEP_COUNT = 10_000;

/** What a PC says of settings that it refuses: every mistake in a line. */
export const MAX_SETTINGS_DETAIL_CHARS = 4 * KIB;
/** The same encoded and sealed: four bytes a character at most. */
export const MAX_SETTINGS_DETAIL_BYTES = 4 * MAX_SETTINGS_DETAIL_CHARS + KIB;
/**
 * A diagnosis on its way, compressed and sealed: twenty times smaller than its text, most of which
 * is log.
 */
export const MAX_DIAGNOSIS_BYTES = MIB;
/** Its text: two mebibytes of log, and as much again for what is written around them. */
export const MAX_DIAGNOSIS_TEXT_BYTES = 8 * MIB;

/** The code of an error. */
export const MAX_ERROR_CODE_CHARS = 64;

/** A name of a vault in characters (code points). */
export const MAX_NAME_CHARS = 128;
/** An agent's name: a file name on every platform, and never an option of a command. */
export const MAX_AGENT_NAME_CHARS = 64;
/** A policy class. */
export const MAX_CLASS_CHARS = 64;
/** One line of text for a person: a reason, a refusal, a notice. */
export const MAX_TEXT_CHARS = 1024;
/** A collector's URL. */
export const MAX_URL_CHARS = 2048;
/** Addresses of one collector: names and networks by which PCs may reach it. */
export const MAX_ADDRESSES = 8;
/**
 * Keys of self-signed certificates that are believed side by side: the old one, the next one, and
 * spares.
 */
export const MAX_TLS_PINS = 8;
/** A PEM bundle of a certificate authority in characters. */
export const MAX_PEM_CHARS = 64 * KIB;
/** Epochs of the dedup secret: each is a revocation. */
export const MAX_DEDUP_SECRETS = 256;
/** PCs that one group bundle is for: more of them are more than one roll-out. */
export const MAX_GROUP_USES = 10_000;
/** Patterns of names that a group's PCs may have. */
export const MAX_GROUP_NAMES = 16;
/** A kit or bundle, or a small message of enrolment. */
export const MAX_KEY_FILE_BYTES = 256 * KIB;
/**
 * scrypt's cost as a power of two: 2^20 with r = 8 takes 1 GiB, the most that a small machine can
 * be asked for.
 */
export const MAX_SCRYPT_LOG_N = 20;
/** scrypt's block size r. */
export const MAX_SCRYPT_R = 32;
/** scrypt's parallelisation p: multiplies the time only. */
export const MAX_SCRYPT_P = 16;
/** Memory that a kit file may make its reader spend: 128 · N · r bytes. */
export const MAX_SCRYPT_BYTES = 1024 * MIB;

/** One frame of a session, header and body: two of the largest chunks. */
export const MAX_FRAME_BYTES = 8 * MIB;
/** The protobuf header of a frame: 4,096 ids, or the openings of 64 log epochs. */
export const MAX_FRAME_HEADER_BYTES = 512 * KIB;
/** A hello is read before anybody has proved anything. */
export const MAX_HELLO_BYTES = 64 * KIB;
/** Protocol versions that a hello may offer. */
export const MAX_OFFERED_VERSIONS = 16;
/** Ids in one question (`have`, `fetch`) or answer. */
export const MAX_IDS = 4096;
/** Chunks and pages in the body of one frame. */
export const MAX_ITEMS = 1024;
/** Log epochs that one `ready` may explain. */
export const MAX_OPENINGS = 64;
/** A session's id. */
export const MAX_SESSION_ID_BYTES = 32;

/** A release's version: part of a path on every PC (deploy/host/switch.h). */
export const MAX_RELEASE_VERSION_CHARS = 64;
/** A file of a release: a hash in front, a part, a version and a platform. */
export const MAX_RELEASE_FILE_CHARS = 192;
/**
 * What one answer holds of a file of a release: small beside a frame, so that a restore or a commit
 * need not wait for it.
 */
export const MAX_RELEASE_DATA_BYTES = MIB;
/** A file of a release: Node packed is 30 to 45 MiB. */
export const MAX_RELEASE_FILE_BYTES = 256 * MIB;
/**
 * Files that a collector keeps of all releases: metadata and two parts for each of five platforms.
 */
export const MAX_RELEASE_FILES = 1024;

/**
 * Commits in one carried queue: each holds up to 4,096 versions, and the answer repeats a receipt
 * for each.
 */
export const MAX_CARRIED_COMMITS = 65_536;
/**
 * A part of a carried queue as it is handed to the collector: one of the largest frames, the
 * question, and room.
 */
export const MAX_CARRIED_PART_BYTES = MAX_FRAME_BYTES + MIB;

/** Ids in one record of uploads at rest. */
export const MAX_UPLOAD_IDS = 65_536;
/** Pages, and chunks below them, in one record of references at rest. */
export const MAX_REFERENCE_IDS = 16_384;
/** Items that leave a set by one record, and pages that stay in it unproved. */
export const MAX_SWEPT_IDS = 16_384;
/** Commits and events of which one record says that versions were dropped. */
export const MAX_DROPPED_LEAVES = 1024;
/** A stored commit or a state record: a commit with its leaf, receipt and certificates. */
export const MAX_RECORD_BYTES = MAX_COMMIT_BYTES + 128 * KIB;

/** The latest instant that a JavaScript date can show; later times could not be printed. */
export const MAX_TIME_MS = 8_640_000_000_000_000;
/** Largest value of a 32-bit field. */
export const MAX_UINT32 = 0xffff_ffff;
/** Largest chunker, encoder or protocol version number. */
export const MAX_VERSION_NUMBER = 0xffff;
/** POSIX permission bits with set-user-id, set-group-id and sticky. */
export const MAX_MODE = 0o7777;
