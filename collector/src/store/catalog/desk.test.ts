import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { EventBody, OperatorPurpose, RetentionRules, Signed } from '@aliquot/proto';
import { newBoxKey } from '@aliquot/shared/crypto/box';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import { newSigningKey } from '@aliquot/shared/crypto/sign';
import { policyKeyFor } from '@aliquot/shared/keys/derive';
import { issueOperator } from '@aliquot/shared/keys/operator-certificate';
import { issuePolicy, sealPolicyText } from '@aliquot/shared/keys/policy';
import { issueSettings } from '@aliquot/shared/keys/settings';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { expect, onTestFinished, test } from 'vitest';
import { catalogRows } from '../../../testing/store/copies.ts';
import { StoreWorld, seededRandom, WorldAgent } from '../../../testing/store/world.ts';
import { StoredVault } from '../stored-vault.ts';

/*
 * What operators set for agents, as the collector keeps it: it reads none of it, and records
 * nothing that nobody may have signed.
 */

async function opened() {
  const world = new StoreWorld();
  const dir = temporaryFolder();
  let store = await StoredVault.inFolder(dir, world.identity, world.ports());
  onTestFinished(() => store.close());
  await store.events.append(world.vaultAdded());
  const agent = await world.agent(store, 'hplc-1');
  return {
    world,
    dir,
    agent,
    store: () => store,
    again: async (afresh = false) => {
      await store.close();
      if (afresh) rmSync(join(dir, 'catalog'), { recursive: true });
      store = await StoredVault.inFolder(dir, world.identity, world.ports());
      return store;
    },
  };
}

type Opened = Awaited<ReturnType<typeof opened>>;
const random = seededRandom('desk');
const boxKey = newBoxKey(random);
const NOW = 1_790_000_000_000;

const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'accepted',
    (error: { code?: string }) => error.code,
  );

function policySet(
  { world }: Opened,
  revision: number,
  by = world.authority,
  rules?: RetentionRules,
): EventBody {
  const { descriptor } = world;
  const sealed = sealPolicyText(
    policyKeyFor(new Uint8Array(32), descriptor.vaultId).publicKey,
    descriptor,
    `# ${revision}\n`,
    random,
  );
  const policy = issuePolicy(by, {
    version: 1,
    vaultId: descriptor.vaultId,
    revision,
    setAtMs: NOW,
    sealedHash: sha256(sealed),
    rules,
  });
  return { type: 'policySet', timeMs: NOW, policy, certificate: undefined, sealed };
}

/** A person of the vault, and what they sign. */
function operatorOf(at: Opened) {
  const operator = newSigningKey(random);
  const { descriptor, authority } = at.world;
  const body = {
    version: 1,
    vaultId: descriptor.vaultId,
    name: 'm',
    signKey: operator.publicKey,
    boxKey: new Uint8Array(32).fill(1),
    issuedAtMs: NOW,
  } as const;
  const certified = (purposes: readonly OperatorPurpose[], expiresAtMs: number) =>
    issueOperator(authority, { ...body, purposes, expiresAtMs });
  const by = (certificate: Signed, revision: number, rules?: RetentionRules): EventBody =>
    ({ ...policySet(at, revision, operator, rules), certificate }) as EventBody;
  return { certified, by };
}

function settingsSet(
  { world, agent }: Opened,
  sequence: number,
  { waits = false, by = world.authority, agentId = agent.agentId } = {},
): EventBody {
  const terms = { sequence, issuedAtMs: NOW, expiresAtMs: NOW + 1000, groups: ['g'] };
  const contents = { version: 1, text: '{}\n', answerKey: new Uint8Array(32).fill(3) } as const;
  const settings = issueSettings(
    by,
    world.descriptor,
    { agentId, boxKey: boxKey.publicKey },
    terms,
    contents,
    random,
  );
  return { type: 'settingsSet', timeMs: NOW, settings, certificate: undefined, waits };
}

