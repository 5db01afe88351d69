import { cpSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  asLineageId,
  decodeAgentBindingBody,
  decodeEventBody,
  type EventBody,
  encodeEventBody,
  type Signed,
} from '@aliquot/proto';
import { newBoxKey } from '@aliquot/shared/crypto/box';
import { newSigningKey } from '@aliquot/shared/crypto/sign';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import { issueApproval } from '@aliquot/shared/keys/approval';
import { groupIdOf, issueGroup, issueMember } from '@aliquot/shared/keys/group';
import { issueOperator } from '@aliquot/shared/keys/operator-certificate';
import { issueRevocation } from '@aliquot/shared/keys/revocation';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { describe, expect, onTestFinished, test } from 'vitest';
import { check, lab, openWhole } from '../../testing/store/fsck-lab.ts';
import { content, StoreWorld, WorldAgent } from '../../testing/store/world.ts';
import type { UnfitRecord } from './errors.ts';
import { StoredVault } from './stored-vault.ts';
import { endedFile, readBook, writeBook } from './vault/event-book.ts';
import type { VaultEvents, VaultStore } from './vault-store.ts';

/* Who ended for good stays out, also where the history is put back to an older state (I-C18). */

async function opened(world = new StoreWorld()) {
  const dir = temporaryFolder();
  const told: UnfitRecord[] = [];
  const open = () =>
    StoredVault.inFolder(dir, world.identity, {
      ...world.ports(),
      onUnfit: (record) => void told.push(record),
    });
  let store = await open();
  onTestFinished(() => store.close());
  await store.events.append(world.vaultAdded());
  const ended = join(dir, 'ended.bin');
  return {
    ...{ dir, ended, world, told },
    file: endedFile(nodeDisk, dir),
    store: () => store,
    /** Closes it, lets somebody do something to the folder, and opens it again. */
    async again(meanwhile: () => void = () => undefined): Promise<StoredVault> {
      await store.close();
      meanwhile();
      store = await open();
      return store;
    },
    /** Keeps the folder as it is now; the answer puts everything of it back but `ended.bin`. */
    async keep(): Promise<() => void> {
      await this.again(() => cpSync(dir, `${dir}.old`, { recursive: true }));
      return () => {
        renameSync(ended, `${dir}.bin`);
        rmSync(dir, { recursive: true });
        renameSync(`${dir}.old`, dir);
        cpSync(`${dir}.bin`, ended);
      };
    },
  };
}

const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'accepted',
    (error: { code?: string }) => error.code,
  );

const expected = ({ world, enrolment }: WorldAgent): EventBody => ({
  type: 'agentExpected',
  timeMs: world.clock.now,
  enrolment,
});
const revoked = ({ world, agentId }: WorldAgent, reason = 'stolen'): EventBody => ({
  type: 'agentRevoked',
  timeMs: world.clock.now,
  agentId,
  reason,
});

/** The same, signed: by the authority unless by somebody else. */
function signed(
  agent: WorldAgent,
  {
    reason = 'stolen',
    key = agent.world.authority,
    operator = undefined as Signed | undefined,
  } = {},
): EventBody {
  const { world, agentId } = agent;
  const { vaultId } = world.descriptor;
  const body = { version: 1, vaultId, agentId, revokedAtMs: world.clock.now, reason } as const;
  return {
    ...revoked(agent, reason),
    revocation: issueRevocation(key, body),
    operator,
  } as EventBody;
}

const answerTo = (store: VaultStore, agent: WorldAgent) =>
  store.intake.commit(
    agent.agentId,
    agent.copy().build([agent.directory('/new')]).bytes,
    agent.world.clock.now,
  );

/** The bundle of a group, whose PCs are approved or not. */
const groupOf = (
  { authority, descriptor, clock }: StoreWorld,
  groupKey: Uint8Array,
  approve: boolean,
) =>
  issueGroup(authority, {
    version: 1,
    vaultId: descriptor.vaultId,
    name: 'hall',
    groupKey,
    uses: 3,
    names: [],
    approve,
    selfRestore: true,
    dedupEpoch: 1,
    issuedAtMs: clock.now,
    expiresAtMs: clock.now + 1_000_000,
  });

async function eventsOf(store: VaultStore, agent: WorldAgent): Promise<EventBody[]> {
  const found: EventBody[] = [];
  for await (const { event } of store.log.events(0, store.log.treeHead().size)) {
    const body = decodeEventBody(event);
    if (body.type === 'agentRevoked' && Buffer.compare(body.agentId, agent.agentId) === 0)
      found.push(body);
  }
  return found;
}

