import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { signHead } from '@aliquot/shared/log/receipt';
import { describe, expect, onTestFinished, test } from 'vitest';
import { holdOn, rulesOf } from '../../testing/retention/signed.ts';
import { RetentionVault, type Sent } from '../../testing/retention/vault.ts';
import { catalogRows } from '../../testing/store/copies.ts';
import type { WorldAgent } from '../../testing/store/world.ts';
import type { RetentionOutcome } from './vault-retention.ts';

/** Runs over real histories: what expires, what holds a run up, and what brings it back (I-C19). */

const WITHIN_A_WEEK = '{match: {class: [raw]}, keep: {within: 7d}, gone: 10d}';
const A_MONTH = '{match: {class: [raw]}, keep: {within: 30d}, gone: forever}';

async function opened(seed?: string): Promise<RetentionVault> {
  const vault = await RetentionVault.open(seed);
  onTestFinished(() => vault.close());
  return vault;
}

/** A file that is written anew each day. */
async function days(vault: RetentionVault, agent: WorldAgent, count: number, sent: Sent) {
  for (let day = 0; day < count; day += 1) {
    await vault.back(agent, [sent]);
    vault.wait(1);
  }
}

const run = (vault: RetentionVault): Promise<RetentionOutcome> =>
  vault.store.retention.run(vault.nowMs);
const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'done',
    (error: Error) => error.message,
  );

/** The catalog as it is, and as a replay of the history makes it. */
async function expectReplayed(vault: RetentionVault): Promise<void> {
  const rows = async () => {
    await vault.close();
    return catalogRows(vault.dir);
  };
  const live = await rows();
  rmSync(join(vault.dir, 'catalog'), { recursive: true });
  await vault.reopen();
  expect(await rows()).toEqual(live);
  await vault.reopen();
}

