import { LogError } from './errors.ts';
import { EMPTY_ROOT, nodeHash, splitPoint } from './hashing.ts';

export { leafHash } from './hashing.ts';

/**
 * A node of a complete subtree: it covers the 2^level leaves from `index * 2^level` on. Never
 * changes once it exists.
 */
export interface HashNode {
  /** 0 for leaf hashes. */
  readonly level: number;
  readonly index: number;
  readonly hash: Uint8Array;
}

/**
 * Where the nodes of complete subtrees rest. Only those are stored: each is written once, and the
 * incomplete right edge follows from them.
 *
 * Promise: after `put` of some nodes has returned (or its promise is fulfilled), `get` gives them
 * back. Whether that is durable, and in which batch, is the store's own affair. To put the same
 * node again is harmless.
 */
export interface HashStore {
  get(level: number, index: number): Uint8Array | undefined | Promise<Uint8Array | undefined>;
  put(nodes: readonly HashNode[]): void | Promise<void>;
}

/** A store in memory. Test only: the collector keeps its nodes in the catalog. */
export class MemoryHashStore implements HashStore {
  readonly #nodes = new Map<string, Uint8Array>();

  get(level: number, index: number): Uint8Array | undefined {
    return this.#nodes.get(`${level}/${index}`);
  }

  put(nodes: readonly HashNode[]): void {
    for (const node of nodes) this.#nodes.set(`${node.level}/${node.index}`, node.hash);
  }
}

/**
 * An append-only Merkle log (RFC 6962) over a node store.
 *
 * The roots of the complete subtrees at the right edge (one for each 1 bit of the size) are held in
 * memory, so appending and the current root read nothing. Proofs and older roots read O(log size)
 * nodes.
 *
 * Appends do not overlap: `append` is awaited before the next one, or `stage` is used, which is
 * synchronous.
 */
export class MerkleLog {
  readonly #store: HashStore;
  #size: number;
  /** Roots of the complete subtrees at the right edge, largest first. */
  #edge: readonly EdgeNode[];

  private constructor(store: HashStore, size: number, edge: readonly EdgeNode[]) {
    this.#store = store;
    this.#size = size;
    this.#edge = edge;
  }

  /**
   * Opens a log of `size` leaves whose nodes `store` holds. Reads one node for each 1 bit of the
   * size.
   *
   * @throws LogError `LOG_NODE_MISSING`: the store and the size do not belong together.
   */
  static async open(store: HashStore, size = 0): Promise<MerkleLog> {
    checkSize(size);
    const edge: EdgeNode[] = [];
    let from = 0;
    for (const span of spansOf(size)) {
      const level = Math.log2(span);
      edge.push({ level, hash: await readNode(store, level, from / span) });
      from += span;
    }
    return new MerkleLog(store, size, edge);
  }

  /** Leaves in the log. */
  get size(): number {
    return this.#size;
  }

