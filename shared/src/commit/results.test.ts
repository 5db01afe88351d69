import { decodeBlock, type Entry, type ResultRow } from '@aliquot/proto';
import { describe, expect, it } from 'vitest';
import { bareDraft, pieceDraft, resultDraft } from '../../testing/blocks.ts';
import { noise, repeatableRandom } from '../../testing/bytes.ts';
import { clearHashOf } from './block-leaf.ts';
import { blockClearHashes, openBlock } from './block-open.ts';
import { withoutRows } from './block-purge.ts';
import { type RowDraft, sealRows } from './block-seal.ts';
import { checkResults, MemberSet } from './results.ts';
import { CommitRows, resultsBySlot } from './rows.ts';

const random = repeatableRandom('results');
const { resultId } = resultDraft('/data/a.D').row as ResultRow;
const memberOf = (draft: RowDraft): RowDraft => ({
  ...draft,
  row: { ...(draft.row as Entry), resultId },
});
const members = [
  bareDraft('/data/a.D', 'directory'),
  pieceDraft('/data/a.D/one.txt', 'slab', 0),
  pieceDraft('/data/a.D/two.txt', 'slab', 1),
].map(memberOf);

function setOf(of: readonly RowDraft[]): MemberSet {
  const set = new MemberSet();
  for (const { row } of of) {
    const entry = row as Entry;
    set.add(entry.fileId, entry.size, clearHashOf(entry));
  }
  return set;
}

function resultOf(of: readonly RowDraft[], change: Partial<ResultRow> = {}): RowDraft {
  const set = setOf(of);
  return resultDraft('/data/a.D', {
    members: set.count,
    size: set.size,
    membersRoot: set.root(),
    ...change,
  });
}

function rowsOf(...drafts: readonly RowDraft[]): CommitRows {
  return rowsLacking([], ...drafts);
}

/** Without what was lost in these slots since they were signed. */
function rowsLacking(lacking: readonly number[], ...drafts: readonly RowDraft[]): CommitRows {
  const blocks = sealRows(drafts, random).map((sealed) => ({
    block: sealed.bytes,
    root: sealed.root,
    listBox: new Uint8Array(60),
    readBox: new Uint8Array(60),
    formerDigest: undefined,
  }));
  return new CommitRows({ blocks, lacking });
}

const refused = expect.objectContaining({ code: 'COMMIT_RESULT' });

describe('a result that follows its members', () => {
  it('is judged by the rows as they were signed, though versions were lost since', () => {
    const [root, one, two] = members as [RowDraft, RowDraft, RowDraft];
    const later = memberOf(pieceDraft('/data/a.D/one.txt', 'slab', 2));
    const made = resultOf([root, later]);
    expect(() => checkResults(rowsOf(root, one, later, made))).not.toThrow();
    // Of the version that the row is made of, or of one that left the result.
    expect(() => checkResults(rowsLacking([2], root, one, later, made))).not.toThrow();
    const left = { ...two, row: { ...(two.row as Entry), resultId: undefined } };
    const rest = [root, one, two, left, resultOf([root, one])];
    expect(() => checkResults(rowsLacking([3], ...rest))).not.toThrow();
  });

  it('is taken when it says what they are, in whichever order they stand', () => {
    for (const list of [members, [...members].reverse()]) {
      const rows = rowsOf(...list, resultOf(members));
      expect(() => checkResults(rows)).not.toThrow();
      expect([...resultsBySlot(rows).keys()]).toEqual([3]);
      expect(rows.entry(3)).toBeUndefined();
      expect(rows.result(3)).toMatchObject({ kind: 'result', members: 3 });
      expect(rows.result(0)).toBeUndefined();
    }
  });

  it('may have others in commits before', () => {
    expect(() => checkResults(rowsOf(...members.slice(1), resultOf(members)))).not.toThrow();
    expect(() => checkResults(rowsOf(resultOf(members)))).not.toThrow();
  });

  it('counts neither what is gone nor what left it, nor what comes later', () => {
    const [root, one, two] = members as [RowDraft, RowDraft, RowDraft];
    const gone = memberOf(bareDraft('/data/a.D/two.txt', 'gone'));
    const left = { ...two, row: { ...(two.row as Entry), resultId: undefined } };
    for (const last of [gone, left])
      expect(() => checkResults(rowsOf(...members, last, resultOf([root, one])))).not.toThrow();
    expect(() => checkResults(rowsOf(root, one, resultOf([root, one]), two))).not.toThrow();
  });

  it.each<[string, Partial<ResultRow>]>([
    ['fewer members', { members: 2 }],
    ['fewer bytes', { size: 2000 }],
    ['more bytes', { size: 2002 }],
    ['another root', { membersRoot: noise('other', 32) }],
  ])('is refused with %s', (_, change) => {
    expect(() => checkResults(rowsOf(...members, resultOf(members, change)))).toThrow(refused);
  });

  it('has one row in a commit: what comes after it is for the next', () => {
    const [root, one, two] = members as [RowDraft, RowDraft, RowDraft];
    const rows = rowsOf(root, one, resultOf([root, one]), two, resultOf(members));
    expect(() => checkResults(rows)).toThrow(refused);
  });

  it('is refused with bytes of no members', () => {
    expect(() => checkResults(rowsOf(resultOf([], { size: 1 })))).toThrow(refused);
    expect(() => checkResults(rowsOf(resultOf([])))).not.toThrow();
  });
});

describe('the proof of a result', () => {
  it('still holds, without a key, after one of its members was purged', () => {
    const [sealed] = sealRows([...members, resultOf(members)], random);
    if (sealed === undefined) throw new Error('nothing was sealed');
    const open = openBlock(decodeBlock(sealed.bytes), sealed);
    const { bytes } = withoutRows(open, new Set([1]), random);
    const block = decodeBlock(bytes);
    const row = block.resultRows.get(2);
    const hashes = blockClearHashes(block);
    const told = (hashOf: (at: number) => Uint8Array | undefined): MemberSet => {
      const set = new MemberSet();
      for (const [at, { row: of }] of members.entries()) {
        const { fileId, size } = of as Entry;
        set.add(fileId, size, hashOf(at) ?? noise('none', 32));
      }
      return set;
    };
    expect(block.purged.map(({ number }) => number)).toEqual([1]);
    expect(row?.membersRoot).toEqual(told((at) => hashes[at]).root());
    // No other hash in the purged one's place does.
    const other = told((at) => (at === 1 ? noise('x', 32) : hashes[at]));
    expect(row?.membersRoot).not.toEqual(other.root());
  });
});
