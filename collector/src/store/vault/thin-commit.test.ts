import {
  asChunkId,
  type CommitBlock,
  decodeBlock,
  decodeSignedCommit,
  decodeStoredCommit,
  encodeSignedCommit,
  encodeStoredCommit,
  type StoredCommit,
  type VersionBlock,
} from '@aliquot/proto';
import { openBlock } from '@aliquot/shared/commit/block-open';
import { withoutRows } from '@aliquot/shared/commit/block-purge';
import { verifyCommit } from '@aliquot/shared/commit/commit';
import { formerOf, type HeldBlock } from '@aliquot/shared/commit/held-block';
import { openBlockKey, openCommitKeys, sealBlockKey } from '@aliquot/shared/commit/keys';
import { purgedCommit } from '@aliquot/shared/commit/purge';
import { readCommit } from '@aliquot/shared/commit/rows';
import { describe, expect, test } from 'vitest';
import { content, StoreWorld, WorldAgent } from '../../../testing/store/world.ts';
import { contentsOf } from '../catalog/named-contents.ts';
import { type BlockChanges, thinned } from './thin-commit.ts';

const world = new StoreWorld('thin');
const agent = new WorldAgent(world, 'hplc-1');
const certificate = { enrolment: agent.enrolmentBody, binding: bindingBody() };
const expected = { vaultId: world.descriptor.vaultId, agent: certificate };

function bindingBody() {
  const { vaultId } = world.descriptor;
  return {
    ...{ version: 1 as const, vaultId, agentId: agent.agentId },
    ...{ signKey: agent.signKey.publicKey, boxKey: new Uint8Array(32) },
  };
}

/** Three blocks: files of chunks and of a slab, the same files again, a result behind its member. */
function made(): StoredCommit {
  const chunks = agent.file('/large', [content('one', 900), content('two', 800)]);
  const small = agent.small({ '/a': content('a', 40), '/b': content('b', 50) });
  const member = agent.membersOf('/run.D', [agent.file('/run.D/x', [content('x', 70)]).draft]);
  const first = [chunks.draft, ...small.map(({ draft }) => draft), agent.gone('/old')];
  const again = agent.file('/large', [content('one', 900), content('three', 700)]).draft;
  const built = agent.build([...first, again, ...member], {
    results: [agent.result('/run.D', member)],
  });
  return {
    commit: built.bytes,
    leaf: content('leaf', 60),
    receipt: { body: content('receipt', 90), signature: content('signature', 64) },
  };
}

const nothing: BlockChanges = { gone: new Set(), replaced: new Map() };
const gone = (...blocks: readonly number[]): BlockChanges => ({
  ...nothing,
  gone: new Set(blocks),
});
const all = () => true;
const code = (of: string) => expect.objectContaining({ code: of });

/** What a replay goes by, of each row. */
function appliedRows({ commit, facts }: StoredCommit) {
  const rows: unknown[] = [];
  readCommit(commit, facts).rows.each((block: VersionBlock, place, slot) => {
    const result = block.results[block.resultOf[place] ?? -1];
    rows.push({
      slot,
      // The form of the content is the facts' own.
      kind: (block.kinds[place] ?? 0) & 0b1001_1111,
      id: Buffer.from(block.ids.subarray(place * 16, place * 16 + 16)).toString('hex'),
      size: block.sizes[place],
      capturedMs: block.capturedMs[place],
      result: result === undefined ? undefined : Buffer.from(result).toString('hex'),
    });
  });
  return rows;
}

function reread(stored: StoredCommit): StoredCommit {
  return decodeStoredCommit(encodeStoredCommit(stored));
}

