import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type ChunkId,
  decodeEntryDraft,
  type EntryDraft,
  encodeEntryDraft,
  type FileId,
  type ResultId,
  type SourceId,
} from '../index.ts';
import { pieceDraftBytes } from './draft-writer.ts';

const ofLength = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const edges = (least: number, most: number) =>
  fc.oneof(
    fc.integer({ min: least, max: most }),
    fc.constantFrom(least, 127, 128, 16_383, 16_384, most).filter((n) => n >= least && n <= most),
  );
const times = fc.oneof(
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.constantFrom(0n, -1n, 1n, 63n, 64n, 2n ** 27n, 2n ** 55n, 1_790_000_000_123_456_789n),
);

/** Files that are one piece of a slab, at and around every length of a number. */
const pieceDraft: fc.Arbitrary<EntryDraft> = fc
  .record({
    ids: fc.record({ source: ofLength(16), file: ofLength(16), item: ofLength(32) }),
    class: fc.stringMatching(/^[a-z0-9-]{1,64}$/),
    size: edges(1, 65_536),
    capturedAtMs: edges(0, 8_640_000_000_000_000),
    completion: fc.constantFrom('assumed' as const, 'proven' as const),
    piece: edges(1, 256),
    epoch: edges(1, 0xffff_ffff),
    path: fc.oneof(
      fc.array(fc.integer({ min: 1, max: 255 }), { minLength: 1, maxLength: 200 }),
      fc.constantFrom(55, 56, 57, 120, 16_300, 16_384, 32_768).map((n) => Array(n).fill(0x61)),
    ),
    part: fc.double({ min: 0, max: 1, noNaN: true }),
    mtimeNs: times,
    posix: fc.boolean(),
    mode: edges(0, 0o7777),
    sha256: ofLength(32),
    key: ofLength(32),
    resultId: fc.option(ofLength(16), { nil: undefined }),
    slabKey: fc.option(ofLength(32), { nil: undefined }),
  })
  .map(({ ids, path, part, posix, mode, piece, epoch, sha256, key, ...value }) => ({
    kind: 'file',
    sourceId: ids.source as SourceId,
    class: value.class,
    fileId: ids.file as FileId,
    size: value.size,
    capturedAtMs: value.capturedAtMs,
    completion: value.completion,
    content: { depth: 0, piece, refs: [{ id: ids.item as ChunkId, plainSize: value.size, epoch }] },
    resultId: value.resultId as ResultId | undefined,
    list: {
      platform: posix ? 'posix' : 'windows',
      path: Uint8Array.from(path),
      resultPathLength: Math.floor(part * path.length),
      mtimeNs: value.mtimeNs,
      mode: posix ? mode : 0,
      attributes: posix ? 0 : mode,
      linkTarget: new Uint8Array(0),
    },
    read: { sha256, keys: [key] },
    ...(value.slabKey === undefined ? {} : { slabKey: value.slabKey }),
  }));

describe('the draft of a piece, written at once', () => {
  it('is what the codec takes for its own bytes', () => {
    fc.assert(
      fc.property(pieceDraft, (draft) => {
        const bytes = pieceDraftBytes(draft);
        expect(bytes).toBeDefined();
        // The codec writes each draft that it reads again, and refuses any other bytes.
        expect(decodeEntryDraft(bytes as Uint8Array)).toEqual({ slabKey: undefined, ...draft });
      }),
    );
  });

  it.each<[string, (draft: EntryDraft) => EntryDraft]>([
    ['a size that is not the piece’s', (draft) => ({ ...draft, size: draft.size + 1 })],
    ['a file that grows', (draft) => ({ ...draft, completion: 'growing' })],
    ['a class of capitals', (draft) => ({ ...draft, class: 'RAW' })],
    ['a folder', (draft) => ({ ...draft, kind: 'directory' })],
    ['no key', (draft) => ({ ...draft, read: { sha256: new Uint8Array(32), keys: [] } })],
    ['a short hash', (draft) => ({ ...draft, read: { sha256: new Uint8Array(31), keys: [] } })],
    ['a short id', (draft) => ({ ...draft, fileId: new Uint8Array(15) as FileId })],
    ['a time of no number', (draft) => ({ ...draft, capturedAtMs: Number.NaN })],
    [
      'a path with a zero byte',
      (draft) => ({ ...draft, list: { ...draft.list, path: Uint8Array.of(0x61, 0) } }),
    ],
    [
      'a result longer than its path',
      (draft) => ({ ...draft, list: { ...draft.list, resultPathLength: 40_000 } }),
    ],
  ])('is left to the codec, which refuses it, with %s', (_, damaged) => {
    const [draft] = fc.sample(pieceDraft, { numRuns: 1, seed: 7 });
    const wrong = damaged(draft as EntryDraft);
    expect(pieceDraftBytes(wrong)).toBeUndefined();
    expect(() => encodeEntryDraft(wrong)).toThrow();
  });
});
