import { MAX_PURGE_BYTES } from '@aliquot/proto';

/*
 * What others may make this collector hold, do and wait for, and why so much. What a format itself
 * allows stands in proto's limits. Tests pass smaller ones where a part takes them.
 */

// ---- Connections that have proved nothing yet

/** How many connections may be open that have not yet proved who they are. */
export interface GateLimits {
  /** Being served, in all. */
  readonly inside: number;
  /** Being served, of one network (an IPv4 address, or a /64 of IPv6). */
  readonly perNetwork: number;
  /** Not read yet: each costs a descriptor and some kilobytes. */
  readonly waiting: number;
  /** Let in in one second. */
  readonly aSecond: number;
  /** And at least, however little time there is; as many unless given. */
  readonly leastASecond?: number;
}

/**
 * A lab's agents reconnect together after an outage, and a whole site may sit behind one NAT
 * address, so the numbers are generous: they only keep a flood from holding memory. Four hundred a
 * second take a quarter of a processor, with TLS and the key of its certificate up to a whole one
 * (docs/performance.md); so fewer come in while those who have proved themselves need the time. Two
 * thousand that come again whenever they are ended fit into it.
 */
export const gateLimits: GateLimits = {
  inside: 4096,
  perNetwork: 2560,
  waiting: 4096,
  aSecond: 400,
  leastASecond: 100,
};

/**
 * Who owes us the next byte, and has sent none for so long, is not about to prove anything. Who was
 * answered without a proof, and does not close, stays as long: who comes again as soon as he is
 * ended comes seldom.
 */
export const UNPROVED_IDLE_MS = 5_000;

/** A handshake is two round trips; the slowest line that can carry a backup manages that. */
export const HANDSHAKE_MS = 15_000;

/** Hello and auth with all their certificates are far below this. */
export const MAX_UNPROVED_BYTES = 256 * 1024;

/**
 * What every unproved connection may have sent, however many there are: several times a usual hello
 * and auth.
 */
export const FAIR_UNPROVED_BYTES = 16 * 1024;

/** What all of them together may have sent before those above their fair part are dropped. */
export const MAX_ALL_UNPROVED_BYTES = 16 * 1024 * 1024;

// ---- Sessions of agents

/**
 * Chains of one agent that may be connected at once: a PC and its clones. Anyone who holds its key
 * must not be able to hold thousands, nor the memory of many inboxes.
 */
export const MAX_CONNECTED_CHAINS = 4;

/** This many are remembered: endless connections must not make the list endless. */
export const MAX_TAKEOVERS = 1000;

/**
 * Messages that wait in an inbox: what is worked on in a fraction of a second; the rest of the
 * granted window waits in TCP, in the memory of the kernel.
 */
export const INBOX_HIGH_BYTES = 4 * 1024 * 1024;

/** Items that come close together are put in one go: as many as keep a disk and a thread busy. */
export const WINDOW_BYTES = 4 * 1024 * 1024;

/** And so many frames of them, however small these are. */
export const WINDOW_FRAMES = 64;

/** From here on a connection that was paused is read again. */
export const INBOX_LOW_BYTES = INBOX_HIGH_BYTES / 2;

/**
 * What holding one message costs beside its bytes, so that a flood of tiny frames is bounded too.
 */
export const MESSAGE_OVERHEAD_BYTES = 512;

/**
 * Bytes of chunk bodies that an agent may have under way: four of the largest chunks, plenty for a
 * gigabit line with 100 ms.
 */
export const CREDIT_BYTES = 16 * 1024 * 1024;

/** Bodies of fetched chunks are gathered up to this size in one frame. */
export const FETCH_FRAME_BYTES = 2 * 1024 * 1024;

/** And up to so many of them. */
export const FETCH_FRAME_ITEMS = 256;

/** Turns of a connection's ping, five minutes, in which nothing of an answer was taken. */
export const MAX_STALLED_TURNS = 10;

/** What the other side has to read a last refusal before the connection is dropped. */
export const FAREWELL_MS = 5_000;

