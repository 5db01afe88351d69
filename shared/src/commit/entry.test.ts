import { asFileId, decodeEntry, type Entry, type EntryDraft } from '@aliquot/proto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { flipped, noise, repeatableRandom, toHex } from '../../testing/bytes.ts';
import { fileDraft } from '../../testing/vault.ts';
import { entryKey, openList, openListWith, openRead, openReadWith, sealEntry } from './entry.ts';

const listKey = noise('list key', 32);
const readKey = noise('read key', 32);
const code = (expected: string) => expect.objectContaining({ code: expected });
const sealedError = code('COMMIT_ENTRY_SEALED');

const random = repeatableRandom('entries');
const seal = (draft: EntryDraft): Entry => decodeEntry(sealEntry(draft, listKey, readKey, random));

const nothing = { size: 0, content: { depth: 0, piece: 0, refs: [] }, read: undefined };
const { list } = fileDraft('/data/run');
const drafts: Record<string, EntryDraft> = {
  file: fileDraft('/data/run/sample.raw'),
  'empty file': fileDraft('/data/empty', {
    size: 0,
    content: { depth: 0, piece: 0, refs: [] },
    read: { sha256: noise('empty', 32), keys: [] },
  }),
  directory: fileDraft('/data/run', { ...nothing, kind: 'directory' }),
  symlink: fileDraft('/data/link', {
    ...nothing,
    kind: 'symlink',
    list: { ...list, linkTarget: Uint8Array.of(46, 46, 0xff) },
  }),
  gone: fileDraft('/data/old', { ...nothing, kind: 'gone' }),
  'raw name before 1970': fileDraft('/data/raw', {
    list: { ...list, path: Uint8Array.of(0x2f, 0xff, 0xfe, 0x0a), mtimeNs: -1n },
  }),
};

describe('an entry', () => {
  it.each(Object.entries(drafts))(
    'P2: gives names, times, hash and keys of a %s back',
    (_, draft) => {
      const entry = seal(draft);
      expect(openList(entry, listKey)).toEqual(draft.list);
      if (draft.read !== undefined) expect(openRead(entry, readKey)).toEqual(draft.read);
      const { list: _list, read: _read, ...clear } = draft;
      expect(entry).toMatchObject(clear);
    },
  );

  it('P3: shows neither name nor hash nor key', () => {
    const draft = drafts['file'] as EntryDraft;
    const bytes = Buffer.from(sealEntry(draft, listKey, readKey, random));
    expect(bytes.includes('sample.raw')).toBe(false);
    expect(bytes.includes(Buffer.from(draft.read?.sha256 ?? []))).toBe(false);
    for (const key of draft.read?.keys ?? []) expect(bytes.includes(Buffer.from(key))).toBe(false);
  });

  it('of the same draft is another one each time, so that a purged entry cannot be guessed from its hash', () => {
    const draft = drafts['file'] as EntryDraft;
    const [first, second] = [seal(draft), seal(draft)];
    expect(second.salt).not.toEqual(first.salt);
    expect(second.sealedList).not.toEqual(first.sealedList);
  });

  it('opens its names without opening its content, and the reverse', () => {
    const entry = seal(drafts['file'] as EntryDraft);
    expect(() => openRead(entry, listKey)).toThrow(sealedError);
    expect(() => openList(entry, readKey)).toThrow(sealedError);
  });
});

describe('a grant of one entry', () => {
  it('P3: opens this entry and no other, of the same file or of any other', () => {
    const draft = drafts['file'] as EntryDraft;
    const granted = seal(draft);
    const others = [seal(draft), seal(fileDraft('/data/run/other.raw'))];
    const keys = {
      list: entryKey('list', listKey, granted),
      read: entryKey('read', readKey, granted),
    };
    expect(openListWith(granted, keys.list)).toEqual(draft.list);
    expect(openReadWith(granted, keys.read)).toEqual(draft.read);
    for (const other of others) {
      expect(() => openListWith(other, keys.list)).toThrow(sealedError);
      expect(() => openReadWith(other, keys.read)).toThrow(sealedError);
    }
    expect(() => openReadWith(granted, keys.list)).toThrow(sealedError);
    expect(() => openList(granted, keys.list)).toThrow(sealedError);
  });

  it('has keys that are its own: never those of another salt, file, purpose or commit', () => {
    const entry = { salt: noise('salt', 16), fileId: asFileId(noise('file', 32)) };
    const keys = [
      entryKey('list', listKey, entry),
      entryKey('read', listKey, entry),
      entryKey('list', readKey, entry),
      entryKey('list', listKey, { ...entry, salt: noise('salt 2', 16) }),
      entryKey('list', listKey, { ...entry, fileId: asFileId(noise('file 2', 32)) }),
    ];
    expect(new Set(keys.map(toHex)).size).toBe(keys.length);
  });
});

