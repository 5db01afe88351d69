import {
  asCommitHash,
  type EntryDraft,
  type EventBody,
  encodeEventBody,
  type RetentionRules,
  type TreeHead,
} from '@aliquot/proto';
import { NO_PREDECESSOR, verifyCommit } from '@aliquot/shared/commit/commit';
import { markOf } from '@aliquot/shared/commit/summary';
import { hex } from '@aliquot/shared/crypto/bytes';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import { verifyAgent } from '@aliquot/shared/keys/certificates';
import { issuePolicy } from '@aliquot/shared/keys/policy';
import { leafHash } from '@aliquot/shared/log/hashing';
import { eventLeaf } from '@aliquot/shared/log/leaf';
import { LogTimes } from '@aliquot/shared/log/log-times';
import { describe, expect, test } from 'vitest';
import { content, StoreWorld, WorldAgent } from '../../../testing/store/world.ts';
import { toBase64 } from '../../api/base64.ts';
import { droppedMarks } from '../../store/vault/dropped-slots.ts';
import { thinned } from '../../store/vault/thin-commit.ts';
import type { VerifiedRecord } from '../verified.ts';
import type { ProvedCommit } from './lineage-proof.ts';
import { requirePolicy } from './rules-proof.ts';
import { StateCheck } from './state-check.ts';
import { VersionsCheck } from './versions-check.ts';

const world = new StoreWorld('dropped-proof', { blind: true });
const agent = new WorldAgent(world, 'hplc-1');
const NONE = new Uint8Array(0);
const times = LogTimes.asRecorded;

/** A commit as the log proves it, received at ten times its number, and as an answer shows it. */
function made(at: number, drafts: readonly EntryDraft[], dropped: readonly number[] = []) {
  const before = at === 0 ? NO_PREDECESSOR : asCommitHash(content('before', 32));
  const built = agent.build(drafts, { sequence: at + 1, predecessor: before });
  const commit = verified(built.bytes);
  const slots = new Uint8Array(1);
  for (const slot of dropped) slots[0] = (slots[0] ?? 0) | (1 << slot);
  const proved: ProvedCommit = {
    ...{ hash: commit.hash, agent: 'hplc-1', sequence: at + 1, leafIndex: at },
    ...{ receivedAtMs: 10 * (at + 1), branchId: hex(agent.lineageId), line: 0 },
    ...{ agentTimeMs: 5, summary: commit.rows.summary, lost: NONE },
    dropped: droppedMarks(commit.rows, dropped.length === 0 ? NONE : slots),
  };
  const shown = (...live: readonly number[]): VerifiedRecord => ({ commit, live, leafIndex: at });
  return { proved, shown, bytes: built.bytes };
}

function verified(bytes: Uint8Array) {
  const { vaultId, authorityKey } = world.descriptor;
  const certificate = verifyAgent(authorityKey, vaultId, agent.enrolment, agent.binding);
  return verifyCommit(bytes, { vaultId, agent: certificate });
}

const file = (path: string, word: string) => agent.file(path, [content(word)]).draft;

