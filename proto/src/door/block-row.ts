/**
 * FORMAT.md, "VersionBlock": what the columns say of one row, and the numbers by which they say it.
 */
import type {
  BlockRow,
  ContentForm,
  ResultFacts,
  ResultGrade,
  ResultProgress,
  VersionBlock,
} from '../block-types.ts';
import { asChunkId } from '../brand.ts';
import { ID_BYTES } from '../limits.ts';
import type { Completion, Content, EntryKind, FileId, ResultId } from '../types.ts';

/** Numbers of the kinds: 0 is none, and what is not listed is of a later release. */
export const rowKinds: readonly (EntryKind | 'result' | undefined)[] = [
  undefined,
  'file',
  'directory',
  'symlink',
  'gone',
  'result',
];
export const completions: readonly (Completion | undefined)[] = [
  undefined,
  'assumed',
  'proven',
  'growing',
];
export const progresses: readonly (ResultProgress | undefined)[] = [undefined, 'open', 'closed'];
export const grades: readonly (ResultGrade | undefined)[] = [
  undefined,
  'proven',
  'ended',
  'assumed',
  'interrupted',
];

/** Numbers of the forms of content in the column of kinds. */
export const NO_CONTENT = 0;
export const NEXT_PIECE = 1;
export const PIECE = 2;
export const REFERENCE_LIST = 3;
/** The number of the kind of a result. */
export const RESULT = 5;

/** The kind of the row at a place. */
export function rowKind(block: VersionBlock, place: number): EntryKind | 'result' {
  return rowKinds[(block.kinds[place] ?? 0) & 7] as EntryKind | 'result';
}

/** The completion of the row at a place; undefined for a result. */
function rowCompletion(block: VersionBlock, place: number): Completion | undefined {
  return completions[((block.kinds[place] ?? 0) >>> 3) & 3];
}

/** Where the content of the row at a place stands. */
export function contentForm(block: VersionBlock, place: number): ContentForm {
  const form = formOf(block.kinds[place] ?? 0);
  if (form === NO_CONTENT) return 'none';
  return form === REFERENCE_LIST ? 'references' : 'piece';
}

/** The form of content that a byte of the column of kinds says. */
export function formOf(kindByte: number): number {
  return (kindByte >>> 5) & 3;
}

/** Whether the read segment has a hash of the row: of every file that is not growing. */
export function hasWholeHash(block: VersionBlock, place: number): boolean {
  const byte = block.kinds[place] ?? 0;
  return (byte & 7) === 1 && ((byte >>> 3) & 3) !== 3;
}

/** One row, as values of its own. */
export function blockRow(block: VersionBlock, place: number): BlockRow {
  const source = block.sources[block.sourceOf[place] ?? 0];
  if (source === undefined || place >= block.kinds.length)
    throw new RangeError(`a block of ${block.kinds.length} rows has none at ${place}`);
  const id = block.ids.slice(place * ID_BYTES, (place + 1) * ID_BYTES);
  const shared = {
    ...source,
    size: block.sizes[place] ?? 0,
    capturedAtMs: block.capturedMs[place] ?? 0,
  };
  const kind = rowKind(block, place);
  if (kind === 'result') {
    const facts = block.resultRows.get(place) as ResultFacts;
    return { kind, ...shared, ...facts, resultId: id as ResultId };
  }
  return {
    kind,
    ...shared,
    fileId: id as FileId,
    completion: rowCompletion(block, place) ?? 'assumed',
    content: contentOf(block, place),
    resultId: block.results[block.resultOf[place] ?? -1],
  };
}

function contentOf(block: VersionBlock, place: number): Content {
  const references = block.references.get(place);
  if (references !== undefined) return { ...references, piece: 0 };
  const slab = block.slabs[block.slabOf[place] ?? -1];
  if (slab === undefined) return { depth: 0, refs: [], piece: 0 };
  const ref = { id: asChunkId(slab.id), plainSize: block.sizes[place] ?? 0, epoch: slab.epoch };
  return { depth: 0, refs: [ref], piece: (block.pieceOf[place] ?? 0) + 1 };
}