describe('an entry that was touched', () => {
  const entry = seal(drafts['file'] as EntryDraft);
  const { content } = entry;
  const [ref] = content.refs;
  if (ref === undefined) throw new Error('the draft has one chunk');

  it.each([
    ['kind', { kind: 'gone', size: 0, content: { depth: 0, piece: 0, refs: [] } }],
    ['salt', { salt: flipped(entry.salt, 0) }],
    ['source', { sourceId: flipped(entry.sourceId, 15) }],
    ['class', { class: 'other' }],
    ['file id', { fileId: flipped(entry.fileId, 31) }],
    ['size', { size: 101, content: { depth: 0, piece: 0, refs: [{ ...ref, plainSize: 101 }] } }],
    ['capture time', { capturedAtMs: entry.capturedAtMs + 1 }],
    ['completion', { completion: 'proven' }],
    ['depth', { content: { ...content, depth: 1 } }],
    ['chunk id', { content: { depth: 0, piece: 0, refs: [{ ...ref, id: flipped(ref.id, 0) }] } }],
    ['chunk epoch', { content: { depth: 0, piece: 0, refs: [{ ...ref, epoch: 2 }] } }],
    [
      'chunk count',
      {
        content: {
          depth: 0,
          refs: [
            { ...ref, plainSize: 50 },
            { ...ref, plainSize: 50 },
          ],
        },
      },
    ],
  ])('P5: with another %s opens neither names nor content', (_, change) => {
    const changed = { ...entry, ...change } as Entry;
    expect(() => openList(changed, listKey)).toThrow(sealedError);
    expect(() => openRead(changed, readKey)).toThrow(sealedError);
  });

  it('P5: with a sealed part of another entry does not open it', () => {
    const other = seal(fileDraft('/data/run/other.raw'));
    expect(() => openList({ ...entry, sealedList: other.sealedList }, listKey)).toThrow(
      sealedError,
    );
    expect(() => openRead({ ...entry, sealedRead: other.sealedRead }, readKey)).toThrow(
      sealedError,
    );
    expect(() =>
      openListWith({ ...entry, sealedList: other.sealedList }, entryKey('list', listKey, other)),
    ).toThrow(sealedError);
  });

  it('P2: with any bit of a sealed part turned does not open it', () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(7), (at, bit) => {
        const { sealedList, sealedRead } = entry;
        expect(() =>
          openList(
            { ...entry, sealedList: flipped(sealedList, at % sealedList.length, bit) },
            listKey,
          ),
        ).toThrow(sealedError);
        expect(() =>
          openRead(
            { ...entry, sealedRead: flipped(sealedRead, at % sealedRead.length, bit) },
            readKey,
          ),
        ).toThrow(sealedError);
      }),
      { verbose: true },
    );
  });
});

describe('a draft that contradicts itself is not sealed', () => {
  const file = drafts['file'] as EntryDraft;
  it.each<[string, Partial<EntryDraft>, string]>([
    ['fewer keys than chunks', { read: { sha256: noise('x', 32), keys: [] } }, 'COMMIT_ENTRY_KEYS'],
    ['a size that its chunks do not add up to', { size: 99 }, 'FORMAT_MALFORMED'],
    ['a file without hash and keys', { read: undefined }, 'FORMAT_MALFORMED'],
    ['a folder with content', { kind: 'directory' }, 'FORMAT_MALFORMED'],
    [
      'a symbolic link with a hash',
      { ...nothing, kind: 'symlink', read: { sha256: noise('x', 32), keys: [] } },
      'FORMAT_MALFORMED',
    ],
  ])('%s', (_, change, refusal) => {
    expect(() => sealEntry({ ...file, ...change }, listKey, readKey, random)).toThrow(
      code(refusal),
    );
  });
});
