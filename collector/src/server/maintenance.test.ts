import { expect, onTestFinished, test, vi } from 'vitest';
import { rulesOf } from '../../testing/retention/signed.ts';
import { DAY_MS, RetentionVault } from '../../testing/retention/vault.ts';
import { startMaintenance } from './maintenance.ts';

/**
 * What a collector does by itself: here an hour after its start, for the hour of the plan is far.
 */

const HOUR_MS = 3_600_000;

/** Timers that go off when they are told. */
function heldTimers() {
  const due = new Map<number, () => void>();
  const after = (milliseconds: number, action: () => void) => {
    due.set(milliseconds, action);
    return () => void due.delete(milliseconds);
  };
  return { due, timers: { after } };
}

async function started(retention: string | undefined, hold?: object, collection?: string) {
  const vault = await RetentionVault.open();
  onTestFinished(() => vault.close());
  const agent = await vault.agent('hplc-1');
  const log = { info: vi.fn(), warn: vi.fn(), error: vi.fn() };
  const health: { hold: object | undefined } = { hold };
  const works = {
    ...{ log, clock: vault.world.clock, health },
    store: { vaults: () => [vault.store] },
  };
  const { due, timers } = heldTimers();
  const end = startMaintenance(works as never, { retention, collection }, timers);
  onTestFinished(end);
  const back = async () => {
    for (let day = 0; day < 3; day += 1) await vault.back(agent, [{ path: '/a' }]);
    vault.wait(20);
  };
  return { vault, health, log, due, end, back };
}

test('I-C19: a collector makes a run of each vault that has rules, and of no other', async () => {
  const { vault, log, due, back } = await started('17 2 * * *');
  await back();
  due.get(HOUR_MS)?.();
  await vault.setRules(rulesOf('{keep: {within: 7d}}'));
  vault.wait(8);
  due.get(HOUR_MS)?.();
  await vi.waitFor(() => expect(log.info).toHaveBeenCalled());
  expect(vault.store.retention.runs()).toMatchObject([{ run: 1, versions: 2 }]);
  expect(log.error).not.toHaveBeenCalled();
});

test('I-C19: it makes none while its clock is held, and says so; nor where the plan says off', async () => {
  const { vault, log, due, back } = await started('17 2 * * *', { heldMs: 1 });
  await vault.setRules(rulesOf('{keep: {within: 7d}}'));
  await back();
  due.get(HOUR_MS)?.();
  await vi.waitFor(() => expect(log.error).toHaveBeenCalled());
  expect(log.error.mock.calls[0]?.[0]).toMatchObject({ code: 'REST_CLOCK_HELD' });
  expect(vault.store.retention.runs()).toEqual([]);
  const off = await started(undefined);
  expect(off.due.size).toBe(0);
});

test('P6 what failed stands in the vault with its code and when, over a start, until a run ends well', async () => {
  const { vault, health, log, due, back } = await started('17 2 * * *', { heldMs: 1 });
  await vault.setRules(rulesOf('{keep: {within: 7d}}'));
  await back();
  const sinceMs = vault.nowMs;
  for (const times of [1, 2]) {
    due.get(HOUR_MS)?.();
    await vi.waitFor(() => expect(log.error).toHaveBeenCalledTimes(times));
    vault.wait(1);
  }
  const atMs = vault.nowMs - DAY_MS;
  const failed = { sinceMs, atMs, code: 'REST_CLOCK_HELD' };
  expect(vault.store.maintenance.failed('retention')).toMatchObject(failed);
  expect(vault.store.maintenance.failed('collection')).toBeUndefined();
  await vault.reopen();
  expect(vault.store.maintenance.failed('retention')).toMatchObject(failed);
  health.hold = undefined;
  due.get(HOUR_MS)?.();
  await vi.waitFor(() => expect(log.info).toHaveBeenCalled());
  expect(vault.store.maintenance.failed('retention')).toBeUndefined();
  await vault.reopen();
  expect(vault.store.maintenance.failed('retention')).toBeUndefined();
});

test('it ends with the collector', async () => {
  const { due, end } = await started('17 2 * * *');
  expect(due.size).toBe(1);
  await end();
  expect(due.size).toBe(0);
});

test('I-C22: it collects each vault when the plan says so, but not while its clock is held', async () => {
  const everySecond = '* * * * * *';
  const { vault, log } = await started(undefined, undefined, everySecond);
  const collect = vi.spyOn(vault.store.sweep, 'collect');
  const held = await started(undefined, { heldMs: 1 }, everySecond);
  const none = vi.spyOn(held.vault.store.sweep, 'collect');
  await vi.waitFor(() => expect(collect).toHaveBeenCalled(), 5000);
  await vi.waitFor(() => expect(held.log.error).toHaveBeenCalled(), 5000);
  expect(log.error).not.toHaveBeenCalled();
  expect(held.log.error.mock.calls[0]?.[0]).toMatchObject({ code: 'REST_CLOCK_HELD' });
  const { maintenance } = held.vault.store;
  expect(maintenance.failed('collection')).toMatchObject({ code: 'REST_CLOCK_HELD' });
  expect(none).not.toHaveBeenCalled();
});