describe('a history that was put back to before somebody ended', () => {
  test('P4 P5 I-C18: whom an operator revoked is refused with the same words, and the log says so again', async () => {
    const at = await opened();
    const [pc, thief] = [
      await at.world.agent(at.store(), 'pc'),
      await at.world.agent(at.store(), 'thief'),
    ];
    await thief.back(at.store(), [thief.file('/d/a', [content('a')])]);
    const putBack = await at.keep();
    const honest = pc.copy();
    await at.store().events.append(revoked(thief));
    await pc.back(at.store(), [pc.file('/d/b', [content('b')])]);
    const before = await answerTo(at.store(), thief);
    const size = at.store().log.treeHead().size;
    const store = await at.again(putBack);
    expect(at.told).toMatchObject([{ type: 'ended', where: at.ended }]);
    expect(store.log.treeHead().size).toBe(size - 1);
    expect(before).toMatchObject({ type: 'refused', code: 'revoked' });
    expect(await answerTo(store, thief)).toEqual(before);
    expect(await eventsOf(store, thief)).toMatchObject([{ reason: 'stolen' }]);
    // Said once: a later start has nothing to add, and the honest PC goes on.
    await at.again();
    expect([at.told.length, at.store().log.treeHead().size]).toEqual([1, size - 1]);
    await honest.back(at.store(), [honest.file('/d/c', [content('c')])]);
  });

  test('P5 I-C18: where nothing else was lost the log is what it was, with what was signed', async () => {
    const at = await opened();
    const thief = await at.world.agent(at.store(), 'thief');
    const putBack = await at.keep();
    at.world.clock.now += 60_000;
    await at.store().events.append(signed(thief));
    const head = at.store().log.treeHead();
    const said = await eventsOf(at.store(), thief);
    at.world.clock.now += 60_000;
    const store = await at.again(putBack);
    expect(store.log.treeHead()).toEqual(head);
    expect(await eventsOf(store, thief)).toEqual(said);
    expect(said).toMatchObject([{ revocation: { body: expect.any(Uint8Array) } }]);
  });

  test('P4 I-C18: whose place another took, whose bundle was made anew, and who comes with the bundle of an ended group stay out too', async () => {
    const at = await opened();
    const { world } = at;
    const old = await world.agent(at.store(), 'pc');
    const unused = await world.agent(at.store(), 'ms-1', { replaces: old, enrol: false });
    const groupKey = newSigningKey(world.random);
    const group = groupOf(world, groupKey.publicKey, false);
    await at.store().events.append({ type: 'groupAdded', timeMs: world.clock.now, group });
    const putBack = await at.keep();
    const newer = await world.agent(at.store(), 'ms-1', { replaces: old });
    const groupId = groupIdOf(groupKey.publicKey);
    await at.store().events.append({ type: 'groupEnded', timeMs: world.clock.now, groupId });
    expect(at.store().register.agentById(old.agentId)?.state).toBe('replaced');

    const store = await at.again(putBack);
    expect(await answerTo(store, old)).toMatchObject({ code: 'revoked' });
    expect(store.register.agentById(old.agentId)?.endReason).toMatch(/^replaced by ms-1/);
    expect(await codeOf(unused.enrolAt(store))).toBe('STORE_REVOKED');
    expect(store.register.groups()).toMatchObject([{ endedAtMs: world.clock.now }]);
    // The successor comes again by its own certificates, and goes on.
    await store.events.append(expected(newer));
    await newer.enrolAt(store);
    await newer.back(store, [newer.file('/d/a', [content('a')])]);
  });

  test('P4 I-C18: whose place another took stays out also where it had been approved one day', async () => {
    const at = await opened();
    const { world } = at;
    const [{ vaultId }, timeMs] = [world.descriptor, world.clock.now];
    const say = (event: EventBody) => at.store().events.append(event);
    const [groupKey, signKey] = [newSigningKey(world.random), newSigningKey(world.random)];
    const group = groupOf(world, groupKey.publicKey, true);
    const boxKey = newBoxKey(world.random).publicKey;
    const binding = issueMember(vaultId, groupKey, 'hplc-7', { signKey, boxKey });
    const { agentId } = decodeAgentBindingBody(binding.body);
    await say({ type: 'groupAdded', timeMs, group });
    await say({ type: 'agentPending', timeMs, enrolment: group, binding });
    const approval = issueApproval(world.authority, {
      ...{ version: 1, vaultId, agentId, successor: undefined, approvedAtMs: timeMs },
    });
    await say({ type: 'agentApproved', timeMs, approval, operator: undefined });
    const putBack = await at.keep();
    const old = { agentId, lineageId: asLineageId(agentId.slice()) };
    await world.agent(at.store(), 'hplc-7', { replaces: old as WorldAgent });
    expect(at.store().register.agentById(agentId)?.state).toBe('replaced');
    const store = await at.again(putBack);
    expect(store.register.agentById(agentId)).toMatchObject({
      ...{ state: 'revoked', endReason: expect.stringMatching(/^replaced by hplc-7/) },
    });
  });

  test('P4 I-C18: who is not even known any more is out as soon as its enrolment is recorded again', async () => {
    const at = await opened();
    const putBack = await at.keep();
    const thief = await at.world.agent(at.store(), 'thief');
    await at.store().events.append(revoked(thief));
    const store = await at.again(putBack);
    expect(store.register.agentById(thief.agentId)).toBeUndefined();
    const { leafIndex } = await store.events.append(expected(thief));
    expect(store.log.treeHead().size).toBe(leafIndex + 2);
    expect(await codeOf(thief.enrolAt(store))).toBe('STORE_REVOKED');
    expect(await answerTo(store, thief)).toMatchObject({ code: 'revoked' });
  });
});

