import { rmSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { holdOn, rulesOf } from '../../testing/retention/signed.ts';
import { RetentionVault, type Sent } from '../../testing/retention/vault.ts';
import { catalogRows } from '../../testing/store/copies.ts';
import type { WorldAgent } from '../../testing/store/world.ts';
import { keptFor } from '../retention/kept.ts';
import type { JudgedSubject } from './vault-retention.ts';

/** Explain, simulate and run say the same of the same history, and so does a replay (I-C19). */

const paths = ['/a', '/b', '/r/c', '/r/d'];
const rules = [
  '{match: {class: [raw]}, keep: {within: 7d}, gone: 8d}',
  '{match: {class: [raw]}, lock: 12d, keep: {within: 7d, daily: 3, last: 2}, gone: forever}',
  '{match: {class: [other], agent: [hplc-*]}, keep: {within: 9d, weekly: 2, monthly: 1}}',
  '{match: {agent: [ms-2]}, keep: all}',
  '{keep: {within: 8d}, gone: 30d}',
];

const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      type: fc.constant('back' as const),
      agent: fc.nat(1),
      files: fc.array(
        fc.record({
          path: fc.constantFrom(...paths),
          kind: fc.constantFrom(
            'whole' as const,
            'whole' as const,
            'growing' as const,
            'gone' as const,
          ),
          className: fc.constantFrom('raw', 'other', 'unruled'),
        }),
        { minLength: 1, maxLength: 3 },
      ),
      row: fc.boolean(),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      type: fc.constant('wait' as const),
      days: fc.integer({ min: 0, max: 5 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('run' as const) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('undo' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant('hold' as const),
      glob: fc.constantFrom('/a', '/r/**', '/r/c'),
    }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('release' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant('rules' as const),
      rules: fc.subarray(rules.slice(0, 4)).map((some) => [...some, ...rules.slice(4)]),
    }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('restart' as const) }) },
);
const steps = fc.array(step, { minLength: 8, maxLength: 30 });
type Steps = typeof steps extends fc.Arbitrary<infer T> ? T : never;

class Lived {
  readonly vault: RetentionVault;
  readonly agents: readonly WorldAgent[];
  readonly #holds: ReturnType<typeof holdOn>[] = [];

  constructor(vault: RetentionVault, agents: readonly WorldAgent[]) {
    this.vault = vault;
    this.agents = agents;
  }

  async do(one: Steps[number]): Promise<void> {
    const { vault } = this;
    switch (one.type) {
      case 'back': {
        const agent = this.agents[one.agent];
        if (agent === undefined) return;
        const sent = one.files.map((file): Sent => {
          return { ...file, ...(file.path.startsWith('/r/') ? { result: '/r' } : {}) };
        });
        return vault.back(agent, sent, one.row ? ['/r'] : []);
      }
      case 'wait':
        return vault.wait(one.days);
      case 'run':
        return void (await vault.store.retention.run(vault.nowMs));
      case 'undo': {
        const run = vault.store.retention.runs().at(-1);
        const canUndo = run?.undone === undefined && (run?.undoUntilMs ?? 0) > vault.nowMs;
        if (run !== undefined && canUndo) await vault.undo(run.run);
        return;
      }
      case 'hold': {
        const hold = holdOn(vault.world, [one.glob], `hold-${this.#holds.length}-${vault.nowMs}`);
        await vault.say(hold.set);
        this.#holds.push(hold);
        return;
      }
      case 'release': {
        const hold = this.#holds.pop();
        if (hold !== undefined) await vault.say(hold.over());
        return;
      }
      case 'rules':
        return vault.setRules(rulesOf(...one.rules));
      case 'restart':
        return vault.reopen();
    }
  }

  /** Everything that is there, explained one by one. */
  async explained(): Promise<JudgedSubject[]> {
    const { store, nowMs } = this.vault;
    const subjects = this.agents.flatMap((agent) => [
      ...paths.map((path) => ({ id: agent.fileId(path), isResult: false, agent })),
      { id: agent.resultId('/r'), isResult: true, agent },
    ]);
    const found: JudgedSubject[] = [];
    for (const { id, isResult, agent } of subjects) {
      const subject = { branchId: agent.lineageId, id, isResult };
      const judged = await store.retention.explain(subject, nowMs);
      if (judged?.facts !== undefined) found.push(judged);
    }
    return found;
  }
}

async function replayed(vault: RetentionVault): Promise<void> {
  await vault.close();
  const live = await catalogRows(vault.dir);
  rmSync(join(vault.dir, 'catalog'), { recursive: true });
  await vault.reopen();
  await vault.close();
  expect(await catalogRows(vault.dir)).toEqual(live);
}

test('explain, simulate and run agree, nothing expires that has a reason to stay, and a replay says the same', async () => {
  let expired = 0;
  await fc.assert(
    fc.asyncProperty(steps, async (all) => {
      const vault = await RetentionVault.open();
      const agents = [await vault.agent('hplc-1'), await vault.agent('ms-2')];
      const lived = new Lived(vault, agents);
      await vault.setRules(rulesOf(...rules));
      for (const one of all) await lived.do(one);
      const { nowMs, store } = vault;
      const before = await lived.explained();
      const going = before.flatMap(({ versions }) =>
        versions.filter(({ untilMs, expiredBy }) => untilMs <= nowMs && expiredBy === undefined),
      );
      for (const { facts, versions } of before)
        expect(versions.map(({ untilMs }) => untilMs)).toEqual(keptFor(facts).ends);
      const figures = await store.retention.simulate({ nowMs, horizonMs: nowMs });
      expect(figures.going.versions).toBe(going.length);
      const outcome = await store.retention.run(nowMs);
      expect(outcome.figures.going).toEqual(figures.going);
      // Nothing of it is large enough for a brake.
      expect([outcome.type, outcome.run?.versions ?? 0]).toEqual([
        going.length === 0 ? 'nothing' : 'expired',
        going.length,
      ]);
      const places = (list: readonly { leafIndex: number; slot: number }[]) =>
        list.map(({ leafIndex, slot }) => `${leafIndex}.${slot}`).sort();
      const after = (await lived.explained()).flatMap(({ versions }) =>
        versions.filter(({ expiredBy }) => expiredBy === outcome.run?.run),
      );
      if (outcome.run !== undefined) expect(places(after)).toEqual(places(going));
      expired += going.length;
      await replayed(vault);
    }),
    { numRuns: 10 },
  );
  expect(expired).toBeGreaterThan(0);
});
