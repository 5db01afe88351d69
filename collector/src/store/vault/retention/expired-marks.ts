import type { SetPolicy } from '../../../retention/ruling.ts';
import { rulesUnchangedSince } from '../../../retention/unchanged.ts';
import { ranges, readKey } from '../../catalog/catalog-keys.ts';
import { isSet } from '../../catalog/item-row.ts';
import type { RetentionRuns } from '../../catalog/retention-runs.ts';
import type { VersionPlace } from '../../catalog/version-rows.ts';
import type { VersionMarks } from '../../vault-retention.ts';
import type { VaultCore } from '../core.ts';

interface MarkedSlots {
  readonly run: number;
  readonly slots: Uint8Array;
}

const unmarked: VersionMarks = { expiredBy: undefined, undoneBy: undefined, isVoid: false };

/**
 * Which versions of one history runs have expired: some 100 bytes for each commit of those. It
 * counts as long as nothing has kept the version since: so under the same rules, and while no hold
 * was released that had come later.
 */
export class ExpiredMarks {
  /** By leaf, the oldest run first. */
  readonly #leaves: ReadonlyMap<number, readonly MarkedSlots[]>;
  readonly #runs: RetentionRuns;
  readonly #sincePolicy: number;
  readonly #sinceLeaf: number;

  private constructor(
    leaves: ReadonlyMap<number, readonly MarkedSlots[]>,
    runs: RetentionRuns,
    since: { readonly policy: number; readonly leaf: number },
  ) {
    this.#leaves = leaves;
    this.#runs = runs;
    this.#sincePolicy = since.policy;
    this.#sinceLeaf = since.leaf;
  }

  /**
   * @param history its number (`LineageRow`).
   * @param policies all that were set.
   */
  static async of(
    { catalog, registry }: VaultCore,
    history: number,
    policies: readonly SetPolicy[],
  ): Promise<ExpiredMarks> {
    const leaves = new Map<number, MarkedSlots[]>();
    for (const { run } of registry.runs.all())
      for await (const [key, slots] of catalog.scan(ranges.expiredIn(run, history))) {
        const leafIndex = readKey.expiredLeaf(key);
        const marked = { run, slots: new Uint8Array(slots) };
        const known = leaves.get(leafIndex);
        if (known === undefined) leaves.set(leafIndex, [marked]);
        else known.push(marked);
      }
    const released = registry.holds.all().map((hold) => hold.released?.leaf ?? 0);
    return new ExpiredMarks(leaves, registry.runs, {
      policy: rulesUnchangedSince(policies),
      leaf: Math.max(0, ...released),
    });
  }

  at({ leafIndex, slot }: VersionPlace): VersionMarks {
    const marked = this.#leaves.get(leafIndex);
    if (marked === undefined) return unmarked;
    let { expiredBy, undoneBy, isVoid } = unmarked;
    for (const { run, slots } of marked) {
      const row = isSet(slots, slot) ? this.#runs.run(run) : undefined;
      if (row === undefined) continue;
      const { undone, policy, leafIndex: ran } = row;
      // Until another policy is set.
      if (undone !== undefined && undone.policy >= this.#sincePolicy) undoneBy = run;
      else if (undone !== undefined) continue;
      else if (policy >= this.#sincePolicy && ran >= this.#sinceLeaf) expiredBy = run;
      else isVoid = true;
    }
    return { expiredBy, undoneBy, isVoid };
  }
}