describe('I-C19 a run', () => {
  test('expires what nothing keeps, once; it comes back with an undo, and goes again with the next rules', async () => {
    const vault = await opened();
    const agent = await vault.agent('hplc-1');
    await vault.setRules(rulesOf(WITHIN_A_WEEK));
    await days(vault, agent, 20, { path: '/a' });
    const first = await run(vault);
    // Replaced on days 1 to 13: seven days ago, or more.
    expect(first).toMatchObject({ type: 'expired', run: { run: 1, versions: 13, policy: 1 } });
    const expired = async () =>
      (await vault.explain(agent, '/a')).versions.map(({ expiredBy }) => expiredBy);
    const thirteen = [...new Array(13).fill(1), ...new Array(7).fill(undefined)];
    expect(await expired()).toEqual(thirteen);
    expect(await run(vault)).toMatchObject({ type: 'nothing' });
    expect(vault.store.retention.runs()).toHaveLength(1);
    await vault.reopen();
    expect(await expired()).toEqual(thirteen);
    await expectReplayed(vault);

    await vault.undo(1);
    // As after a crash that took the answer.
    expect(await codeOf(vault.undo(1))).toBe('done');
    expect(await expired()).toEqual(new Array(20).fill(undefined));
    expect(await run(vault)).toMatchObject({ type: 'nothing' });
    // The same rules again are no other rules.
    await vault.setRules(rulesOf(WITHIN_A_WEEK));
    vault.wait(8);
    expect((await run(vault)).run).toMatchObject({ run: 2, versions: 6 });
    const undone = (await vault.explain(agent, '/a')).versions.map(({ undoneBy }) => undoneBy);
    expect(undone.slice(0, 14)).toEqual([...new Array(13).fill(1), undefined]);
    await vault.setRules(rulesOf(WITHIN_A_WEEK, '{match: {class: [other]}, keep: all}'));
    vault.wait(8);
    // All of them, for what the second run expired stands under other rules too.
    expect((await run(vault)).run).toMatchObject({ run: 3, versions: 19 });
    await expectReplayed(vault);
  });

  test('cannot be undone once the grace is over, nor one that is not there', async () => {
    const vault = await opened();
    const agent = await vault.agent('hplc-1');
    await vault.setRules(rulesOf(WITHIN_A_WEEK));
    await days(vault, agent, 20, { path: '/a' });
    await run(vault);
    vault.wait(7);
    expect(await codeOf(vault.undo(1))).toMatch(/^run 1 could be undone until .*: what it expired/);
    expect(await codeOf(vault.undo(2))).toMatch(/^there is no run 2/);
  });

  test('is none without rules, nor while the log is ahead of the clock', async () => {
    const vault = await opened();
    const agent = await vault.agent('hplc-1');
    await days(vault, agent, 20, { path: '/a' });
    expect(await run(vault)).toMatchObject({
      type: 'nothing',
      figures: { going: { versions: 0 } },
    });
    await vault.setRules(rulesOf(WITHIN_A_WEEK));
    const now = vault.nowMs;
    // A clock that stood in 2036 for a minute, and what came in it.
    vault.world.clock.now = Date.UTC(2036, 0, 1);
    await vault.back(agent, [{ path: '/b' }]);
    vault.world.clock.now = now + 60_000;
    expect(await codeOf(run(vault))).toMatch(/^the log has entries that are later than the clock/);
  });

  test('is none while a PC holds a head that the log has lost: holds may be lost with it', async () => {
    const vault = await opened();
    const agent = await vault.agent('hplc-1');
    await vault.setRules(rulesOf(WITHIN_A_WEEK));
    await days(vault, agent, 20, { path: '/a' });
    const { world, store } = vault;
    const { vaultId, collectorId } = store.certificate;
    const lost = { logEpoch: 1, size: 500, root: new Uint8Array(32).fill(7) };
    const body = { version: 1, vaultId, collectorId, timeMs: vault.nowMs, head: lost } as const;
    await vault.say({
      ...{ type: 'headReported', timeMs: vault.nowMs, agentId: agent.agentId },
      ...{ head: signHead(world.collector, body), collectorCertificate: world.certificate },
    });
    expect(await codeOf(run(vault))).toMatch(/^PCs hold heads that this log has lost.* reopen/);
    await vault.say(world.opening(2, store.log.treeHead(), [lost]));
    expect((await run(vault)).type).not.toBe('nothing');
  });

  test('leaves what a hold covers, which undoes what was expired before; it goes anew after that', async () => {
    const vault = await opened();
    const agent = await vault.agent('hplc-1');
    await vault.setRules(rulesOf(WITHIN_A_WEEK));
    for (const path of ['/held/a', '/other/b']) await days(vault, agent, 5, { path });
    vault.wait(2);
    expect((await run(vault)).run).toMatchObject({ run: 1, versions: 4 });
    const hold = holdOn(vault.world, ['/held/**']);
    await vault.say(hold.set);
    const of = async (path: string) => (await vault.explain(agent, path)).versions.slice(0, 4);
    const ends = async (path: string) => (await of(path)).map(({ untilMs }) => untilMs);
    expect(await ends('/held/a')).toEqual(new Array(4).fill(Infinity));
    vault.wait(6);
    expect((await run(vault)).run).toMatchObject({ run: 2, versions: 4 });
    expect((await of('/other/b')).map(({ expiredBy }) => expiredBy)).toEqual([2, 2, 2, 2]);
    await vault.say(hold.over());
    // Nobody was to wait for what was held: it has its grace again.
    expect((await of('/held/a')).map(({ isVoid }) => isVoid)).toEqual(new Array(4).fill(true));
    expect((await run(vault)).run).toMatchObject({ run: 3, versions: 8, brakes: [] });
    await expectReplayed(vault);
  });

  test('keeps a folder result whole as long as a row that stays names its members', async () => {
    const vault = await opened();
    const agent = await vault.agent('hplc-1');
    await vault.setRules(rulesOf('{keep: {within: 7d, monthly: 2}}'));
    const member = { path: '/r/x', result: '/r' };
    for (let day = 0; day < 30; day += 1) {
      // The one changes each day, the other every other day.
      const other = day % 2 === 0 ? [{ path: '/r/y', result: '/r' }] : [];
      await vault.back(agent, [member, ...other], ['/r']);
      vault.wait(1);
    }
    await run(vault);
    const rows = await vault.explainResult(agent, '/r');
    const kept = rows.facts.versions.filter(
      (_, at) => (rows.versions[at]?.untilMs ?? 0) > vault.nowMs,
    );
    expect(kept.length).toBeGreaterThan(7);
    expect(kept.length).toBeLessThan(30);
    for (const path of ['/r/x', '/r/y']) {
      const of = await vault.explain(agent, path);
      for (const { place } of kept) {
        const at = of.facts.versions.findLastIndex((version) => version.place < place);
        expect(of.versions[at]?.expiredBy).toBeUndefined();
      }
    }
  });
});