/**
 * What a connection that is being closed may hold meanwhile: a peer that opens one after the other
 * must not pile them up.
 */
export const LINGER_BYTES = 256 * 1024;

// ---- Holds

/** In force at a time: each file of which a version would go is held against every one of them. */
export const MAX_HOLDS = 1000;
/** Orders to purge that wait for approval: each takes up to 16 KiB of memory. */
export const MAX_WAITING_PURGES = 256;

// ---- Requests over HTTP

/**
 * The head of a request is a few hundred bytes: who needs longer for it only holds the connection.
 */
export const HEADERS_MS = 15_000;

/** A whole request: a part of a queue or of a release over a slow line. */
export const REQUEST_MS = 60_000;

/** Whatever an operator's command says at once. */
export const MAX_BODY_BYTES = 1024 * 1024;

/** An enrolment with all its certificates is some 2 KiB; anybody may send one. */
export const MAX_ENROL_BODY_BYTES = 16 * 1024;

/** The commits of a purge, as text. */
export const MAX_PURGE_BODY_BYTES: number = Math.ceil(1.4 * MAX_PURGE_BYTES);

/** A policy with the settings of thousands of PCs. */
export const MAX_POLICY_BODY_BYTES = 64 * 1024 * 1024;

/** Chunks and pages asked for at once, as many as an agent may; a restore asks again and again. */
export const MAX_ITEM_IDS = 4096;

/** Characters of a `Host` that is shown to operators: a name and a port are shorter. */
export const MAX_HOST_LENGTH = 300;

/** Heads that somebody has seen and wants proofs for, at once. */
export const MAX_PROOF_HEADS = 256;

// ---- Answers

/**
 * A record of an answer carries one stored commit (at most 4 MiB, with certificates) or one sealed
 * item (at most 4 MiB and a little).
 */
export const MAX_ANSWER_RECORD_BYTES = 6 * 1024 * 1024;

/** Hosts that are shown: agents name them, and ours name the few that they were given. */
export const MAX_TOLD_HOSTS = 100;

/** Who asks wants one version. A few more show that the id is that of several. */
export const MAX_FOUND_VERSIONS = 8;

/** How many names are remembered by which agents and operators came. */
export const MAX_KNOWN_HOSTS = 16;

/** More agents than this have no series of their own: monitoring must not be flooded. */
export const MAX_AGENT_SERIES = 5_000;

// ---- What the store keeps of one agent

/**
 * What one agent may make the store hold in memory for good, whatever it sends. Tests pass smaller
 * numbers.
 */
export interface StoreLimits {
  /**
   * Chain ids of one agent: each is a row in memory. A PC needs one more for each fork of its
   * chain.
   */
  readonly chains: number;
  /**
   * Versions of a history that can be merged into the trunk: they are gathered in one step of about
   * a kilobyte each, at every replay too.
   */
  readonly mergedVersions: number;
  /**
   * Bytes that the live files of one history may have together. Sizes are what an agent claims, and
   * whoever holds its key can claim any: this is what a counter holds, so that every figure about
   * it stays exact.
   */
  readonly branchBytes: bigint;
}

export const storeLimits: StoreLimits = {
  chains: 256,
  mergedVersions: 1_000_000,
  branchBytes: BigInt(Number.MAX_SAFE_INTEGER),
};

/**
 * Branches of one agent that may wait for an operator: whoever holds its key must not be able to
 * fill the catalog with them.
 */
export const MAX_UNDECIDED = 16;

/** Ids named as missing at once: the agent's next upload needs no longer list. */
export const MAX_MISSING = 4096;

/** Pages remembered by a walk, some 100 bytes each. */
export const MAX_PAGES = 16_384;

/**
 * What is remembered of one lineage's pages that lack something: some 25,000 of them that lack one
 * chunk each.
 */
export const MAX_LACKING_BYTES_OF_ONE = 4 * 1024 * 1024;

/** The same of all lineages of a vault: those that sent a commit last. */
export const MAX_LACKING_BYTES = 2 * MAX_LACKING_BYTES_OF_ONE;
