import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { hex } from '@aliquot/shared/crypto/bytes';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { holdOn, rulesOf } from '../../testing/retention/signed.ts';
import { RetentionVault } from '../../testing/retention/vault.ts';
import { content, type WorldAgent } from '../../testing/store/world.ts';
import type { CollectOptions, CollectStep } from './vault-records.ts';

let vault: RetentionVault;
let agent: WorldAgent;

beforeEach(async () => {
  vault = await RetentionVault.open('collect');
  agent = await vault.agent('hplc-1');
  // So much that no run is too large.
  const other = await vault.agent('ms-2');
  await vault.back(other, [{ path: '/other', chunk: content('other', 250_000) }]);
});
afterEach(() => vault.close());

const chunkOf = (word: string) => content(word, 3000);

async function collect(options: Partial<CollectOptions> = {}): Promise<CollectStep[]> {
  const steps: CollectStep[] = [];
  const asked = { nowMs: vault.nowMs, ...options };
  for await (const step of vault.store.sweep.collect(asked)) steps.push(step);
  return steps;
}

/** Every line of the agent has learnt and answered what was announced. */
function answer(of = agent): void {
  const epoch = vault.store.sweep.gcEpoch(of.lineageId);
  vault.store.sweep.gcLearned(of.agentId, of.chainId, epoch);
}

/** Four states of a file, of which the first two expire in a run today. */
async function twoExpired(): Promise<void> {
  await vault.setRules(rulesOf('{keep: {within: 7d}}'));
  for (const word of ['one', 'two', 'three']) {
    await vault.back(agent, [{ path: '/a', chunk: chunkOf(word) }]);
    vault.wait(10);
  }
  await vault.back(agent, [{ path: '/a', chunk: chunkOf('four') }]);
  const { type, run } = await vault.store.retention.run(vault.nowMs);
  expect([type, run?.versions]).toEqual(['expired', 2]);
}

async function versions(): Promise<number> {
  let count = 0;
  const { lineageId } = agent;
  for await (const { live } of vault.store.reading.versions(lineageId, agent.fileId('/a')))
    count += live.length;
  return count;
}

