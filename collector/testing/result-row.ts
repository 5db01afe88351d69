import type { EntryDraft, ResultRow } from '@aliquot/proto';
import { clearHashOf } from '@aliquot/shared/commit/block-leaf';
import type { RowDraft } from '@aliquot/shared/commit/block-seal';
import { membersRootOf } from '@aliquot/shared/commit/results';
import { resultIdFor } from '@aliquot/shared/keys/derive';

/** The row of a closed result that has this folder as its root and these members. */
export function resultRowDraft(
  pathKey: Uint8Array,
  { sourceId, class: of, capturedAtMs, list }: EntryDraft,
  members: readonly EntryDraft[],
  change: Partial<ResultRow> = {},
): RowDraft {
  const row: ResultRow = {
    ...{ kind: 'result', sourceId, class: of, capturedAtMs },
    resultId: resultIdFor(pathKey, list.path),
    size: members.reduce((sum, { size }) => sum + size, 0),
    progress: 'closed',
    grade: 'assumed',
    members: members.length,
    membersRoot: membersRootOf(
      members.map(({ list: _list, read: _read, ...entry }) => ({
        fileId: entry.fileId,
        clearHash: clearHashOf(entry),
      })),
    ),
    ...change,
  };
  const words = { profile: 'folder', profileVersion: '1', evidence: '', started: '', ended: '' };
  return { row, list, part: 'none', evidence: words, read: undefined };
}