test('P5: a policy is recorded only as who may signed it, and only a newer one; each revision can be read back', async () => {
  const at = await opened();
  const set = (event: EventBody) => codeOf(at.store().events.append(event));
  const stranger = new StoreWorld('elsewhere');
  expect(await set(policySet(at, 1, stranger.authority))).toBe('STORE_BAD_EVENT');
  const { certified, by } = operatorOf(at);
  expect(await set(by(certified(['agents'], NOW + 1), 1))).toBe('STORE_BAD_EVENT');
  expect(await set(by(certified(['settings'], NOW), 1))).toBe('STORE_BAD_EVENT');
  expect(await set(by(certified(['settings'], NOW + 1), 1))).toBe('accepted');
  expect(await set(policySet(at, 2))).toBe('accepted');
  for (const revision of [1, 2]) expect(await set(policySet(at, revision))).toBe('STORE_BAD_EVENT');
  expect(await set(policySet(at, NOW + 1))).toBe('STORE_BAD_EVENT');
  for (const look of [async () => at.store(), () => at.again(), () => at.again(true)]) {
    const store = await look();
    expect(store.desk.policyRevision()).toBe(2);
    expect((await store.desk.policy(1))?.type).toBe('policySet');
    expect(await store.desk.policy(3)).toBeUndefined();
  }
});

const days = (count: number) => ({ count, unit: 'd' }) as const;
const rulesOf = (within: number): RetentionRules => ({
  rules: [
    {
      match: { classes: ['raw'], agents: undefined, sources: undefined },
      lock: days(365),
      keep: { within: days(within), daily: 0, weekly: 0, monthly: 0, yearly: 0, last: 0 },
      gone: 'forever',
    },
  ],
  grace: days(7),
});

test('P5 I-C27: how long versions are kept changes by the kit or a key for retention only; every policy is there at once after a start', async () => {
  const at = await opened();
  const says = (event: EventBody) =>
    at
      .store()
      .events.append(event)
      .then(
        () => 'accepted',
        (error: Error) => error.message,
      );
  const { certified, by } = operatorOf(at);
  const settings = certified(['settings'], NOW + 1);
  const both = certified(['settings', 'retention'], NOW + 1);
  const notFor = /^the key of operator m is for settings, not for retention$/;
  expect(await says(by(settings, 1, rulesOf(90)))).toMatch(notFor);
  expect(await says(by(certified(['retention'], NOW + 1), 1, rulesOf(90)))).toMatch(
    /for retention, not for settings/,
  );
  expect(await says(by(certified(['settings', 'retention'], NOW), 1, rulesOf(90)))).toMatch(
    /^the key of operator m expired at 20/,
  );
  const elsewhere = new StoreWorld('elsewhere');
  expect(await says(policySet(at, 1, elsewhere.authority, rulesOf(90)))).toMatch(
    /^the policy is not signed by the key that should have signed it$/,
  );
  expect(await says(by(both, 1, rulesOf(90)))).toBe('accepted');
  // What stays as it is in force may be signed again with settings for PCs.
  expect(await says(by(settings, 2, rulesOf(90)))).toBe('accepted');
  expect(await says(by(settings, 3, rulesOf(91)))).toMatch(notFor);
  expect(await says(by(settings, 3))).toMatch(notFor);
  expect(await says(by(both, 2, rulesOf(7)))).toMatch(/^policy 2 was set meanwhile/);
  expect(await says(policySet(at, 3, at.world.authority, rulesOf(7)))).toBe('accepted');
  expect(await says(policySet(at, 4))).toBe('accepted');
  const set = [rulesOf(90), rulesOf(90), rulesOf(7), undefined].map((rules, place) => ({
    revision: place + 1,
    setAtMs: at.world.clock.now,
    rules: rules?.rules ?? [],
    grace: rules?.grace,
  }));
  for (const look of [async () => at.store(), () => at.again(), () => at.again(true)])
    expect((await look()).desk.policies()).toEqual(set);
});