describe('a revocation that is signed', () => {
  test('P4: is recorded as the authority or an operator for agents signed it, and nothing else', async () => {
    const at = await opened();
    const { world } = at;
    const [one, two] = [await world.agent(at.store(), 'one'), await world.agent(at.store(), 'two')];
    const say = (event: EventBody) => codeOf(at.store().events.append(event));
    const stranger = new StoreWorld('elsewhere');
    const key = newSigningKey(world.random);
    const certified = (purpose: 'agents' | 'settings') =>
      issueOperator(world.authority, {
        version: 1,
        vaultId: world.descriptor.vaultId,
        name: 'maria',
        signKey: key.publicKey,
        boxKey: new Uint8Array(32).fill(1),
        purposes: [purpose],
        issuedAtMs: world.clock.now,
        expiresAtMs: world.clock.now + 1000,
      });
    const size = at.store().log.treeHead().size;
    expect(await say(signed(one, { key: stranger.authority }))).toBe('STORE_BAD_EVENT');
    expect(await say({ ...signed(one), agentId: two.agentId } as EventBody)).toBe(
      'STORE_BAD_EVENT',
    );
    expect(await say({ ...signed(one), reason: 'retired' } as EventBody)).toBe('STORE_BAD_EVENT');
    expect(await say(signed(one, { key, operator: certified('settings') }))).toBe(
      'STORE_BAD_EVENT',
    );
    expect(at.store().log.treeHead().size).toBe(size);
    expect(await say(signed(one))).toBe('accepted');
    expect(await say(signed(two, { key, operator: certified('agents') }))).toBe('accepted');
    // A year later, when the operator's term is over, it holds for a start all the same.
    world.clock.now += 31_536_000_000;
    await at.again();
    expect(at.told).toEqual([]);
  });

  test('P4 I-C18: may follow one that nobody had signed, once, and is kept then', async () => {
    const at = await opened();
    const thief = await at.world.agent(at.store(), 'thief');
    await at.store().events.append(revoked(thief));
    const endedAtMs = at.store().register.agentById(thief.agentId)?.endedAtMs;
    const putBack = await at.keep();
    at.world.clock.now += 60_000;
    const { leafIndex } = await at.store().events.append(signed(thief, { reason: 'by a thief' }));
    expect(await at.store().events.append(revoked(thief))).toEqual({ leafIndex });
    expect(await at.store().events.append(signed(thief))).toEqual({ leafIndex });
    expect(at.store().register.agentById(thief.agentId)).toMatchObject({
      ...{ state: 'revoked', endedAtMs, endReason: 'by a thief' },
    });
    const store = await at.again(putBack);
    expect(await eventsOf(store, thief)).toMatchObject([
      { revocation: undefined },
      { revocation: { body: expect.any(Uint8Array) } },
    ]);
  });
});