describe('I-C19 that a folder result was deleted', () => {
  test.each([
    ['forever', undefined],
    ['20d', 2],
  ])(
    'is no state of it that hides the last whole one, which stays as "gone: %s" says',
    async (gone, expired) => {
      const vault = await opened();
      const agent = await vault.agent('hplc-1');
      await vault.setRules(rulesOf(`{keep: {within: 7d}, gone: ${gone}}`));
      const member = { path: '/r/x', result: '/r' };
      await vault.back(agent, [member], ['/r']);
      vault.wait(1);
      await vault.back(agent, [member], ['/r']);
      vault.wait(1);
      // Captured again and not judged any more: the last whole state has the one before.
      await vault.back(agent, [member]);
      vault.wait(1);
      await vault.back(agent, [{ ...member, kind: 'gone' }], ['/r']);
      const marksOf = async () => {
        const [rows, members] = [
          await vault.explainResult(agent, '/r'),
          await vault.explain(agent, '/r/x'),
        ];
        expect(rows.facts.versions.map(({ kind }) => kind)).toEqual(['whole', 'whole', 'gone']);
        return [rows, members].map(({ versions }) => versions.map(({ expiredBy }) => expiredBy));
      };
      vault.wait(15);
      expect((await run(vault)).type).toBe('expired');
      expect(await marksOf()).toEqual([
        [1, undefined, undefined],
        [1, undefined, undefined, undefined],
      ]);
      vault.wait(6);
      await run(vault);
      // The row by which it was deleted stays: it is the newest.
      expect(await marksOf()).toEqual([
        [1, expired, undefined],
        [1, expired, expired, expired],
      ]);
      await expectReplayed(vault);
    },
  );
});

describe('I-C19 that a member of a folder result is gone', () => {
  test('goes with what was there before it, whatever becomes of the result', async () => {
    const vault = await opened();
    const agent = await vault.agent('hplc-1');
    await vault.setRules(rulesOf(WITHIN_A_WEEK));
    const [left, removed] = ['/r/x', '/r/y'].map((path) => ({ path, result: '/r' }));
    await vault.back(agent, [left, removed] as Sent[], ['/r']);
    vault.wait(1);
    await vault.back(agent, [{ ...(removed as Sent), kind: 'gone' }]);
    await vault.back(agent, [left as Sent], ['/r']);
    vault.wait(11);
    await run(vault);
    const marks = (await vault.explain(agent, '/r/y')).versions;
    expect(marks.map(({ expiredBy }) => expiredBy)).toEqual([1, 1]);
    const newest = (await vault.explain(agent, '/r/x')).versions.at(-1);
    expect(newest?.expiredBy).toBeUndefined();
  });
});

