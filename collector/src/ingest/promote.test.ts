import { signHeartbeat } from '@aliquot/shared/commit/heartbeat';
import { newBoxKey } from '@aliquot/shared/crypto/box';
import { issueSettings } from '@aliquot/shared/keys/settings';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { pino } from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import { StoreWorld, seededRandom, type WorldAgent } from '../../testing/store/world.ts';
import { StoredVault } from '../store/stored-vault.ts';
import type { LiveSessions } from './live-sessions.ts';
import { promoteWhenQuiet } from './promote.ts';

const DAY = 24 * 3600 * 1000;
const random = seededRandom('promotion');

async function canaryAndOther() {
  const world = new StoreWorld();
  const store = await StoredVault.inFolder(temporaryFolder(), world.identity, world.ports());
  onTestFinished(() => store.close());
  await store.events.append(world.vaultAdded());
  const [first, other] = [await world.agent(store, 'first'), await world.agent(store, 'other')];
  const setAt = world.clock.now;
  const give = (agent: WorldAgent, sequence: number, waits: boolean) => {
    const terms = { sequence, issuedAtMs: setAt, expiresAtMs: setAt + 90 * DAY, groups: [] };
    const contents = { version: 1, text: '{}\n', answerKey: new Uint8Array(32).fill(3) } as const;
    const pc = { agentId: agent.agentId, boxKey: newBoxKey(random).publicKey };
    const settings = issueSettings(world.authority, world.descriptor, pc, terms, contents, random);
    return store.events.append({
      type: 'settingsSet',
      timeMs: setAt,
      settings,
      certificate: undefined,
      waits,
    });
  };
  await give(first, 2, false);
  await give(other, 2, true);
  const told: number[] = [];
  const sessions = {
    tellSettings: () => void told.push(world.clock.now),
  } as unknown as LiveSessions;
  const heard = () =>
    promoteWhenQuiet(
      { clock: { nowMs: () => world.clock.now }, log: pino({ level: 'silent' }), sessions },
      store,
    );
  const beat = async (...began: number[]) => {
    const nowMs = world.clock.now;
    const problems = began.map((sinceMs, at) => ({ code: `unreadable-${at}`, count: 1, sinceMs }));
    const counts = {
      files: 1,
      bytes: 1,
      queuedEntries: 0,
      unprotected: 0,
      pending: 0,
      unsettled: 0,
      problems,
    };
    const { vaultId } = world.descriptor;
    const body = {
      version: 1,
      vaultId,
      agentId: first.agentId,
      chainId: first.chainId,
      timeMs: nowMs,
      chainHead: undefined,
      treeHead: undefined,
      ...counts,
    } as const;
    expect(
      await store.intake.heartbeat(first.agentId, signHeartbeat(first.signKey, body), nowMs),
    ).toBeUndefined();
    await heard();
  };
  return { world, store, first, other, setAt, told, beat };
}

test('what waits is handed out by itself a day after, when the first PC says that it has the settings and is well', async () => {
  const { world, store, first, other, told, beat } = await canaryAndOther();
  store.desk.said(first.agentId, { inForce: 2 });
  world.clock.now += DAY - 1;
  await beat();
  expect(store.desk.of(other.agentId).current).toBeUndefined();
  world.clock.now += 1;
  await beat();
  expect(store.desk.of(other.agentId)).toMatchObject({
    current: { sequence: 2 },
    waiting: undefined,
  });
  expect(told).toEqual([world.clock.now]);
  await beat();
  expect(told).toHaveLength(1);
});

test('it waits for a person while the first PC has not applied them, or has a problem that began since', async () => {
  const { world, store, first, other, setAt, beat } = await canaryAndOther();
  world.clock.now += 3 * DAY;
  await beat();
  store.desk.said(first.agentId, { inForce: 2 });
  await beat(setAt + 1000);
  expect(store.desk.settingsWait()).toBe(true);
  await beat(setAt - 1000);
  expect(store.desk.of(other.agentId).current?.sequence).toBe(2);
});