test('P4 I-C18: what somebody signed of an agent that is not known here ends it when it comes, and nothing else is kept so', async () => {
  const at = await opened();
  const thief = new WorldAgent(at.world, 'thief');
  const known = await at.world.agent(at.store(), 'pc');
  const stranger = new StoreWorld('elsewhere');
  const foresee = (event: EventBody) =>
    codeOf(at.store().events.foresee(event as Parameters<VaultEvents['foresee']>[0]));
  expect(await foresee(revoked(thief))).toBe('STORE_BAD_EVENT');
  expect(await foresee(signed(known))).toBe('STORE_BAD_EVENT');
  expect(await foresee(signed(thief, { key: stranger.authority }))).toBe('CERT_SIGNATURE');
  expect(await foresee(signed(thief))).toBe('accepted');
  const store = await at.again();
  expect(store.register.agentById(thief.agentId)).toBeUndefined();
  await store.events.append(expected(thief));
  expect(store.register.agentById(thief.agentId)?.state).toBe('revoked');
  expect(await answerTo(store, known)).toMatchObject({ type: 'accepted' });
});

describe('the file of who ended', () => {
  test('P6 I-C18: stops nothing when it is damaged, cut, another vault’s or not what was said: that is told, and it is made again', async () => {
    const at = await opened();
    const thief = await at.world.agent(at.store(), 'thief');
    const other = new WorldAgent(new StoreWorld('elsewhere'), 'other');
    await at.store().events.append(signed(thief));
    const sound = readFileSync(at.ended);
    const { vaultId } = at.world.descriptor;
    const { events } = await readBook(at.file, vaultId);
    const says = async (meanwhile: () => void | Promise<void>) => {
      at.told.length = 0;
      await at.store().flush();
      await meanwhile();
      const store = await at.again();
      expect(await answerTo(store, thief)).toMatchObject({ code: 'revoked' });
      expect(readFileSync(at.ended).equals(sound), 'made again').toBe(true);
      return at.told;
    };
    for (let byte = 0; byte < sound.length; byte += 7) {
      const rotten = Buffer.from(sound);
      rotten[byte] = (rotten[byte] ?? 0) ^ 0x10;
      const told = await says(() => writeFileSync(at.ended, rotten));
      expect(told, `byte ${byte}`).toMatchObject([{ type: 'file', where: at.ended }]);
    }
    for (const length of [0, 1, 40, sound.length - 1]) {
      const told = await says(() => writeFileSync(at.ended, sound.subarray(0, length)));
      expect(told[0]?.why, `${length} bytes`).toMatch(/ended\.bin is damaged$/);
    }
    const foreign = await says(() =>
      writeBook(at.file, { vaultId: other.world.descriptor.vaultId, events }),
    );
    expect(foreign[0]?.why).toMatch(/ended\.bin is another vault's$/);
    const forged = encodeEventBody(signed(thief, { key: other.world.authority }));
    const unsaid = await says(() => writeBook(at.file, { vaultId, events: [forged] }));
    expect(unsaid[0]?.why).toContain('ended.bin has what nobody said');
    const nothing = encodeEventBody(expected(thief));
    expect(
      (await says(() => writeBook(at.file, { vaultId, events: [nothing] })))[0]?.why,
    ).toContain('nothing ends by agentExpected');
    expect(await says(() => rmSync(at.ended))).toEqual([]);
  });

  test('P6 I-C18: is known to fsck: what it and the history lack of each other is no fault, and a damaged one is made again by a repair', async () => {
    const place = await lab();
    const ended = join(place.vaultDir, 'ended.bin');
    const kept = join(place.dir, '..', 'kept');
    const codes = async (repair = false) =>
      (await check(place, repair)).findings.map(({ code }) => code);
    expect(await codes()).toEqual([]);
    cpSync(join(place.vaultDir, 'history'), kept, { recursive: true });
    const store = await openWhole(place.dir, place.world.ports());
    await store.vaults()[0]?.events.append(revoked(place.agent));
    await store.close();
    expect(await codes()).toEqual([]);
    const sound = readFileSync(ended);
    writeFileSync(ended, sound.subarray(1));
    expect(await codes()).toEqual(['ended-broken']);
    expect(await codes(true)).toEqual(['ended-broken', 'repaired']);
    expect([await codes(), readFileSync(ended).equals(sound)]).toEqual([[], true]);
    rmSync(ended);
    expect(await check(place)).toMatchObject({ faults: 0, findings: [{ code: 'ended-differs' }] });
    writeFileSync(ended, sound);
    rmSync(join(place.vaultDir, 'history'), { recursive: true });
    cpSync(kept, join(place.vaultDir, 'history'), { recursive: true });
    for (const name of ['catalog', 'durable.json'])
      rmSync(join(place.vaultDir, name), { recursive: true });
    expect(await codes()).toEqual(['catalog-broken', 'ended-differs']);
    await (await openWhole(place.dir, place.world.ports())).close();
    expect(await codes()).toEqual([]);
  });
});
