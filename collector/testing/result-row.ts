import type { EntryDraft, ResultRow } from '@aliquot/proto';
import { clearHashOf } from '@aliquot/shared/commit/block-leaf';
import type { RowDraft } from '@aliquot/shared/commit/block-seal';
import { MemberSet } from '@aliquot/shared/commit/results';
import { resultIdFor } from '@aliquot/shared/keys/derive';

/** The row of a closed result that has this folder as its root and these members. */
export function resultRowDraft(
  pathKey: Uint8Array,
  { sourceId, class: of, capturedAtMs, list }: EntryDraft,
  members: readonly EntryDraft[],
  change: Partial<ResultRow> = {},
): RowDraft {
  const set = new MemberSet();
  for (const { list: _list, read: _read, ...entry } of members)
    set.add(entry.fileId, entry.size, clearHashOf(entry));
  const row: ResultRow = {
    ...{ kind: 'result', sourceId, class: of, capturedAtMs },
    resultId: resultIdFor(pathKey, list.path),
    size: set.size,
    progress: 'closed',
    grade: 'assumed',
    members: set.count,
    membersRoot: set.root(),
    ...change,
  };
  const words = { profile: 'folder', profileVersion: '1', evidence: '', started: '', ended: '' };
  return { row, list, part: 'none', evidence: words, read: undefined };
}