describe('I-C19 a run that is too large', () => {
  test('waits, named, for a key that is for retention; then it goes on, and no further', async () => {
    const vault = await opened();
    const agent = await vault.agent('hplc-1');
    await vault.setRules(rulesOf(WITHIN_A_WEEK));
    const many = (letter: string, count: number) =>
      Array.from({ length: count }, (_, at): Sent => ({ path: `/${letter}${at}` }));
    await vault.back(agent, many('a', 150));
    await vault.back(agent, many('a', 150));
    vault.wait(10);
    const waits = await run(vault);
    const versions = { kind: 'versions', agent: 'hplc-1', of: 300, expiring: 150 };
    expect(waits).toMatchObject({
      type: 'waits',
      run: { run: 1, versions: 150, brakes: [versions] },
    });
    expect((await vault.explain(agent, '/a0')).versions[0]?.expiredBy).toBeUndefined();
    // It waits still, and is not noted again.
    vault.wait(1);
    expect(await run(vault)).toMatchObject({ type: 'waits', run: { run: 1 } });
    expect(await codeOf(vault.undo(1))).toMatch(/^run 1 has expired nothing/);
    expect(await codeOf(vault.approve(1, ['settings']))).toMatch(
      /is for settings, not for retention/,
    );
    expect(await codeOf(vault.approve(2, ['retention']))).toMatch(/^there is no such run 2/);
    expect(await codeOf(vault.approve(1, ['retention']))).toBe('done');
    expect(await codeOf(vault.approve(1, ['retention']))).toBe('done');
    await expectReplayed(vault);
    expect(await run(vault)).toMatchObject({
      type: 'expired',
      run: { run: 2, versions: 150, approves: 1 },
    });
    expect((await vault.explain(agent, '/a0')).versions[0]?.expiredBy).toBe(2);
    // What comes later waits for its own word.
    await vault.back(agent, many('b', 300));
    await vault.back(agent, many('b', 300));
    vault.wait(10);
    expect(await run(vault)).toMatchObject({ type: 'waits', run: { run: 3, versions: 300 } });
    await expectReplayed(vault);
  });

  test('is not made of small ones: they add up over days', async () => {
    const vault = await opened();
    const agent = await vault.agent('hplc-1');
    await vault.setRules(rulesOf(WITHIN_A_WEEK));
    const part = (day: number) =>
      Array.from({ length: 60 }, (_, at): Sent => ({ path: `/${day}-${at}` }));
    for (let day = 0; day < 5; day += 1) await vault.back(agent, part(day));
    vault.wait(20);
    for (let day = 0; day < 5; day += 1) {
      await vault.back(agent, part(day));
      vault.wait(1);
    }
    vault.wait(2);
    const told: string[] = [];
    for (let day = 0; day < 3; day += 1) {
      const { type, run: row } = await run(vault);
      told.push(`${type} ${row?.brakes[0]?.kind ?? row?.versions}`);
      vault.wait(1);
    }
    // As much came in the days before, but for the last time.
    expect(told).toEqual(['expired 60', 'expired 60', 'waits versions-in-days']);
  });
});

describe('whoever holds a PC changes nothing that should be kept', () => {
  const attacks: Readonly<
    Record<string, (vault: RetentionVault, agent: WorldAgent) => Promise<void>>
  > = {
    'by versions dated into the future': async (vault, agent) => {
      await vault.back(agent, [{ path: '/a', claimMs: Date.UTC(2100, 0, 1) }]);
      await vault.back(agent, [{ path: '/a' }]);
    },
    'by versions dated back after 40 silent days': async (vault, agent) => {
      vault.wait(40);
      const from = vault.nowMs - 41 * 86_400_000;
      const claims = Array.from({ length: 40 }, (_, day) => from + day * 86_400_000);
      await vault.back(
        agent,
        claims.map((claimMs) => ({ path: '/a', claimMs })),
      );
    },
    'by a flood of versions': async (vault, agent) => {
      const flood = Array.from({ length: 2000 }, (): Sent => ({ path: '/a' }));
      await vault.back(agent, flood);
    },
    'by saying that everything is gone': (vault, agent) =>
      vault.back(agent, [{ path: '/a', kind: 'gone' }]),
    'by sending it under a class that keeps little': (vault, agent) =>
      vault.back(agent, [{ path: '/a', className: 'temporary' }]),
  };

  test.each(Object.entries(attacks))('%s', async (_name, attack) => {
    const vault = await opened();
    const agent = await vault.agent('hplc-1');
    await vault.setRules(
      rulesOf(A_MONTH, '{match: {class: [temporary]}, keep: {within: 7d}, gone: 7d}'),
    );
    vault.wait(8);
    await days(vault, agent, 3, { path: '/a' });
    await attack(vault, agent);
    vault.wait(29);
    await run(vault);
    const { versions } = await vault.explain(agent, '/a');
    // Replaced for less than a month: the last good one stays.
    expect(versions[2]?.expiredBy).toBeUndefined();
    expect(versions[2]?.untilMs).toBeGreaterThan(vault.nowMs);
  });
});
