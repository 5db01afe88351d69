import { rmSync } from 'node:fs';
import { join } from 'node:path';
import {
  type ClockCorrectionBody,
  decodeLogLeaf,
  decodeReceiptBody,
  type EventBody,
} from '@aliquot/proto';
import { newSigningKey, type SigningKey } from '@aliquot/shared/crypto/sign';
import { issueClockCorrection } from '@aliquot/shared/keys/clock-correction';
import { leafHash, MerkleLog } from '@aliquot/shared/log/merkle';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { catalogRows } from '../../testing/store/copies.ts';
import { StoreWorld, type WorldAgent } from '../../testing/store/world.ts';
import { problemsOf } from '../health/agent-problems.ts';
import { StoredVault } from './stored-vault.ts';
import { diskMedia, type VaultMedia } from './vault/media.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const YEARS = 3652 * DAY;

let world: StoreWorld;
let dir: string;
let store: StoredVault;
let agent: WorldAgent;
/** What time it really is; the world's clock is the collector's. */
let trueMs: number;
let offMs = 0;

beforeEach(async () => {
  world = new StoreWorld('clock', { blind: true });
  dir = temporaryFolder();
  [trueMs, offMs] = [world.clock.now, 0];
  store = await StoredVault.inFolder(dir, world.identity, world.ports());
  await store.events.append(world.vaultAdded());
  agent = await world.agent(store, 'hplc-1');
});
afterEach(() => store.close());

function pass(ms: number): void {
  trueMs += ms;
  world.clock.now = trueMs + offMs;
}

function setClock(ms: number): void {
  offMs = ms;
  pass(0);
}

/** A new version of /f, captured half an hour before it is received. Answers with when that was. */
async function back(by = agent): Promise<number> {
  pass(HOUR);
  const capturedAtMs = trueMs - HOUR / 2;
  await by.back(store, [{ ...by.directory('/f'), capturedAtMs }]);
  return capturedAtMs;
}

async function versionTimes(): Promise<number[]> {
  const times: number[] = [];
  for await (const { versionTimesMs } of store.reading.versions(
    agent.lineageId,
    agent.fileId('/f'),
  ))
    times.push(...versionTimesMs);
  return times;
}

/** The leaf of the version that was the newest at a time. */
async function newestAt(atMs: number): Promise<number | undefined> {
  const found: number[] = [];
  for await (const { receipt } of store.reading.state(agent.lineageId, atMs))
    found.push(decodeReceiptBody(receipt.body).leafIndex);
  expect(found.length).toBeLessThan(2);
  return found[0];
}

interface Stretch {
  readonly from: number;
  readonly end: number;
  readonly byMs: number;
  readonly change?: Partial<ClockCorrectionBody>;
  readonly signer?: SigningKey;
}

async function correction({ from, end, byMs, change, signer }: Stretch): Promise<EventBody> {
  const recorded: number[] = [];
  for await (const leaf of store.log.leaves(0, store.log.treeHead().size))
    recorded.push(decodeLogLeaf(leaf).timeMs);
  const times = store.log.times();
  const beside = (leaf: number, otherwise: number) => {
    const ms = recorded[leaf];
    return ms === undefined ? otherwise : times.of(leaf, ms);
  };
  const root = await rootAt(end);
  const { now } = world.clock;
  const fromMs = (recorded[from] ?? 0) - 1;
  const body: ClockCorrectionBody = {
    ...{ version: 1, vaultId: world.descriptor.vaultId, fromLeaf: from },
    head: { logEpoch: 1, size: end, root },
    ...{ fromMs, toMs: (recorded[end - 1] ?? 0) + DAY, isMs: fromMs + byMs },
    notBeforeMs: beside(from - 1, 0),
    notAfterMs: Math.max(beside(from - 1, 0), Math.min(beside(end, now), now)),
    ...change,
  };
  const signed = issueClockCorrection(signer ?? world.authority, body);
  return { type: 'clockCorrected', timeMs: now, correction: signed };
}

async function rootAt(size: number): Promise<Uint8Array> {
  const log = await MerkleLog.open({ get: () => undefined, put: () => undefined }, 0);
  for await (const leaf of store.log.leaves(0, size)) log.stage([leafHash(leaf)]);
  return log.root;
}

const size = () => store.log.treeHead().size;

async function expectSameAgain(): Promise<void> {
  const [times, head] = [await versionTimes(), store.log.treeHead()];
  const { lastSeenMs } = store.register.agentByName('hplc-1') ?? {};
  await store.close();
  const live = await catalogRows(dir);
  rmSync(join(dir, 'catalog'), { recursive: true });
  store = await StoredVault.inFolder(dir, world.identity, world.ports());
  expect(await versionTimes()).toEqual(times);
  expect(store.log.treeHead()).toEqual(head);
  await store.close();
  expect(await catalogRows(dir)).toEqual(live);
  store = await StoredVault.inFolder(dir, world.identity, world.ports());
  expect(await versionTimes()).toEqual(times);

  expect(lastSeenMs).not.toBe(undefined);
}

