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
  const { vaultId, authorityKey } = world.descriptor;
  const certificate = verifyAgent(authorityKey, vaultId, agent.enrolment, agent.binding);
  const commit = verifyCommit(built.bytes, { vaultId, agent: certificate });
  const slots = new Uint8Array(1);
  for (const slot of dropped) slots[0] = (slots[0] ?? 0) | (1 << slot);
  const proved: ProvedCommit = {
    ...{ hash: commit.hash, agent: 'hplc-1', sequence: at + 1, leafIndex: at },
    ...{ receivedAtMs: 10 * (at + 1), branchId: hex(agent.lineageId), line: 0 },
    ...{ summary: commit.rows.summary, lost: NONE },
    dropped: droppedMarks(commit.rows, dropped.length === 0 ? NONE : slots),
  };
  const shown = (...live: readonly number[]): VerifiedRecord => ({ commit, live, leafIndex: at });
  return { proved, shown };
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