describe('a thinned commit', () => {
  const whole = made();
  const { blocks } = readCommit(whole.commit).rows;

  test.each([
    ['one block', [0]],
    ['another', [1]],
    ['two', [0, 2]],
    ['all', [0, 1, 2]],
  ])(
    'of which %s is gone verifies, is smaller, and says of each row what a replay needs',
    (_, at) => {
      expect(blocks.length).toBe(3);
      const after = reread(thinned(whole, gone(...at), all));
      const verified = verifyCommit(after.commit, expected);
      expect(verified.hash).toEqual(readCommit(whole.commit).hash);
      expect(verified.rows.count).toBe(readCommit(whole.commit).rows.count);
      expect(encodeStoredCommit(after).length).toBeLessThan(encodeStoredCommit(whole).length);
      expect(appliedRows(after)).toEqual(appliedRows(whole));
      const [before, now] = [whole, after].map(
        ({ commit, facts }) => readCommit(commit, facts).rows,
      );
      expect(contentsOf(now ?? verified.rows)).toEqual(contentsOf(before ?? verified.rows));
      expect(now?.summary).toEqual(before?.summary);
      // What is left is there as it was, and of what went nothing.
      for (const [index, { rows, from }] of blocks.entries())
        for (const number of rows.numbers) {
          const [was, is] = [
            readCommit(whole.commit).rows.placeOf(from + number),
            verified.rows.placeOf(from + number),
          ];
          expect(is).toEqual(at.includes(index) ? undefined : was);
        }
    },
  );

  test('says nothing of chunks that nobody has any more, but for pieces of slabs', () => {
    const [first] = contentsOf(readCommit(whole.commit).rows).lists;
    const dead = Buffer.from(first?.refs[0]?.id ?? asChunkId(new Uint8Array(32)));
    const after = thinned(whole, gone(0, 1), (id) => !dead.equals(id));
    const bytes = Buffer.from(encodeStoredCommit(after));
    expect(bytes.includes(dead)).toBe(false);
    expect(bytes.includes(Buffer.from(first?.refs[1]?.id ?? dead))).toBe(true);
    expect(appliedRows(after)).toEqual(appliedRows(whole));
    expect(contentsOf(readCommit(after.commit, after.facts).rows).slabs).toEqual(
      contentsOf(readCommit(whole.commit).rows).slabs,
    );
  });

  test('is thinned again: what was gone stays gone, and what is needed no more goes', () => {
    const once = thinned(whole, gone(0), all);
    const twice = thinned(once, gone(1, 2), all);
    expect(twice).toEqual(thinned(whole, gone(0, 1, 2), all));
    expect(encodeStoredCommit(thinned(once, nothing, () => false)).length).toBeLessThan(
      encodeStoredCommit(once).length,
    );
  });

  test('takes a block that was sealed anew without some of its rows, and keeps their facts', () => {
    const { descriptor, kit, random } = world;
    const commit = decodeSignedCommit(whole.commit);
    const { header, wraps } = readCommit(whole.commit);
    const boxKey = { publicKey: descriptor.vaultKey, secretKey: kit.vaultSecretKey };
    const { listKey, readKey } = openCommitKeys(wraps, boxKey, 'vault', header);
    if (listKey === undefined || readKey === undefined) throw new Error('both keys were wrapped');
    const held = readCommit(whole.commit).rows.blocks[0] as HeldBlock;
    const one = commit.blocks[0] as CommitBlock;
    const opened = openBlock(decodeBlock(one.block), {
      listKey: openBlockKey('list', listKey, one.listBox),
      readKey: openBlockKey('read', readKey, one.readBox),
    });
    const anew = withoutRows(opened, new Set([1, 3]), random);
    const replaced: CommitBlock = {
      ...{ block: anew.bytes, root: one.root, ...formerOf(held) },
      listBox: sealBlockKey('list', listKey, anew.listKey, random),
      readBox: sealBlockKey('read', readKey, anew.readKey, random),
    };
    const after = thinned(whole, { ...nothing, replaced: new Map([[0, replaced]]) }, all);
    const verified = verifyCommit(after.commit, expected);
    expect([0, 1, 2, 3].map((slot) => verified.rows.placeOf(slot)?.place)).toEqual([
      ...[0, undefined, 1, undefined],
    ]);
    expect(appliedRows(reread(after))).toEqual(appliedRows(whole));
    // Then that block goes, too.
    const gone0 = thinned(after, gone(0), all);
    verifyCommit(gone0.commit, expected);
    expect(appliedRows(reread(gone0))).toEqual(appliedRows(whole));
  });

  test('is purged as any other: what was gone stays as it is', () => {
    const { descriptor, kit, random } = world;
    const after = thinned(whole, gone(1), all);
    const { header, wraps, rows } = readCommit(after.commit);
    const boxKey = { publicKey: descriptor.vaultKey, secretKey: kit.vaultSecretKey };
    const { listKey, readKey } = openCommitKeys(wraps, boxKey, 'vault', header);
    if (listKey === undefined || readKey === undefined) throw new Error('both keys were wrapped');
    const what = { slots: new Set([0]), opensPurged: () => false };
    const bytes = purgedCommit(after.commit, { rows }, { listKey, readKey }, what, random);
    const verified = verifyCommit(bytes ?? new Uint8Array(0), expected);
    expect(verified.rows.lacking).toBe(1 + (blocks[1]?.rows.count ?? 0));
    expect(verified.rows.summary).toEqual(readCommit(whole.commit).rows.summary);
  });

  test('is no first submission, and proves what it was: another root, digest, hash or number is refused', () => {
    const after = thinned(whole, gone(1), all);
    const first = { ...expected, firstSubmission: true };
    expect(() => verifyCommit(after.commit, first)).toThrow(code('COMMIT_INCOMPLETE'));
    const other = content('other', 32);
    const changed = (change: Partial<CommitBlock>): Uint8Array => {
      const commit = decodeSignedCommit(after.commit);
      const changes = commit.blocks.map((one, at) => (at === 1 ? { ...one, ...change } : one));
      return encodeSignedCommit({ ...commit, blocks: changes });
    };
    verifyCommit(changed({}), expected);
    for (const change of [
      { root: other },
      { formerDigest: other },
      { gone: { rowsHash: other } },
      { formerMarks: content('marks', 8 * (blocks[1]?.rows.count ?? 0)) },
    ])
      expect(() => verifyCommit(changed(change), expected)).toThrow(code('COMMIT_ENTRIES'));
    expect(() => verifyCommit(changed({ formerMarks: content('marks', 72) }), expected)).toThrow(
      code('COMMIT_ENTRY_COUNT'),
    );
  });

  test('with facts of rows that it has, or of another block, is none', () => {
    const after = thinned(whole, gone(1), all);
    const [facts] = after.facts ?? [];
    if (facts === undefined) throw new Error('facts were kept');
    for (const block of [0, 2, 3])
      expect(() => readCommit(after.commit, [{ ...facts, block }]).rows.count).toThrow(
        code('FORMAT_MALFORMED'),
      );
    expect(() => readCommit(whole.commit, [facts]).rows.count).toThrow(code('FORMAT_MALFORMED'));
  });
});