describe('I-C2 I-C10 a stretch of the log in which the clock was wrong', () => {
  test('counts by its correction: versions, their state at any time, signs of life, and the same after a rebuild', async () => {
    const captured = [await back()];
    const from = size();
    setClock(YEARS);
    captured.push(await back(), await back());
    const end = size();
    const heardMs = trueMs;
    const silent = await world.agent(store, 'silent');
    await silent.back(store, [silent.directory('/g')]);
    const whole = size();
    setClock(0);
    // The log waits: what comes now bears the time of the wrong clock.
    captured.push(await back(), await back());
    expect((await versionTimes()).slice(2).every((ms) => ms > trueMs + YEARS - DAY)).toBe(true);
    const wrong = await newestAt(trueMs);

    pass(HOUR);
    await store.events.append(await correction({ from, end: whole, byMs: -YEARS }));
    expect(end).toBeLessThan(whole);
    expect(await versionTimes()).toEqual(captured);
    expect(await newestAt((captured[0] ?? 0) - 1)).toBe(undefined);
    const leaves: (number | undefined)[] = [];
    for (const ms of captured) {
      leaves.push(await newestAt(ms));
      expect(await newestAt(ms + HOUR / 2)).toBe(leaves.at(-1));
    }
    expect(new Set(leaves).size).toBe(captured.length);
    expect(await newestAt(trueMs)).toBe(leaves.at(-1));
    expect(wrong).toBe(leaves[1]);
    // What comes next has the right time again.
    captured.push(await back());
    expect(await versionTimes()).toEqual(captured);
    expect(store.log.lastMs()).toBe(trueMs);
    // Nobody has heard of the second PC since the clock was wrong.
    const record = store.register.agentByName('silent');
    expect(record?.lastSeenMs).toBe(heardMs);
    expect(record?.lastCommitMs).toBe(heardMs);
    const at = (ms: number) =>
      record === undefined
        ? []
        : problemsOf(record, { connected: false, problems: [] }, heardMs + ms).map(
            ({ code }) => code,
          );
    expect(at(record?.silenceLimitMs ?? 0)).not.toContain('silent');
    expect(at((record?.silenceLimitMs ?? 0) + 1)).toContain('silent');
    await expectSameAgain();
    captured.push(await back());
    expect(await versionTimes()).toEqual(captured);
  });

  test('also where the clock was behind, and the log waited at the beginning', async () => {
    const captured = [await back()];
    const from = size() - 1;
    setClock(-20 * HOUR);
    for (let count = 0; count < 24; count += 1) captured.push(await back());
    const end = size();
    setClock(0);
    captured.push(await back());
    expect(await versionTimes()).not.toEqual(captured);
    await store.events.append(await correction({ from, end, byMs: 20 * HOUR }));
    expect(await versionTimes()).toEqual(captured);
    await expectSameAgain();
  });

  test('counts by the newest correction of it, and as it was recorded when that is taken back', async () => {
    await back();
    const from = size();
    setClock(-20 * HOUR);
    pass(21 * HOUR);
    await back();
    await back();
    const end = size();
    setClock(0);
    await back();
    const before = await versionTimes();
    await store.events.append(await correction({ from, end, byMs: 20 * HOUR }));
    const right = await versionTimes();
    expect(right).not.toEqual(before);
    await store.events.append(await correction({ from, end, byMs: 10 * HOUR }));
    expect(await versionTimes()).not.toEqual(right);
    await store.events.append(await correction({ from, end, byMs: 0 }));
    expect(await versionTimes()).toEqual(before);
    await store.events.append(await correction({ from, end, byMs: 20 * HOUR }));
    expect(await versionTimes()).toEqual(right);
    await expectSameAgain();
  });

  test('is corrected by the authority alone, for leaves that are there, once for each', async () => {
    await back();
    const from = size();
    setClock(DAY / 2);
    await back();
    await back();
    const end = size();
    setClock(0);
    const stretch = { from, end, byMs: -DAY / 2 };
    const head = { logEpoch: 1, size: end, root: new Uint8Array(32) };
    const refused = async (event: EventBody, why: RegExp) =>
      expect(store.events.append(event)).rejects.toMatchObject({
        code: 'STORE_BAD_EVENT',
        message: expect.stringMatching(why),
      });
    const stranger = newSigningKey(world.random);
    await refused(await correction({ ...stretch, signer: stranger }), /not signed by the key/);
    const other = new StoreWorld('other').descriptor.vaultId;
    await refused(await correction({ ...stretch, change: { vaultId: other } }), /another vault/);
    await refused(await correction({ ...stretch, change: { head } }), /does not have/);
    const times = await versionTimes();
    const event = await correction(stretch);
    const { leafIndex } = await store.events.append(event);
    expect(await store.events.append(event)).toEqual({ leafIndex });
    expect(await versionTimes()).not.toEqual(times);
    await refused(await correction({ ...stretch, end: end - 1 }), /correct that very stretch/);
    await back();
    await refused(await correction({ ...stretch, from: end, end: size() }), /beside that leaf/);
  });

  test('is corrected also when the start that makes the catalog again fails', async () => {
    await store.close();
    let opening: () => void = () => undefined;
    const media = diskMedia(dir, world.descriptor.vaultId, world.ports());
    const failing: VaultMedia = {
      ...media,
      openCatalog: () => {
        opening();
        return media.openCatalog();
      },
    };
    store = await StoredVault.open(failing, world.identity, world.ports());
    const captured = [await back()];
    const from = size();
    setClock(20 * HOUR);
    captured.push(await back(), await back());
    const end = size();
    setClock(0);
    captured.push(await back());
    opening = () => {
      throw Object.assign(new Error('EIO: failed'), { code: 'EIO', errno: -5, syscall: 'open' });
    };
    const event = await correction({ from, end, byMs: -20 * HOUR });
    await expect(store.events.append(event)).rejects.toThrow();
    opening = () => undefined;
    await store.close().catch(() => undefined);
    store = await StoredVault.inFolder(dir, world.identity, world.ports());
    expect(await versionTimes()).toEqual(captured);
    await expectSameAgain();
  });
});