describe('I-C21 I-C22 a collection', () => {
  test('drops what a run has expired when the grace is over, asks, waits, sweeps and removes; --dry-run says the same before', async () => {
    await twoExpired();
    expect(await collect()).toMatchObject([
      { type: 'dropped', versions: 0 },
      { type: 'rewritten' },
    ]);
    expect(await versions()).toBe(4);
    vault.wait(8);
    const [letGo, ahead] = await collect({ dryRun: true });
    expect(letGo).toMatchObject({ type: 'dropped', versions: 2 });
    expect(ahead).toMatchObject({ agent: 'hplc-1', outcome: { type: 'swept', items: 2 } });
    expect(await versions()).toBe(4);
    // Its receipt says when the second one was replaced: by then the third had come.
    expect(await collect()).toMatchObject([
      { type: 'dropped', versions: 2 },
      { type: 'lineage', outcome: { type: 'waits', waits: [{ agent: 'hplc-1' }] } },
      { type: 'rewritten', report: { freedBytes: 0 } },
    ]);
    expect(await versions()).toBe(2);
    expect(vault.store.sweep.status()).toMatchObject({
      lineages: [{ agent: 'hplc-1', progress: { droppedVersions: 0 }, waits: [{}] }],
    });
    answer();
    const before = (await vault.store.data.space()).bytes;
    const [, swept, rewritten] = await collect({ all: true });
    expect(swept).toMatchObject({ outcome: { type: 'swept', items: 2 } });
    expect(rewritten).toMatchObject({ report: { isDone: true } });
    const expected = ahead?.type === 'lineage' && ahead.outcome.type === 'swept';
    const bytes = expected ? ahead.outcome.bytes : 0;
    expect(before - (await vault.store.data.space()).bytes).toBeGreaterThanOrEqual(bytes);
    expect(await collect()).toMatchObject([{ versions: 0 }, { type: 'rewritten' }]);
    await vault.reopen();
    expect(await versions()).toBe(2);
  });

  test('tells of what it dropped since when it was current, until when, and by which run, also after a start and a replay', async () => {
    await twoExpired();
    const { facts, versions: before } = await vault.explain(agent, '/a');
    vault.wait(8);
    await collect();
    const { lineageId: branchId } = agent;
    const told = () =>
      vault.store.retention.dropped({ branchId, id: agent.fileId('/a'), isResult: false });
    const all = await told();
    expect(all).toMatchObject(
      facts.versions.slice(0, 2).map(({ timeMs, untilMs }, at) => {
        const { leafIndex, slot, size } = before[at] ?? {};
        return { ...{ leafIndex, slot, size, run: 1, isGone: false }, fromMs: timeMs, untilMs };
      }),
    );
    const [{ commit } = { commit: undefined }] = all;
    const digits = hex(commit ?? new Uint8Array(0)).slice(0, 16);
    const byId = (of: typeof agent, slot: number | undefined) =>
      vault.store.retention.droppedById(of.lineageId, { digits, slot });
    expect(await byId(agent, undefined)).toMatchObject([{ slot: 0, run: 1, commit }]);
    expect(await byId(agent, 1)).toEqual([]);
    const other = await vault.agent('gc-3');
    expect(await byId(other, 0)).toEqual([]);
    await vault.reopen();
    expect(await told()).toEqual(all);
    await vault.close();
    await rm(join(vault.dir, 'catalog'), { recursive: true });
    await vault.reopen();
    expect(await told()).toEqual(all);
  });

  test('drops a file that is gone whole, whatever runs expired it and however many records it takes; --dry-run knows', async () => {
    await vault.setRules(rulesOf('{keep: {within: 7d}, gone: 20d}'));
    const sent = (path: string, day: number) => ({ path, chunk: content(`${path} ${day}`, 200) });
    await vault.back(agent, [sent('/a', 0), sent('/b', 0)]);
    for (let day = 1; day < 20; day += 1) {
      vault.wait(1);
      await vault.back(agent, [sent('/a', day)]);
    }
    await vault.back(agent, [{ path: '/a', kind: 'gone' }]);
    // Of the first commit one version goes by this run, and another by the next.
    vault.wait(12);
    const first = await vault.store.retention.run(vault.nowMs);
    await vault.back(agent, [{ path: '/b', kind: 'gone' }]);
    vault.wait(30);
    const second = await vault.store.retention.run(vault.nowMs);
    expect([first.type, second.type]).toEqual(['expired', 'expired']);
    vault.wait(8);
    const [letGo, ahead] = await collect({ dryRun: true });
    expect(letGo).toMatchObject({ type: 'dropped', versions: 23 });
    expect(ahead).toMatchObject({ outcome: { type: 'swept', items: 21 } });
    expect(await collect()).toMatchObject([{ versions: 23 }, {}, {}]);
    expect(await versions()).toBe(0);
    const subject = { branchId: agent.lineageId, id: agent.fileId('/a'), isResult: false };
    const gone = await vault.store.retention.dropped(subject);
    expect(gone.map(({ isGone }) => isGone)).toEqual([...new Array(20).fill(false), true]);
    for (const [at, { untilMs }] of gone.entries()) expect(untilMs).toBe(gone[at + 1]?.fromMs);
  });

  test('drops of a folder result that was deleted all but the row that says so, and takes it when it comes again', async () => {
    await vault.setRules(rulesOf('{keep: {within: 7d}, gone: 20d}'));
    const member = { path: '/r/x', result: '/r', chunk: chunkOf('x') };
    await vault.back(agent, [member], ['/r']);
    vault.wait(1);
    await vault.back(agent, [{ path: '/r/x', result: '/r', kind: 'gone' }], ['/r']);
    const rows = async () => {
      let count = 0;
      const of = vault.store.reading.resultVersions(agent.lineageId, agent.resultId('/r'));
      for await (const { live } of of) count += live.length;
      return count;
    };
    vault.wait(12);
    expect((await vault.store.retention.run(vault.nowMs)).type).toBe('nothing');
    expect(await rows()).toBe(2);
    vault.wait(9);
    expect((await vault.store.retention.run(vault.nowMs)).run).toMatchObject({ versions: 3 });
    vault.wait(8);
    expect((await collect({ dryRun: true }))[0]).toMatchObject({ versions: 3 });
    expect((await collect())[0]).toMatchObject({ type: 'dropped', versions: 3 });
    expect(await rows()).toBe(1);
    await vault.close();
    await rm(join(vault.dir, 'catalog'), { recursive: true });
    await vault.reopen();
    expect(await rows()).toBe(1);
    await vault.back(agent, [member], ['/r']);
    expect(await rows()).toBe(2);
  });

  test('drops that a file is gone with what was before it, where a later run let it go than that', async () => {
    await vault.setRules(rulesOf('{lock: 12d, keep: {within: 7d}, gone: 10d}'));
    vault.wait(2);
    // Of all but one only what the later run lets go: it may come first, or last.
    const names = Array.from({ length: 12 }, (_, at) => `/${at}`);
    await vault.back(
      agent,
      names.map((path) => ({ path })),
    );
    vault.wait(5);
    await vault.back(agent, [{ path: '/0', kind: 'gone' }]);
    vault.wait(5);
    await vault.back(
      agent,
      names.slice(1).map((path) => ({ path })),
    );
    const went: (number | undefined)[] = [];
    for (const days of [6, 2]) {
      vault.wait(days);
      went.push((await vault.store.retention.run(vault.nowMs)).run?.versions);
    }
    expect(went).toEqual([1, 12]);
    vault.wait(8);
    expect(await collect()).toMatchObject([{ versions: 13 }, {}, {}]);
  });

  test('drops nothing that somebody keeps since: by a hold, by an undo, by rules that keep more', async () => {
    await twoExpired();
    vault.wait(8);
    const hold = holdOn(vault.world, ['/a']);
    await vault.say(hold.set);
    expect(await collect()).toMatchObject([{ versions: 0 }, { type: 'rewritten' }]);
    await vault.say(hold.over());
    // What was held expires anew, with a grace of its own.
    expect(await collect()).toMatchObject([{ versions: 0 }, { type: 'rewritten' }]);
    await vault.store.retention.run(vault.nowMs);
    await vault.undo(vault.store.retention.runs().at(-1)?.run ?? 0);
    vault.wait(8);
    expect(await collect()).toMatchObject([{ versions: 0 }, { type: 'rewritten' }]);
    await vault.setRules(rulesOf('{keep: {within: 100d}}'));
    vault.wait(1);
    expect(await collect()).toMatchObject([{ versions: 0 }, { type: 'rewritten' }]);
    expect(await versions()).toBe(4);
  });

  test('does not ask PCs for little, and does nothing while it is paused, also after a start', async () => {
    await vault.back(agent, [{ path: '/large', chunk: content('large', 900_000) }]);
    await twoExpired();
    vault.wait(8);
    vault.store.sweep.pause(true);
    expect(vault.store.sweep.status().isPaused).toBe(true);
    expect(await collect()).toEqual([]);
    await vault.reopen();
    expect(vault.store.sweep.status().isPaused).toBe(true);
    vault.store.sweep.pause(false);
    expect(await collect()).toMatchObject([
      { versions: 2 },
      { type: 'lineage', outcome: { type: 'not-worth-it' } },
      { type: 'rewritten' },
    ]);
    expect(vault.store.sweep.gcEpoch(agent.lineageId)).toBe(0);
    const steps = await collect({ all: true });
    expect(steps[1]).toMatchObject({ outcome: { type: 'waits' } });
  });
});
