import { createHash } from 'node:crypto';
import {
  encodeStoredExpired,
  type LeafSlots,
  type LineageId,
  MAX_EXPIRED_LEAVES,
  type StoredExpired,
} from '@aliquot/proto';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { withBit } from '../../catalog/item-row.ts';
import type { JudgedSubject } from '../../vault-retention.ts';
import { Amount } from './evaluation.ts';

/** What one run appends: the rest goes with the next one. */
const MOST_RUN_BYTES = 4 * 1024 * 1024;
const MOST_RUN_LEAVES = 65_536;
const MOST_RECORD_BYTES = 1024 * 1024;
const LEAF_BYTES = 16;

interface GoingLeaf {
  slots: Uint8Array;
  readonly sizes: number[];
}

/** What a run is to expire, as its event tells it. */
export interface RunRecords {
  readonly records: readonly StoredExpired[];
  readonly amount: Amount;
  readonly sum: Uint8Array;
}

/**
 * Gathers what a run lets go, history by history, into records; memory is one history's and what a
 * run appends at most, some 10 MB.
 */
export class ExpiredRecords {
  readonly #run: number;
  readonly #mostLeaves: number;
  #branchId: LineageId | undefined;
  /** By PC, then by leaf. */
  #going = new Map<string, Map<number, GoingLeaf>>();
  #part = 0;
  readonly #all = { amount: new Amount(), sum: createHash('sha256') };
  readonly #first = { amount: new Amount(), sum: createHash('sha256') };
  readonly #records: StoredExpired[] = [];
  #bytes = 0;
  #leaves = 0;
  #isFull = false;

  /** `mostLeaves`: test only, to make many runs of one. */
  constructor(run: number, mostLeaves = MOST_RUN_LEAVES) {
    this.#run = run;
    this.#mostLeaves = mostLeaves;
  }

  /** Takes in what goes of a file or result. Those of one history come together. */
  take({ branchId, facts, versions }: JudgedSubject, isGoing: (at: number) => boolean): void {
    if (this.#branchId === undefined || !equalBytes(this.#branchId, branchId)) {
      this.#writeHistory();
      this.#branchId = branchId;
    }
    for (const [at, { leafIndex, slot, size }] of versions.entries()) {
      if (!isGoing(at)) continue;
      const agent = facts.versions[at]?.ruling.agent ?? '';
      const leaves = this.#going.get(agent) ?? new Map<number, GoingLeaf>();
      this.#going.set(agent, leaves);
      const leaf = leaves.get(leafIndex) ?? { slots: new Uint8Array(0), sizes: [] };
      leaves.set(leafIndex, leaf);
      leaf.slots = withBit(leaf.slots, slot);
      leaf.sizes.push(size);
    }
  }

  /** Everything that goes, whether or not one run can expire it. */
  all(): Omit<RunRecords, 'records'> {
    this.#writeHistory();
    return { amount: this.#all.amount, sum: new Uint8Array(this.#all.sum.copy().digest()) };
  }

  /** What one run expires of it. */
  first(): RunRecords {
    this.#writeHistory();
    const { amount, sum } = this.#first;
    return { records: this.#records, amount, sum: new Uint8Array(sum.copy().digest()) };
  }

  /** Whether more goes than one run expires. */
  get isMore(): boolean {
    return this.#isFull;
  }

  #writeHistory(): void {
    const branchId = this.#branchId;
    if (branchId === undefined) return;
    for (const [agent, leaves] of [...this.#going].sort(([a], [b]) => (a < b ? -1 : 1))) {
      let some: [number, GoingLeaf][] = [];
      let bytes = 0;
      for (const one of [...leaves].sort(([a], [b]) => a - b)) {
        some.push(one);
        bytes += one[1].slots.length + LEAF_BYTES;
        if (some.length < MAX_EXPIRED_LEAVES && bytes < MOST_RECORD_BYTES) continue;
        this.#write(branchId, agent, some);
        [some, bytes] = [[], 0];
      }
      if (some.length > 0) this.#write(branchId, agent, some);
    }
    this.#going = new Map();
    this.#branchId = undefined;
  }

  #write(
    branchId: LineageId,
    agent: string,
    leaves: readonly (readonly [number, GoingLeaf])[],
  ): void {
    const slots = leaves.map(([leafIndex, leaf]): LeafSlots => ({ leafIndex, slots: leaf.slots }));
    const record = { run: this.#run, part: this.#part, branchId, agent, leaves: slots };
    this.#part += 1;
    const encoded = encodeStoredExpired(record);
    this.#all.sum.update(encoded);
    const isFull =
      this.#records.length > 0 &&
      (this.#bytes + encoded.length > MOST_RUN_BYTES ||
        this.#leaves + slots.length > this.#mostLeaves);
    if (isFull) this.#isFull = true;
    for (const [, { sizes }] of leaves)
      for (const size of sizes) {
        this.#all.amount.add(size);
        if (!this.#isFull) this.#first.amount.add(size);
      }
    if (this.#isFull) return;
    this.#first.sum.update(encoded);
    this.#records.push(record);
    this.#bytes += encoded.length;
    this.#leaves += slots.length;
  }
}