  /** The Merkle root over all leaves; nothing is read. */
  get root(): Uint8Array {
    return foldEdge(this.#edge.map((node) => node.hash));
  }

  /**
   * The roots of the complete subtrees at the right edge: with them alone a log of this size is
   * opened again, to be added to.
   */
  get edge(): readonly HashNode[] {
    let from = 0;
    return this.#edge.map(({ level, hash }) => {
      const index = from / 2 ** level;
      from += 2 ** level;
      return { level, index, hash };
    });
  }

  /**
   * Adds leaf hashes and stores their nodes. The log grows only once the store has taken them.
   *
   * @returns The index of the first of them.
   */
  async append(hashes: readonly Uint8Array[]): Promise<number> {
    const first = this.#size;
    const grown = grow(this.#size, this.#edge, hashes);
    await this.#store.put(grown.nodes);
    this.#size = grown.size;
    this.#edge = grown.edge;
    return first;
  }

  /**
   * Adds leaf hashes at once and returns the nodes for the caller to store, for one who writes them
   * in the same batch as other things. Until they are stored, proofs and older roots that need them
   * fail with `LOG_NODE_MISSING`; `size` and `root` are right at once. If storing them fails, this
   * log is to be thrown away and opened again.
   */
  stage(hashes: readonly Uint8Array[]): readonly HashNode[] {
    const grown = grow(this.#size, this.#edge, hashes);
    this.#size = grown.size;
    this.#edge = grown.edge;
    return grown.nodes;
  }

  /** The root over the first `size` leaves. @throws LogError `LOG_RANGE`, `LOG_NODE_MISSING`. */
  async rootAt(size: number): Promise<Uint8Array> {
    this.#checkWithin(size);
    return size === 0 ? EMPTY_ROOT : this.#rangeRoot(0, size);
  }

  /**
   * The audit path of leaf `index` in the tree of the first `size` leaves (RFC 6962 §2.1.1), lowest
   * sibling first.
   *
   * @throws LogError `LOG_RANGE`, `LOG_NODE_MISSING`.
   */
  async inclusionProof(index: number, size: number): Promise<Uint8Array[]> {
    this.#checkWithin(size);
    if (!Number.isSafeInteger(index) || index < 0 || index >= size) {
      throw new LogError(
        'LOG_RANGE',
        `leaf ${index} is not within the first ${size} leaves of the log`,
      );
    }
    const path: Uint8Array[] = [];
    let start = 0;
    let end = size;
    while (end - start > 1) {
      const middle = start + splitPoint(end - start);
      if (index < middle) {
        path.push(await this.#rangeRoot(middle, end));
        end = middle;
      } else {
        path.push(await this.#rangeRoot(start, middle));
        start = middle;
      }
    }
    return path.reverse();
  }

  /**
   * The proof that the tree of `newSize` leaves continues the one of `oldSize` (RFC 6962 §2.1.2).
   * Empty when they are equal, or when the old one is empty.
   *
   * @throws LogError `LOG_RANGE`, `LOG_NODE_MISSING`.
   */
  async consistencyProof(oldSize: number, newSize: number): Promise<Uint8Array[]> {
    this.#checkWithin(newSize);
    checkSize(oldSize);
    if (oldSize > newSize)
      throw new LogError(
        'LOG_RANGE',
        `a log of ${newSize} leaves cannot continue one of ${oldSize}`,
      );
    if (oldSize === 0 || oldSize === newSize) return [];
    const proof: Uint8Array[] = [];
    let start = 0;
    let end = newSize;
    while (oldSize !== end) {
      const middle = start + splitPoint(end - start);
      if (oldSize <= middle) {
        proof.push(await this.#rangeRoot(middle, end));
        end = middle;
      } else {
        proof.push(await this.#rangeRoot(start, middle));
        start = middle;
      }
    }
    // The subtree that both have in common; when it is the whole old tree, the verifier knows its
    // root already.
    if (start > 0) proof.push(await this.#rangeRoot(start, end));
    return proof.reverse();
  }

  /**
   * The root over leaves `start` to `end`, where `start` is a multiple of the power of two that
   * holds the range.
   */
  async #rangeRoot(start: number, end: number): Promise<Uint8Array> {
    const roots: Uint8Array[] = [];
    let from = start;
    for (const span of spansOf(end - start)) {
      roots.push(await readNode(this.#store, Math.log2(span), from / span));
      from += span;
    }
    return foldEdge(roots);
  }

  #checkWithin(size: number): void {
    checkSize(size);
    if (size > this.#size)
      throw new LogError('LOG_RANGE', `the log has ${this.#size} leaves, not ${size}`);
  }
}

interface EdgeNode {
  readonly level: number;
  readonly hash: Uint8Array;
}

/**
 * A binary counter: each new leaf merges with as many complete subtrees of its own size as stand to
 * its left.
 */
function grow(oldSize: number, oldEdge: readonly EdgeNode[], hashes: readonly Uint8Array[]) {
  const nodes: HashNode[] = [];
  const edge = [...oldEdge];
  let size = oldSize;
  for (const leaf of hashes) {
    let node: EdgeNode = { level: 0, hash: leaf };
    let index = size;
    nodes.push({ level: 0, index, hash: leaf });
    for (
      let left = edge.at(-1);
      left !== undefined && left.level === node.level;
      left = edge.at(-1)
    ) {
      edge.pop();
      index = Math.floor(index / 2);
      node = { level: node.level + 1, hash: nodeHash(left.hash, node.hash) };
      nodes.push({ level: node.level, index, hash: node.hash });
    }
    edge.push(node);
    size += 1;
  }
  return { nodes, edge, size };
}

/**
 * The powers of two that make up `size`, largest first. Division and not shifts: sizes pass 2^31.
 */
function spansOf(size: number): number[] {
  const spans: number[] = [];
  let rest = size;
  for (let span = 1; rest > 0; span *= 2) {
    if (rest % 2 === 1) spans.push(span);
    rest = Math.floor(rest / 2);
  }
  return spans.reverse();
}

function foldEdge(roots: readonly Uint8Array[]): Uint8Array {
  return roots.length === 0
    ? EMPTY_ROOT
    : roots.reduceRight((right, left) => nodeHash(left, right));
}

function checkSize(size: number): void {
  if (!Number.isSafeInteger(size) || size < 0)
    throw new LogError('LOG_RANGE', `${size} is no size of a log`);
}

async function readNode(store: HashStore, level: number, index: number): Promise<Uint8Array> {
  const hash = await store.get(level, index);
  if (hash === undefined) {
    throw new LogError(
      'LOG_NODE_MISSING',
      `the log lacks node ${index} of level ${level}; run "aliquot fsck --repair" on the collector`,
    );
  }
  return hash;
}
