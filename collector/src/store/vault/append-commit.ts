import {
  encodeStoredCommit,
  encodeStoredPurged,
  type StoredPurged,
  type TreeHead,
} from '@aliquot/proto';
import type { CatalogChange } from '../catalog/catalog-store.ts';
import type { HistoryPlace } from '../history/history-log.ts';
import { type AcceptedCommit, applyCommit } from './apply.ts';
import { applyPurged } from './apply-purges.ts';
import type { VaultCore } from './core.ts';
import type { LeafPlace } from './effect.ts';
import { purgedRecord } from './purged-record.ts';

export type ReceiptMaker = (
  leafIndex: number,
  head: TreeHead,
) => Pick<AcceptedCommit, 'receipt' | 'receiptBody'>;

/** What approved purges have taken of a commit that comes, or comes again. */
export interface PurgedBefore {
  /** Of each purge that took something, as it is recorded at a leaf. */
  formsAt(leafIndex: number): readonly StoredPurged[];
  /** The commit as the newest of them has left it. */
  readonly form: Uint8Array;
  /** A sweep that was told before looks at what came: until that has ended it stays as it came. */
  readonly isLookedAt: boolean;
}

/**
 * Appends a commit that was accepted, and behind it, in the same step, what purges have left of it:
 * there is no moment in which it is served as it came. What was purged does not even come into the
 * history.
 */
export function appendCommit(
  core: VaultCore,
  commit: Omit<AcceptedCommit, 'leaf' | 'receipt' | 'receiptBody'>,
  { bytes, leaf }: { readonly bytes: Uint8Array; readonly leaf: Uint8Array },
  receiptFor: ReceiptMaker,
  purged?: PurgedBefore,
): Promise<number> {
  let made: ReturnType<ReceiptMaker> | undefined;
  let forms: readonly StoredPurged[] = [];
  const { logEpoch } = core.sums;
  return core.appendLeaf(
    leaf,
    (leafIndex, root) => {
      made = receiptFor(leafIndex, { logEpoch, size: leafIndex + 1, root });
      const stored = { commit: bytes, leaf, receipt: made.receipt };
      const own = { kind: 'commit', payload: encodeStoredCommit(stored) } as const;
      if (purged === undefined) return { own };
      forms = purged.formsAt(leafIndex);
      const after = forms.map((form) => {
        return { kind: 'purged', payload: encodeStoredPurged(form) } as const;
      });
      if (purged.isLookedAt) return { own, after };
      const left = encodeStoredCommit(purgedRecord(stored, purged.form));
      return { own: { kind: 'thinned', payload: left }, after };
    },
    async (change: CatalogChange, place: LeafPlace, places: readonly HistoryPlace[]) => {
      if (made === undefined) throw new TypeError('the record was not made');
      const effects = [await applyCommit(change, { ...commit, ...made, leaf: place })];
      for (const [at, form] of forms.entries()) {
        const stands = places[at];
        if (stands === undefined) throw new TypeError('the history has no place for it');
        effects.push(await applyPurged(change, form, stands, core.registry));
      }
      return (registry) => {
        for (const effect of effects) effect(registry);
      };
    },
  );
}
