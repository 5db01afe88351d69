import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { flipped, noise, ofHex, toHex } from '../../testing/bytes.ts';
import { vectors } from '../../testing/vectors.ts';
import { EMPTY_ROOT, leafHash, nodeHash, rootOf, splitPoint } from './hashing.ts';
import { type HashNode, MemoryHashStore, MerkleLog } from './merkle.ts';
import { verifyConsistency, verifyGrowth, verifyInclusion } from './proofs.ts';

interface MerkleVectors {
  readonly leaves: string[];
  readonly emptyRoot: string;
  readonly roots: string[];
  readonly inclusion: { index: number; size: number; proof: string[] }[];
  readonly consistency: { oldSize: number; newSize: number; proof: string[] }[];
}

const published = vectors<MerkleVectors>('merkle');

/**
 * The definition of RFC 6962 §2.1 word for word, as slow as it is plain: the judge of everything
 * else here.
 */
function plainRoot(hashes: readonly Uint8Array[]): Uint8Array {
  const [only] = hashes;
  if (only === undefined) return EMPTY_ROOT;
  if (hashes.length === 1) return only;
  const k = splitPoint(hashes.length);
  return nodeHash(plainRoot(hashes.slice(0, k)), plainRoot(hashes.slice(k)));
}

const MANY = 70;
const leaves = Array.from({ length: MANY }, (_, index) =>
  noise('leaf', index % 40).slice(0, index),
);
const hashes = leaves.map((leaf, index) => leafHash(Uint8Array.of(index, ...leaf)));
const roots = Array.from({ length: MANY + 1 }, (_, size) => plainRoot(hashes.slice(0, size)));
const root = (size: number): Uint8Array => roots[size] ?? EMPTY_ROOT;
const hashAt = (index: number): Uint8Array => hashes[index] ?? EMPTY_ROOT;

async function logOf(count: number): Promise<MerkleLog> {
  const log = await MerkleLog.open(new MemoryHashStore());
  await log.append(hashes.slice(0, count));
  return log;
}

describe('the published vectors of RFC 6962', () => {
  const open = async () => {
    const log = await MerkleLog.open(new MemoryHashStore());
    await log.append(published.leaves.map((leaf) => leafHash(ofHex(leaf))));
    return log;
  };

  it('gives the published roots', async () => {
    const log = await open();
    expect(toHex(rootOf([]))).toBe(published.emptyRoot);
    expect(toHex(await log.rootAt(0))).toBe(published.emptyRoot);
    for (const [index, expected] of published.roots.entries()) {
      expect(toHex(await log.rootAt(index + 1))).toBe(expected);
      expect(toHex(rootOf(published.leaves.slice(0, index + 1).map(ofHex)))).toBe(expected);
    }
  });

  it('gives the published audit paths, and believes them', async () => {
    const log = await open();
    for (const { index, size, proof } of published.inclusion) {
      expect((await log.inclusionProof(index, size)).map(toHex)).toEqual(proof);
      verifyInclusion(
        leafHash(ofHex(published.leaves[index] ?? '')),
        index,
        size,
        proof.map(ofHex),
        ofHex(published.roots[size - 1] ?? ''),
      );
    }
  });

  it('gives the published consistency proofs, and believes them', async () => {
    const log = await open();
    for (const { oldSize, newSize, proof } of published.consistency) {
      expect((await log.consistencyProof(oldSize, newSize)).map(toHex)).toEqual(proof);
      verifyConsistency(
        oldSize,
        ofHex(published.roots[oldSize - 1] ?? ''),
        newSize,
        ofHex(published.roots[newSize - 1] ?? ''),
        proof.map(ofHex),
      );
    }
  });
});

