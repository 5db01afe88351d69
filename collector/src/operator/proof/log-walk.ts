import { decodeLogLeaf, type TreeHead } from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import { equalBytes, sha256 } from '@aliquot/shared/crypto/primitives';
import { leafHash } from '@aliquot/shared/log/hashing';
import { MerkleLog } from '@aliquot/shared/log/merkle';

/** What the leaves up to some head say of one agent. */
export interface AgentTotal {
  readonly commits: number;
  /** The leaf of its newest commit, and when that was received. */
  readonly newestLeaf: number;
  readonly newestMs: number;
  /** Over the leaves of all its commits with their places: no other list of commits has it. */
  readonly digest: Uint8Array;
}

/** As it is kept between commands. */
export interface SavedWalk {
  readonly size: number;
  /** Of the complete subtrees at the right edge, the largest first. */
  readonly edge: readonly Uint8Array[];
  /** By the agents' ids in hexadecimal. */
  readonly agents: ReadonlyMap<string, AgentTotal>;
  /** Corrections of the clock: their places, and the hashes of their leaves. */
  readonly corrections: readonly CorrectionLeaf[];
}

/** Where the leaf of a correction of the clock is, and its hash. */
interface CorrectionLeaf {
  readonly leafIndex: number;
  readonly leaf: Uint8Array;
}

const nothing: SavedWalk = { size: 0, edge: [], agents: new Map(), corrections: [] };

/** An agent that has no commit. */
export const noCommits: AgentTotal = {
  commits: 0,
  newestLeaf: -1,
  newestMs: 0,
  digest: new Uint8Array(32),
};

/** An agent's total with one commit more. */
export function withCommit(
  { commits, digest }: AgentTotal,
  leafIndex: number,
  leaf: Uint8Array,
  timeMs: number,
): AgentTotal {
  const place = new Uint8Array(8);
  new DataView(place.buffer).setBigUint64(0, BigInt(leafIndex));
  return {
    commits: commits + 1,
    newestLeaf: leafIndex,
    newestMs: timeMs,
    digest: sha256(digest, place, leaf),
  };
}

/**
 * Walks over all leaves of a log, and so knows of each agent which commits the log has: a leaf
 * names its agent, and no agent believes a receipt for a leaf that does not. What it says is proved
 * when its root is that of a head.
 */
export class LogWalk {
  readonly #log: MerkleLog;
  readonly #agents: Map<string, AgentTotal>;
  readonly #corrections: CorrectionLeaf[];

  private constructor(
    log: MerkleLog,
    agents: Map<string, AgentTotal>,
    corrections: CorrectionLeaf[],
  ) {
    this.#log = log;
    this.#agents = agents;
    this.#corrections = corrections;
  }

  static async open({ size, edge, agents, corrections }: SavedWalk = nothing): Promise<LogWalk> {
    // One root for each power of two in the size, the largest first.
    const levels = [...size.toString(2)]
      .toReversed()
      .flatMap((bit, level) => (bit === '1' ? [level] : []))
      .toReversed();
    const roots = new Map(levels.map((level, at) => [level, edge[at]]));
    const store = { get: (level: number) => roots.get(level), put: () => undefined };
    return new LogWalk(await MerkleLog.open(store, size), new Map(agents), [...corrections]);
  }

  get size(): number {
    return this.#log.size;
  }

  get agents(): ReadonlyMap<string, AgentTotal> {
    return this.#agents;
  }

  get corrections(): readonly CorrectionLeaf[] {
    return this.#corrections;
  }

  /** Of the leaves so far. */
  get root(): Uint8Array {
    return this.#log.root;
  }

  get saved(): SavedWalk {
    return {
      size: this.size,
      edge: this.#log.edge.map(({ hash }) => hash),
      agents: this.#agents,
      corrections: this.#corrections,
    };
  }

  isAt({ size, root }: TreeHead): boolean {
    return size === this.size && equalBytes(root, this.#log.root);
  }

  /** Takes in the next leaf. @throws FormatError */
  add(bytes: Uint8Array): void {
    const { agentId, timeMs, type } = decodeLogLeaf(bytes);
    const hash = leafHash(bytes);
    if (type === 'correction') this.#corrections.push({ leafIndex: this.size, leaf: hash });
    if (agentId !== undefined) {
      const key = hex(agentId);
      const total = this.#agents.get(key) ?? noCommits;
      this.#agents.set(key, withCommit(total, this.size, hash, timeMs));
    }
    this.#log.stage([hash]);
  }
}
