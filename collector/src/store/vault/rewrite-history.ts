import { isForeseen } from '@aliquot/shared/durable/unexpected';
import { isDamaged, StoreError } from '../errors.ts';
import type { HistoryItem, HistoryRecord } from '../history/history-log.ts';
import type { VaultCore } from './core.ts';
import type { CoreKeeper } from './core-keeper.ts';
import { putInForce, type WrittenAnew, writeChanged } from './written-anew.ts';

const MOST_TRIES = 3;

/** What became of a closed file that was to be written anew. */
export type RewriteOutcome =
  | { readonly type: 'written'; readonly bytes: number }
  /** It stays as it is, for damage in it. */
  | { readonly type: 'kept'; readonly why: string }
  /** The core was opened again meanwhile: whoever goes on begins anew. */
  | { readonly type: 'reopened' };

/**
 * Writes a closed file of the history anew, each record as `changed` gives it, and puts it in
 * force. It is read and written beside the queue; where a commit was mended meanwhile, what was read may
 * be what had rotted, so it is written again (I-C17). Within `keeper.rewriting`, for the next
 * generation of a file is one: two would each know of the other's places.
 */
export async function rewriteHistoryFile(
  { keeper, core }: { readonly keeper: CoreKeeper; readonly core: VaultCore },
  file: number,
  changed: (item: HistoryItem, leafIndex: number) => Promise<HistoryRecord>,
): Promise<RewriteOutcome> {
  for (let tries = 1; tries <= MOST_TRIES; tries += 1) {
    const { mends } = core;
    let anew: WrittenAnew;
    try {
      anew = await writeChanged(core, file, changed);
    } catch (error) {
      // The files of a core whose place another one has taken are closed, and may be gone.
      if (isForeseen(error) && keeper.live() !== core) return { type: 'reopened' };
      const isFiles = error instanceof StoreError && error.code === 'STORE_CORRUPT';
      if (!isFiles && !isDamaged(error)) throw error;
      if (core.mends !== mends) continue;
      return { type: 'kept', why: (error as StoreError).message };
    }
    const outcome = await keeper.do(async (now): Promise<RewriteOutcome | undefined> => {
      if (now !== core) return { type: 'reopened' };
      if (core.mends !== mends) {
        await core.history.discard(anew.file);
        return undefined;
      }
      await putInForce(core, anew, () => keeper.flushHere(core));
      return { type: 'written', bytes: anew.file.bytes };
    });
    if (outcome !== undefined) return outcome;
  }
  return { type: 'kept', why: 'a commit was mended each time while it was written' };
}