describe('the log against the plain definition, every size from 0 to 70', () => {
  it('has the root of every size, now and looking back', async () => {
    const log = await MerkleLog.open(new MemoryHashStore());
    for (let size = 0; size <= MANY; size += 1) {
      expect(log.size).toBe(size);
      expect(log.root).toEqual(root(size));
      if (size < MANY) expect(await log.append([hashAt(size)])).toBe(size);
    }
    for (let size = 0; size <= MANY; size += 1) expect(await log.rootAt(size)).toEqual(root(size));
  });

  it('P5: proves every leaf in every size, and no leaf in the place of another', async () => {
    const log = await logOf(MANY);
    for (let size = 1; size <= MANY; size += 1) {
      for (let index = 0; index < size; index += 1) {
        const proof = await log.inclusionProof(index, size);
        verifyInclusion(hashAt(index), index, size, proof, root(size));
        expect(() =>
          verifyInclusion(hashAt(index), (index + 1) % (size + 1), size, proof, root(size)),
        ).toThrow(/not proved/);
        expect(() =>
          verifyInclusion(leafHash(noise('other', 8)), index, size, proof, root(size)),
        ).toThrow(/not proved/);
      }
    }
  });

  it('P5: proves every size the continuation of every smaller one, and of no other history', async () => {
    const log = await logOf(MANY);
    const other = leafHash(noise('another history', 4));
    for (let newSize = 0; newSize <= MANY; newSize += 1) {
      for (let oldSize = 0; oldSize <= newSize; oldSize += 1) {
        const proof = await log.consistencyProof(oldSize, newSize);
        verifyConsistency(oldSize, root(oldSize), newSize, root(newSize), proof);
        expect(() => verifyConsistency(oldSize, other, newSize, root(newSize), proof)).toThrow(
          /does not continue/,
        );
        if (oldSize > 0)
          expect(() => verifyConsistency(oldSize, root(oldSize), newSize, other, proof)).toThrow(
            /does not continue/,
          );
      }
    }
  });

  it('opens again at any size with what the store holds, and goes on the same', async () => {
    for (let size = 0; size < MANY; size += 1) {
      const store = new MemoryHashStore();
      await (await MerkleLog.open(store)).append(hashes.slice(0, size));
      const again = await MerkleLog.open(store, size);
      expect(again.root).toEqual(root(size));
      await again.append(hashes.slice(size));
      expect(again.root).toEqual(root(MANY));
    }
  });

  it('takes leaves in any batches and comes to the same nodes', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 20 }),
        async (batches) => {
          const log = await MerkleLog.open(new MemoryHashStore());
          for (const batch of batches) {
            const from = log.size;
            await log.append(hashes.slice(from, from + batch));
          }
          expect(log.root).toEqual(root(log.size));
        },
      ),
      { verbose: true },
    );
  });
});

describe('proofs that were touched', () => {
  it('P5: refuses an inclusion proof with any bit turned, a step left out, added or doubled', async () => {
    const log = await logOf(MANY);
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 2, max: MANY }),
        fc.nat(),
        fc.nat(),
        fc.nat(),
        async (size, leaf, step, bit) => {
          const index = leaf % size;
          const proof = await log.inclusionProof(index, size);
          const at = step % proof.length;
          const refused = (changed: Uint8Array[]) =>
            expect(() => verifyInclusion(hashAt(index), index, size, changed, root(size))).toThrow(
              expect.objectContaining({ code: 'LOG_INCLUSION' }),
            );
          refused(
            proof.map((hash, place) => (place === at ? flipped(hash, bit % 32, bit % 8) : hash)),
          );
          refused(proof.filter((_, place) => place !== at));
          refused([...proof, EMPTY_ROOT]);
          refused([...proof.slice(0, at), ...proof.slice(at, at + 1), ...proof.slice(at)]);
        },
      ),
      { verbose: true },
    );
  });

  it('P5: refuses a consistency proof with any bit turned, a step left out, added or doubled', async () => {
    const log = await logOf(MANY);
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 2, max: MANY }),
        fc.nat(),
        fc.nat(),
        fc.nat(),
        async (newSize, old, step, bit) => {
          const oldSize = 1 + (old % (newSize - 1));
          const proof = await log.consistencyProof(oldSize, newSize);
          const at = step % proof.length;
          const refused = (changed: Uint8Array[]) =>
            expect(() =>
              verifyConsistency(oldSize, root(oldSize), newSize, root(newSize), changed),
            ).toThrow(expect.objectContaining({ code: 'LOG_CONSISTENCY' }));
          refused(
            proof.map((hash, place) => (place === at ? flipped(hash, bit % 32, bit % 8) : hash)),
          );
          refused(proof.filter((_, place) => place !== at));
          refused([...proof, EMPTY_ROOT]);
          refused([...proof.slice(0, at), ...proof.slice(at, at + 1), ...proof.slice(at)]);
        },
      ),
      { verbose: true },
    );
  });

  it.each([
    ['a leaf beyond the tree', 8, 8],
    ['a negative index', -1, 8],
    ['a fraction', 0.5, 8],
    ['a size beyond all counting', 0, 2 ** 53],
  ])('refuses %s', (_, index, size) => {
    expect(() => verifyInclusion(hashAt(0), index, size, [], hashAt(0))).toThrow(/not proved/);
  });

  it('refuses a log that shrank, and one that changed without growing', () => {
    expect(() => verifyConsistency(5, root(5), 4, root(4), [])).toThrow(/does not continue/);
    expect(() => verifyConsistency(5, root(5), 5, root(4), [])).toThrow(/does not continue/);
    expect(() => verifyConsistency(5, root(5), 5, root(5), [root(1)])).toThrow(/does not continue/);
    expect(() => verifyConsistency(0, EMPTY_ROOT, 5, root(5), [root(1)])).toThrow(
      /does not continue/,
    );
  });

  it('never compares heads of two log epochs without the opening between them', () => {
    const older = { logEpoch: 1, size: 3, root: root(3) };
    const newer = { logEpoch: 2, size: 3, root: root(3) };
    expect(() => verifyGrowth(older, newer, [])).toThrow(
      expect.objectContaining({ code: 'LOG_EPOCH' }),
    );
    verifyGrowth(older, { ...newer, logEpoch: 1 }, []);
  });
});

