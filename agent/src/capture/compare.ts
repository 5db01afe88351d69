import type { KnownFile, KnownFiles } from '../queue/ledger/ledger.ts';
import type { Excluded } from '../source/excludes.ts';
import type { BytePath } from '../source/paths.ts';
import type { Problem } from '../source/problem.ts';
import type { Alike, Difference, FoundItem } from './comparison.ts';
import type { Presence } from './presence.ts';

/** The difference between what a walk found and what the queue knows. */
export type Change =
  /** New (`known` undefined), or not as it was captured. */
  | { readonly type: 'put'; readonly item: FoundItem; readonly known: KnownFile | undefined }
  /** As it was captured. */
  | { readonly type: 'same'; readonly item: FoundItem; readonly known: KnownFile }
  /** As it was captured too: what of that nobody wanted to hear of (`Look.wanted`). */
  | { readonly type: 'alike'; readonly alike: Alike }
  /** Known, and certainly no longer there. */
  | { readonly type: 'gone'; readonly path: BytePath; readonly known: KnownFile }
  /** Cannot be looked at; whatever is known of it stays as it is. */
  | { readonly type: 'problem'; readonly path: BytePath; readonly problem: Problem };

/**
 * What the differences mean: which of the absent files are gone is for `presence` to say. `tell`
 * hears what the exclude patterns took.
 */
export async function* judged(
  differences: AsyncIterable<readonly Difference[]>,
  ledger: Pick<KnownFiles, 'knownIn'>,
  presence: Presence,
  tell: (excluded: Excluded) => void,
): AsyncGenerator<readonly Change[], void, void> {
  for await (const batch of differences) {
    presence.nextBatch();
    const changes: Change[] = [];
    for (const one of batch) {
      switch (one.type) {
        case 'put':
        case 'same': {
          const { item } = one;
          if (item.stat.kind === 'directory') presence.folder(item.path, item.stat.dev);
          const known = one.known === undefined ? undefined : ledger.knownIn(one.known);
          if (known !== undefined && known.kind !== 'directory') presence.saw(item.path);
          if (one.type === 'put') changes.push({ type: 'put', item, known });
          else if (known !== undefined) changes.push({ type: 'same', item, known });
          break;
        }
        case 'absent':
          if (await presence.isGone(one.path))
            changes.push({ type: 'gone', path: one.path, known: ledger.knownIn(one.known) });
          break;
        case 'alike':
          for (const { path, stat } of one.alike.folders) presence.folder(path, stat.dev);
          changes.push(one);
          break;
        case 'problem':
          presence.blind(one.path);
          changes.push(one);
          break;
        case 'excluded':
          tell(one.excluded);
      }
    }
    if (changes.length > 0) yield changes;
  }
}