test('P5: settings are for agents that enrolled, newer than what they are offered; what waits is handed out when it is promoted', async () => {
  const at = await opened();
  const set = (event: EventBody) => codeOf(at.store().events.append(event));
  const { agentId } = at.agent;
  expect(await set(settingsSet(at, 1, { by: new StoreWorld('elsewhere').authority }))).toBe(
    'STORE_BAD_EVENT',
  );
  expect(
    await set(settingsSet(at, 1, { agentId: new Uint8Array(16).fill(8) as typeof agentId })),
  ).toBe('STORE_UNKNOWN_AGENT');
  expect(await set({ type: 'settingsPromoted', timeMs: NOW, sequence: 9, automatic: false })).toBe(
    'STORE_BAD_EVENT',
  );
  const first = settingsSet(at, 1);
  expect([await set(first), await set(first)]).toEqual(['accepted', 'accepted']);
  expect(await set(settingsSet(at, 1))).toBe('STORE_BAD_EVENT');
  expect(await set(settingsSet(at, NOW + 1))).toBe('STORE_BAD_EVENT');
  expect(await codeOf(at.store().events.appendAll([settingsSet(at, 3), settingsSet(at, 2)]))).toBe(
    'STORE_BAD_EVENT',
  );
  expect(await set(settingsSet(at, 2, { waits: true }))).toBe('accepted');
  expect(at.store().desk.settingsWait()).toBe(true);
  expect(await set(settingsSet(at, 2))).toBe('STORE_BAD_EVENT');
  for (const look of [async () => at.store(), () => at.again(), () => at.again(true)])
    expect((await look()).desk.of(agentId)).toMatchObject({
      current: { sequence: 1, groups: ['g'] },
      waiting: { sequence: 2 },
    });
  expect(await set({ type: 'settingsPromoted', timeMs: NOW, sequence: 1, automatic: false })).toBe(
    'STORE_BAD_EVENT',
  );
  expect(await set({ type: 'settingsPromoted', timeMs: NOW, sequence: 2, automatic: true })).toBe(
    'accepted',
  );
  const offered = (await at.again()).desk.of(agentId);
  expect([offered.current?.sequence, offered.waiting]).toEqual([2, undefined]);
});

test('I-C2: a catalog made anew from the history is the same; what an agent said is kept through an orderly restart', async () => {
  const at = await opened();
  const policy = policySet(at, 1, at.world.authority, rulesOf(90));
  await at.store().events.appendAll([policy, settingsSet(at, 1, { waits: true })]);
  const reply = {
    sequence: 1,
    outcome: 'refused',
    code: 'SETTINGS_INVALID',
    ephemeralKey: new Uint8Array(32).fill(1),
    sealed: new Uint8Array(20),
    atMs: NOW,
  } as const;
  at.store().desk.said(at.agent.agentId, { inForce: 7, software: 'aliquot-agent 0.1.0' });
  at.store().desk.said(at.agent.agentId, { reply });
  expect((await at.again()).desk.of(at.agent.agentId).said).toEqual({
    inForce: 7,
    software: 'aliquot-agent 0.1.0',
    reply,
  });
  await at.store().close();
  const live = await catalogRows(at.dir);
  await at.again(true);
  await at.store().close();
  expect(await catalogRows(at.dir)).toEqual(live);
  await at.again();
});

test('events of one request are judged beside each other: a name is in one bundle of it', async () => {
  const at = await opened();
  const bundle = () =>
    ({
      type: 'agentExpected',
      timeMs: NOW,
      enrolment: new WorldAgent(at.world, 'hplc-2').enrolment,
    }) as const;
  expect(await codeOf(at.store().events.appendAll([bundle(), bundle()]))).toBe('STORE_BAD_EVENT');
  const one = bundle();
  expect(await codeOf(at.store().events.appendAll([one, one]))).toBe('STORE_BAD_EVENT');
  expect(await codeOf(at.store().events.appendAll([one]))).toBe('accepted');
});

test('I-C2 I-C27: a policy whose record rotted is missing from a catalog made anew, which says that an event is', async () => {
  const at = await opened();
  const policy = policySet(at, 1, at.world.authority, rulesOf(90));
  await at.store().events.appendAll([policy, policySet(at, 2)]);
  const { leafIndex } = await at.store().events.append(settingsSet(at, 2));
  await at.store().close();
  const [file = ''] = readdirSync(join(at.dir, 'history'));
  const path = join(at.dir, 'history', file);
  const bytes = readFileSync(path);
  const { sealed } = policy as EventBody & { type: 'policySet' };
  const place = bytes.indexOf(sealed);
  expect(place).toBeGreaterThan(0);
  // A single byte would be found again.
  bytes.fill(0x55, place + 40, place + 60);
  writeFileSync(path, bytes);
  const unread = async () => {
    const rows = await catalogRows(at.dir);
    return rows.filter((row) => row.startsWith('56'));
  };
  // What was taken in before is not asked of the history again.
  expect((await at.again()).desk.policies().map(({ revision }) => revision)).toEqual([1, 2]);
  expect((await at.again(true)).desk.policies().map(({ revision }) => revision)).toEqual([2]);
  await at.store().close();
  const key = Buffer.alloc(9, 'V');
  key.writeBigUInt64BE(BigInt(leafIndex - 2), 1);
  expect(await unread()).toEqual([`${key.toString('hex')} `]);
  await at.again();
});
