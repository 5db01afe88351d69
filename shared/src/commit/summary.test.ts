import { asFileId, decodeBlock } from '@aliquot/proto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { repeatableRandom, toHex } from '../../testing/bytes.ts';
import { fileDraft } from '../../testing/vault.ts';
import { sealDrafts } from './block-seal.ts';
import { blockMarks, summaryOf } from './summary.ts';

const random = repeatableRandom('summaries');

/** A file whose id is `byte` sixteen times. */
const draftOf = (byte: number, isGone: boolean) => {
  const fileId = asFileId(new Uint8Array(16).fill(byte));
  const { list, ...draft } = fileDraft(`/data/${byte}`, { fileId });
  return isGone
    ? {
        ...draft,
        list,
        kind: 'gone' as const,
        size: 0,
        content: { depth: 0, refs: [], piece: 0 },
        read: undefined,
      }
    : { ...draft, list };
};

const markOf = (byte: number, isGone: boolean): string => {
  const beginning = toHex(new Uint8Array(7).fill(byte));
  return beginning + toHex(Uint8Array.of((byte & 0xfc) | (isGone ? 1 : 0)));
};

describe('the summary of a commit', () => {
  it('has each file once, as its last row says, in rising order, in however many blocks', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 60 }), fc.boolean()), { minLength: 1 }),
        (rows) => {
          const drafts = rows.map(([number, isGone]) => draftOf(4 * number, isGone));
          const blocks = sealDrafts(drafts, random);
          const last = new Map(rows.map(([number, isGone]) => [4 * number, isGone]));
          const expected = [...last]
            .map(([byte, isGone]) => markOf(byte, isGone))
            .sort()
            .join('');
          expect(toHex(summaryOf(blocks.map(({ marks }) => marks)))).toBe(expected);
          // Whoever has the rows makes it again.
          const again = blocks.map(({ bytes }) => blockMarks(decodeBlock(bytes)));
          expect(toHex(summaryOf(again))).toBe(expected);
        },
      ),
    );
  });
});