describe('P5 what retention has dropped', () => {
  const first = made(0, [file('/a', 'a1'), file('/b', 'b1')]);
  const second = made(1, [file('/a', 'a2')], [0]);
  const third = made(2, [file('/a', 'a3')]);
  const commits = [first.proved, second.proved, third.proved];
  const at = (atMs: number | undefined, of = commits) =>
    new StateCheck(of, 3, times, { atMs, results: false });

  test('may lack in what was there at a time, is counted, and nothing older takes its place', () => {
    const check = at(25);
    check.saw(first.shown(1));
    expect(check.finish()).toEqual({ missing: [], dropped: 1 });
    expect(() => at(25).saw(first.shown(0, 1))).toThrow('commit 2');
    const now = at(undefined);
    now.saw(first.shown(1));
    now.saw(third.shown(0));
    expect(now.finish()).toEqual({ missing: [], dropped: 0 });
  });

  test('is never what is newest: a collector that says so keeps it back', () => {
    const hidden = made(2, [file('/a', 'a3')], [0]);
    for (const atMs of [undefined, 35]) {
      const check = at(atMs, [first.proved, second.proved, hidden.proved]);
      check.saw(first.shown(1));
      const { missing, dropped } = check.finish();
      expect(dropped).toBe(0);
      expect(missing).toMatchObject([{ commit: { sequence: 3 }, isDropped: true }]);
    }
  });

  test('may be of the commit that came first after the time: of that, rows may be older', () => {
    const late = [file('/a', 'a2'), file('/a', 'a3')];
    const after = made(1, late, [0]);
    for (const [dropped, learnt] of [
      [after.proved.dropped, []],
      [NONE, [first.proved, after.proved]],
    ] as const) {
      const check = at(15, [first.proved, { ...after.proved, dropped }]);
      check.saw(first.shown(1));
      check.learnDropped(learnt);
      expect(check.finish()).toEqual({ missing: [], dropped: 1 });
    }
    const whole = at(15, [first.proved, made(1, late).proved]);
    whole.saw(first.shown(1));
    expect(whole.finish()).toMatchObject({ missing: [{ commit: { sequence: 1 } }], dropped: 0 });
    // Behind that one comes nothing that is older than the time.
    const later = at(15, [
      first.proved,
      made(1, [file('/b', 'b2')]).proved,
      made(2, late, [0]).proved,
    ]);
    later.saw(first.shown(1));
    expect(later.finish()).toMatchObject({ missing: [{ commit: { sequence: 1 } }], dropped: 0 });
  });

  test('while the answer came, is learnt afterwards; of what the log does not have so nothing is', () => {
    const before = commits.map((commit) => ({ ...commit, dropped: NONE }));
    const check = at(25, before);
    check.saw(first.shown(1));
    expect(check.finish()).toMatchObject({ missing: [{ commit: { sequence: 2 } }], dropped: 0 });
    check.learnDropped(commits);
    expect(check.finish()).toEqual({ missing: [], dropped: 1 });
    const mark = markOf(agent.fileId('/a'), 0, false);
    const asked = { mark, order: 'oldest first' } as const;
    const all = new VersionsCheck(before, 3, asked);
    all.saw(first.shown(0));
    all.saw(third.shown(0));
    expect(all.isShort).toBe(true);
    all.learnDropped(commits);
    expect([all.isShort, all.finish()]).toEqual([false, 1]);
    const half = made(1, [file('/a', 'a2'), file('/a', 'a3')], [0]);
    const part = new VersionsCheck([first.proved, { ...half.proved, dropped: NONE }], 2, asked);
    part.saw(first.shown(0));
    part.saw(half.shown(1));
    expect(() => part.finish()).toThrow('a version in commit 2');
    part.learnDropped([first.proved, half.proved]);
    expect(part.finish()).toBe(1);
    const other = new VersionsCheck(before, 3, asked);
    other.saw(first.shown(0));
    other.learnDropped(commits);
    expect(() => other.finish()).toThrow('commit 3');
  });

  test('may lack in every version of a file, where others of the same commit are left too', () => {
    const twice = made(1, [file('/a', 'a2'), file('/a', 'a3')], [0]);
    const mark = markOf(agent.fileId('/a'), 0, false);
    for (const of of [mark, undefined]) {
      const check = new VersionsCheck([first.proved, twice.proved, third.proved], 3, {
        ...{ mark: of, order: 'oldest first' },
      });
      check.saw(first.shown(...(of === undefined ? [0, 1] : [0])));
      check.saw(twice.shown(1));
      check.saw(third.shown(0));
      expect(check.finish()).toBe(1);
    }
    const wholly = new VersionsCheck(commits, 3, { mark, order: 'oldest first' });
    wholly.saw(first.shown(0));
    wholly.saw(third.shown(0));
    expect(wholly.finish()).toBe(1);
    const other = new VersionsCheck(commits, 3, { mark, order: 'oldest first' });
    other.saw(first.shown(0));
    expect(() => other.finish()).toThrow('commit 3');
  });
});

describe('P5 rows that a collector has taken out of a commit', () => {
  const mark = markOf(agent.fileId('/a'), 0, false);
  /** A block holds 256 rows: the first version of the file stands in one block, the newest in the next. */
  const drafts = [
    file('/a', 'a1'),
    ...Array.from({ length: 255 }, (_, at) => agent.gone(`/gone ${at}`)),
    ...[file('/a', 'a2'), file('/b', 'b1')],
  ];
  const whole = made(0, drafts);
  const thinnedTo = (...gone: readonly number[]): VerifiedRecord => {
    const nothing = { body: content('receipt', 90), signature: content('signature', 64) };
    const stored = { commit: whole.bytes, leaf: content('leaf', 60), receipt: nothing };
    const after = thinned(stored, { gone: new Set(gone), replaced: new Map() }, () => false);
    return { ...whole.shown(0), commit: verified(after.commit) };
  };
  const isHidden = (check: VersionsCheck): void => {
    expect(() => check.finish()).toThrow('commit 1');
  };

  test('are never passed over: the version before the newest is not the newest', () => {
    const check = new StateCheck([whole.proved], 1, times, { atMs: undefined, results: false });
    expect(() => check.saw({ ...thinnedTo(1), live: [0] })).toThrow('commit 1');
    const honest = new StateCheck([whole.proved], 1, times, { atMs: undefined, results: false });
    honest.saw({ ...thinnedTo(0), live: [256, 257] });
    expect(honest.finish()).toEqual({ missing: [], dropped: 0 });
  });

  test('are versions that a list lacks, unless they were dropped', () => {
    for (const of of [mark, undefined]) {
      const asked = { mark: of, order: 'oldest first' } as const;
      const nothing = new VersionsCheck([whole.proved], 1, asked);
      nothing.saw({ ...thinnedTo(0, 1), live: [] });
      isHidden(nothing);
      const older = new VersionsCheck([whole.proved], 1, asked);
      older.saw({ ...thinnedTo(0), live: of === undefined ? [256, 257] : [256] });
      isHidden(older);
    }
    const dropped = { ...whole.proved, dropped: made(0, drafts, [0]).proved.dropped };
    const check = new VersionsCheck([dropped], 1, { mark, order: 'oldest first' });
    check.saw({ ...thinnedTo(0), live: [256] });
    expect([check.finish(), check.newestDropped()]).toEqual([1, []]);
    const newest = new VersionsCheck([dropped], 1, { mark, order: 'oldest first' });
    newest.saw({ ...thinnedTo(1), live: [0] });
    expect(newest.newestDropped()).toMatchObject([{ commit: { sequence: 1 } }]);
  });
});