describe('the store of a log', () => {
  it('is not read when leaves are added, however long the log is', async () => {
    const reads: string[] = [];
    class CountingStore extends MemoryHashStore {
      override get(level: number, index: number): Uint8Array | undefined {
        reads.push(`${level}/${index}`);
        return super.get(level, index);
      }
    }
    const log = await MerkleLog.open(new CountingStore());
    await log.append(hashes);
    expect(log.root).toEqual(root(MANY));
    expect(reads).toEqual([]);
    await log.inclusionProof(3, MANY);
    expect(reads.length).toBeLessThan(20);
  });

  it('gets each node once, and only nodes of complete subtrees', async () => {
    const seen = new Set<string>();
    const log = await MerkleLog.open({
      get: () => undefined,
      put(nodes: readonly HashNode[]) {
        for (const { level, index, hash } of nodes) {
          expect(seen.has(`${level}/${index}`)).toBe(false);
          seen.add(`${level}/${index}`);
          expect(hash).toEqual(
            plainRoot(hashes.slice(index * 2 ** level, (index + 1) * 2 ** level)),
          );
        }
      },
    });
    for (const hash of hashes) await log.append([hash]);
    expect(seen.size).toBe(70 + 35 + 17 + 8 + 4 + 2 + 1);
  });

  it('that fails leaves the log as it was', async () => {
    let full = false;
    const store = new MemoryHashStore();
    const log = await MerkleLog.open({
      get: (level, index) => store.get(level, index),
      put(nodes) {
        if (full) throw new Error('no room');
        store.put(nodes);
      },
    });
    await log.append(hashes.slice(0, 5));
    full = true;
    await expect(log.append(hashes.slice(5, 9))).rejects.toThrow('no room');
    expect([log.size, log.root]).toEqual([5, root(5)]);
    full = false;
    await log.append(hashes.slice(5, 9));
    expect(log.root).toEqual(root(9));
  });

  it('that lacks a node is named, on opening and for a proof', async () => {
    const missing = expect.objectContaining({ code: 'LOG_NODE_MISSING' });
    await expect(MerkleLog.open(new MemoryHashStore(), 5)).rejects.toEqual(missing);
    const log = await MerkleLog.open(new MemoryHashStore());
    expect(log.stage(hashes.slice(0, 5))).toHaveLength(8);
    expect(log.root).toEqual(root(5));
    await expect(log.inclusionProof(0, 5)).rejects.toEqual(missing);
  });

  it('is not asked for what lies outside the log', async () => {
    const log = await logOf(5);
    const range = expect.objectContaining({ code: 'LOG_RANGE' });
    await expect(log.rootAt(6)).rejects.toEqual(range);
    await expect(log.inclusionProof(5, 5)).rejects.toEqual(range);
    await expect(log.inclusionProof(-1, 5)).rejects.toEqual(range);
    await expect(log.consistencyProof(4, 6)).rejects.toEqual(range);
    await expect(log.consistencyProof(5, 4)).rejects.toEqual(range);
    await expect(log.rootAt(1.5)).rejects.toEqual(range);
  });
});