describe('P5 what is said to be dropped of every version of a file', () => {
  const first = made(0, [file('/a', 'a1'), file('/b', 'b1')]);
  const second = made(1, [file('/a', 'a2')], [0]);
  const gone = made(2, [agent.gone('/a')]);
  const mark = markOf(agent.fileId('/a'), 0, false);

  test('is never the newest, unless the file is gone since', () => {
    for (const of of [mark, undefined]) {
      const asked = { mark: of, order: 'oldest first' } as const;
      const check = new VersionsCheck([first.proved, second.proved], 2, asked);
      check.saw(first.shown(...(of === undefined ? [0, 1] : [0])));
      expect(check.finish()).toBe(1);
      expect(check.newestDropped()).toMatchObject([{ commit: { sequence: 2 }, isDropped: true }]);
      const since = new VersionsCheck([first.proved, second.proved, gone.proved], 3, asked);
      since.saw(first.shown(...(of === undefined ? [0, 1] : [0])));
      since.saw(gone.shown(0));
      expect([since.finish(), since.newestDropped()]).toEqual([1, []]);
      const newer = new VersionsCheck([first.proved, second.proved], 2, asked);
      newer.saw(first.shown(...(of === undefined ? [0, 1] : [0])));
      newer.saw(made(2, [file('/a', 'a3')]).shown(0));
      expect([newer.finish(), newer.newestDropped()]).toEqual([1, []]);
    }
  });

  test('is not the newest where another line of the history has a newer one', () => {
    const third = made(2, [file('/a', 'a3')]);
    const other = { ...third.proved, line: 1 };
    const check = new VersionsCheck([second.proved, other], 3, { mark, order: 'oldest first' });
    check.saw(third.shown(0));
    expect([check.finish(), check.newestDropped()]).toEqual([1, []]);
  });
});

describe('P5 a collector that says that retention has dropped something', () => {
  const sealed = content('a policy', 90);
  const { vaultId } = world.descriptor;
  const body = { version: 1, revision: 1, setAtMs: 5, sealedHash: sha256(sealed) } as const;
  const match = { classes: undefined, agents: undefined, sources: undefined };
  const day = { count: 1, unit: 'd' } as const;
  const loose = { match, lock: undefined, keep: 'all', gone: day } as const;
  const logged = (rules: RetentionRules | undefined) => {
    const event: EventBody = {
      ...{ type: 'policySet', timeMs: 5, certificate: undefined, sealed },
      policy: issuePolicy(world.authority, { ...body, vaultId, rules }),
    };
    const bytes = encodeEventBody(event);
    const proved = { event: toBase64(bytes), leafIndex: 0, inclusion: [] };
    return { proved, root: leafHash(eventLeaf(bytes, 5)) };
  };
  const { proved, root } = logged({ rules: [loose], grace: day });
  const ask = (events: readonly (typeof proved)[], head: TreeHead) =>
    requirePolicy({ log: { policies: async () => [...events] } }, world.descriptor, head);

  test('must show a policy with rules that its log has', async () => {
    const head = { logEpoch: 1, size: 1, root };
    await ask([proved], head);
    await expect(ask([], head)).rejects.toThrow('no policy that lets any go');
    const without = logged(undefined);
    await expect(ask([without.proved], { ...head, root: without.root })).rejects.toThrow(
      'no policy that lets any go',
    );
    const elsewhere = { ...head, root: sha256(root) };
    await expect(ask([proved], elsewhere)).rejects.toMatchObject({ code: 'COMMAND_UNVERIFIED' });
  });
});
