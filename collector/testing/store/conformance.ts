import {
  asChainId,
  asChunkId,
  asCommitHash,
  decodeReceiptBody,
  decodeSignedCommit,
  decodeTreeHeadBody,
  type EventBody,
  encodeSignedCommit,
  type StateRecord,
} from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import { newSigningKey } from '@aliquot/shared/crypto/sign';
import { leafHash } from '@aliquot/shared/log/merkle';
import { verifyConsistency, verifyInclusion } from '@aliquot/shared/log/proofs';
import { signHead, verifyHead, verifyReceipt } from '@aliquot/shared/log/receipt';
import { describe, expect, test } from 'vitest';
import { StoreError } from '../../src/store/errors.ts';
import { ITEM_ROOM_BYTES } from '../../src/store/vault-records.ts';
import type { VaultStore } from '../../src/store/vault-store.ts';
import { forkConformance } from './fork-conformance.ts';
import { heldBytes, readOne } from './read-one.ts';
import { content, TestAgent, World, without } from './world.ts';

/** A store under test: opened on the same place again and again. */
export interface StoreFactory {
  /** Opens (or makes) the store of `world`; each test uses one world and one place. */
  open(world: World): Promise<VaultStore>;
  /** Closes it in good order; the next `open` finds what was kept. */
  close(store: VaultStore): Promise<void>;
}

async function all(records: AsyncIterable<StateRecord>): Promise<StateRecord[]> {
  const found: StateRecord[] = [];
  for await (const record of records) found.push(record);
  return found;
}

async function codeOf(run: Promise<unknown>): Promise<string | undefined> {
  try {
    await run;
    return undefined;
  } catch (error) {
    if (error instanceof StoreError) return error.code;
    throw error;
  }
}

/** What every vault store must do. A new store's test file is its factory and one call of this. */
export function vaultStoreConformance(name: string, factory: () => StoreFactory): void {
  describe(`vault store: ${name}`, () => {
    const begin = async () => {
      const world = new World();
      const places = factory();
      const store = await places.open(world);
      await store.events.append(world.vaultAdded());
      return { world, places, store };
    };

    test('I-C1 P1 a receipt is verifiable, names its leaf and survives a restart byte for byte', async () => {
      const { world, places, store } = await begin();
      const agent = await world.agent(store, 'hplc-1');
      const done = await agent.back(store, [
        agent.file('/d/a', [content('a')]),
        agent.file('/d/b', [content('b'), content('c')]),
      ]);
      const receipt = verifyReceipt(done.receipt, store.certificate);
      expect(receipt).toMatchObject({
        leafIndex: 3,
        sequence: 1,
        copies: 1,
        head: { size: 4, logEpoch: 1 },
      });
      await places.close(store);
      const again = await places.open(world);
      const repeated = await again.intake.commit(agent.agentId, done.bytes, world.clock.now + 5000);
      expect(repeated).toEqual({
        type: 'accepted',
        receipt: done.receipt,
        leafIndex: 3,
        head: receipt.head,
        repeated: true,
        addedBytes: 0,
      });
      expect(again.register.agentById(agent.agentId)?.lastReceipt).toEqual(done.receipt);
    });

    test('P5 every head is consistent with the ones before and includes every leaf', async () => {
      const { world, store } = await begin();
      const agent = await world.agent(store, 'hplc-1');
      const heads = [store.log.treeHead()];
      for (const word of ['a', 'b', 'c', 'd', 'e']) {
        await agent.back(store, [agent.file(`/d/${word}`, [content(word)])]);
        heads.push(store.log.treeHead());
      }
      const last = store.log.treeHead();
      expect(verifyHead(store.log.head(world.clock.now), store.certificate).head).toEqual(last);
      for (const head of heads) {
        const proof =
          head.size === last.size ? [] : await store.log.consistency(head.size, last.size);
        verifyConsistency(head.size, head.root, last.size, last.root, proof);
        expect(await store.log.judgeHead(head)).toBe('consistent');
      }
      for (let leaf = 0; leaf < last.size; leaf += 1) {
        const { leaf: bytes } = await store.log.leafAt(leaf);
        verifyInclusion(
          leafHash(bytes),
          leaf,
          last.size,
          await store.log.inclusion(leaf, last.size),
          last.root,
        );
      }
    });

    test('P4 P3 what others uploaded is missing, held or not, and cannot be committed', async () => {
      const { world, store } = await begin();
      const owner = await world.agent(store, 'hplc-1');
      const thief = await world.agent(store, 'hplc-2');
      const file = owner.file('/d/secret', [content('secret')]);
      await owner.back(store, [file]);
      const ids = file.items.map((item) => item.id);
      expect(await store.intake.has(owner.lineageId, ids)).toEqual([true]);
      expect(await store.intake.has(thief.lineageId, ids)).toEqual([false]);
      const stolen = thief.build([thief.file('/d/mine', [content('secret')]).draft]);
      expect(await store.intake.commit(thief.agentId, stolen.bytes, world.clock.now)).toEqual({
        type: 'missing',
        ids,
      });
      const before = store.figures.stats().storedBytes;
      await store.intake.putChunks(thief.lineageId, file.items);
      expect(store.figures.stats().storedBytes).toBe(before);
      expect((await store.intake.commit(thief.agentId, stolen.bytes, world.clock.now)).type).toBe(
        'accepted',
      );
    });

    test('P4 a page does not smuggle in the chunks that it names', async () => {
      const { world, store } = await begin();
      const owner = await world.agent(store, 'hplc-1');
      const thief = await world.agent(store, 'hplc-2');
      const chunks = Array.from({ length: 40 }, (_, index) => content(`part ${index}`, 64));
      const file = owner.file('/d/big', chunks);
      await owner.back(store, [file]);
      const pages = file.items.filter((item) => item.kind === 'page');
      expect(pages.length).toBeGreaterThan(0);
      await store.intake.putChunks(thief.lineageId, pages);
      const outcome = await store.intake.commit(
        thief.agentId,
        thief.build([thief.file('/d/x', chunks).draft]).bytes,
        world.clock.now,
      );
      expect(outcome.type === 'missing' && outcome.ids.length).toBe(40);
    });

    test('uploads count before and after a sync, and after a restart', async () => {
      const { world, places, store } = await begin();
      const agent = await world.agent(store, 'hplc-1');
      const { items } = agent.file('/d/a', [content('a')]);
      const ids = items.map((item) => item.id);
      await store.intake.putChunks(agent.lineageId, items);
      expect(await store.intake.has(agent.lineageId, ids)).toEqual([true]);
      await store.intake.sync();
      await places.close(store);
      expect(await (await places.open(world)).intake.has(agent.lineageId, ids)).toEqual([true]);
    });

    test('an item that is not what it says is refused, and nothing of its call is kept', async () => {
      const { world, store } = await begin();
      const agent = await world.agent(store, 'hplc-1');
      const [good] = agent.file('/d/a', [content('a')]).items;
      if (good === undefined) throw new Error('no item');
      const bad = { ...good, id: asChunkId(content('another id', 32)) };
      expect(await codeOf(store.intake.putChunks(agent.lineageId, [good, bad]))).toBe(
        'STORE_BAD_ITEM',
      );
      expect(
        await codeOf(store.intake.putChunks(agent.lineageId, [{ ...good, kind: 'page' }])),
      ).toBe('STORE_BAD_ITEM');
      expect(await store.intake.has(agent.lineageId, [good.id])).toEqual([false]);
    });

    test('a gap in the chain is refused so that the agent sends again from the head', async () => {
      const { world, store } = await begin();
      const agent = await world.agent(store, 'hplc-1');
      await agent.back(store, [agent.directory('/d')]);
      const later = agent.build([agent.directory('/e')], {
        sequence: 3,
        predecessor: asCommitHash(content('lost', 32)),
      });
      expect(await store.intake.commit(agent.agentId, later.bytes, world.clock.now)).toMatchObject({
        type: 'refused',
        code: 'bad-predecessor',
      });
      expect(await store.intake.chainHead(agent.agentId, agent.chainId)).toMatchObject({
        sequence: 1,
        hash: agent.headHash,
      });
      expect(
        await store.intake.chainHead(agent.agentId, asChainId(new Uint8Array(16).fill(7))),
      ).toBeUndefined();
    });

    test('a wrong signature, a changed entry and another agent are refused', async () => {
      const { world, store } = await begin();
      const agent = await world.agent(store, 'hplc-1');
      const other = await world.agent(store, 'hplc-2');
      const built = agent.build([agent.directory('/d')]);
      const signed = decodeSignedCommit(built.bytes);
      const forged = encodeSignedCommit({ ...signed, signature: content('forged', 64) });
      expect(await store.intake.commit(agent.agentId, forged, world.clock.now)).toMatchObject({
        code: 'bad-signature',
      });
      expect(await store.intake.commit(other.agentId, built.bytes, world.clock.now)).toMatchObject({
        code: 'bad-signature',
      });
      const emptied = encodeSignedCommit({ ...signed, wraps: [] });
      expect(await store.intake.commit(agent.agentId, emptied, world.clock.now)).toMatchObject({
        code: 'bad-commit',
      });
      expect(
        await store.intake.commit(agent.agentId, content('noise'), world.clock.now),
      ).toMatchObject({
        code: 'bad-commit',
      });
    });

    test('a revoked agent and one that was replaced may not commit; the successor has history and set', async () => {
      const { world, store } = await begin();
      const old = await world.agent(store, 'hplc-1');
      const file = old.file('/d/a', [content('a')]);
      await old.back(store, [file]);
      const successor = await world.agent(store, 'hplc-1', { replaces: old, enrol: false });
      expect(store.register.agentByName('hplc-1')?.agentId).toEqual(old.agentId);
      await successor.enrolAt(store);
      expect(store.register.agentByName('hplc-1')?.agentId).toEqual(successor.agentId);
      expect(store.register.agentById(old.agentId)?.state).toBe('replaced');
      expect(
        await store.intake.commit(
          old.agentId,
          old.build([old.directory('/e')]).bytes,
          world.clock.now,
        ),
      ).toMatchObject({ code: 'replaced' });
      const outcome = await store.intake.commit(
        successor.agentId,
        successor.build([file.draft]).bytes,
        world.clock.now,
      );
      expect(outcome.type).toBe('accepted');
      expect(
        await all(store.reading.versions(successor.lineageId, old.fileId('/d/a'))),
      ).toHaveLength(2);
      await store.events.append({
        type: 'agentRevoked',
        timeMs: world.clock.now,
        agentId: successor.agentId,
        reason: 'lost',
      });
      expect(
        await store.intake.commit(
          successor.agentId,
          successor.build([successor.directory('/d')]).bytes,
          world.clock.now,
        ),
      ).toMatchObject({
        code: 'revoked',
      });
    });

    test('an enrolment repeated with the same keys answers the same leaf, with others it fails', async () => {
      const { world, store } = await begin();
      const agent = await world.agent(store, 'hplc-1');
      const leaf = await agent.enrolAt(store);
      expect(await agent.enrolAt(store)).toBe(leaf);
      expect(await codeOf(agent.enrolAt(store, agent.bindingOf(newSigningKey(world.random))))).toBe(
        'STORE_OTHER_KEYS',
      );
      const unknown = new TestAgent(world, 'stranger');
      expect(await codeOf(unknown.enrolAt(store))).toBe('STORE_UNKNOWN_AGENT');
      const rival = new TestAgent(world, 'hplc-1');
      expect(
        await codeOf(
          store.events.append({ type: 'agentExpected', timeMs: 1, enrolment: rival.enrolment }),
        ),
      ).toBe('STORE_NAME_TAKEN');
      const foreign = new TestAgent(new World('elsewhere'), 'x');
      expect(
        await codeOf(
          store.events.append({ type: 'agentExpected', timeMs: 1, enrolment: foreign.enrolment }),
        ),
      ).toBe('STORE_BAD_EVENT');
    });

    test('a name that a bundle waits for is given to no other, and of several at once all or none are expected', async () => {
      const { world, store } = await begin();
      const first = await world.agent(store, 'ms-1', { enrol: false });
      const rivals = [
        new TestAgent(world, 'ms-2'),
        new TestAgent(world, 'ms-1'),
        new TestAgent(world, 'ms-3'),
      ];
      const expected = (agents: readonly TestAgent[]): EventBody[] =>
        agents.map(({ enrolment }) => ({
          type: 'agentExpected',
          timeMs: world.clock.now,
          enrolment,
        }));
      const before = store.log.treeHead().size;
      expect(await codeOf(store.events.appendAll(expected(rivals)))).toBe('STORE_NAME_TAKEN');
      expect([
        store.log.treeHead().size,
        store.register.agentByName('ms-2'),
        store.register.agentByName('ms-3'),
      ]).toEqual([before, undefined, undefined]);
      const free = rivals.filter(({ name }) => name !== 'ms-1');
      expect(await store.events.appendAll(expected(free))).toEqual({ leafIndex: before + 1 });
      expect(await store.events.appendAll(expected(free))).toEqual({ leafIndex: before + 1 });
      expect(store.register.agents().map(({ name, state }) => `${name} ${state}`)).toEqual([
        'ms-1 expected',
        'ms-2 expected',
        'ms-3 expected',
      ]);
      await first.enrolAt(store);
    });

    test('a newer bundle that replaces the same agent takes an older one away that was not used', async () => {
      const { world, store } = await begin();
      const old = await world.agent(store, 'ms-1');
      const first = await world.agent(store, 'ms-2', { enrol: false, replaces: old });
      const second = await world.agent(store, 'ms-2', { enrol: false, replaces: old });
      expect(store.register.agentByName('ms-2')?.agentId).toEqual(second.agentId);
      expect(await codeOf(first.enrolAt(store))).toBe('STORE_REVOKED');
      await second.enrolAt(store);
    });

    test('state tells what was there at a time, and a version time is held between two receipts', async () => {
      const { world, places, store } = await begin();
      const agent = await world.agent(store, 'hplc-1');
      const t0 = world.clock.now;
      world.clock.now = t0 + 10_000;
      await agent.back(store, [
        agent.file('/d/a', [content('a1')], { capturedAtMs: t0 + 5000 }),
        agent.directory('/d'),
      ]);
      world.clock.now = t0 + 20_000;
      // Claims to be older than what was received before: held to just behind it (P5).
      await agent.back(store, [agent.file('/d/a', [content('a2')], { capturedAtMs: t0 - 99_000 })]);
      world.clock.now = t0 + 30_000;
      await agent.back(store, [
        agent.gone('/d/a', t0 + 25_000),
        agent.file('/d/b', [content('b')], { capturedAtMs: t0 + 99_000 }),
      ]);
      const summary = async (at: number | undefined) =>
        (await all(store.reading.state(agent.lineageId, at))).map((record) => [
          decodeReceiptBody(record.receipt.body).sequence,
          record.live,
          record.versionTimesMs,
        ]);
      expect(await summary(t0 + 4999)).toEqual([]);
      expect(await summary(t0 + 10_000)).toEqual([[1, [0, 1], [t0 + 5000, t0 + 10_000]]]);
      expect(await summary(t0 + 10_001)).toEqual([
        [1, [1], [t0 + 10_000]],
        [2, [0], [t0 + 10_001]],
      ]);
      const now = [
        [1, [1], [t0 + 10_000]],
        [3, [1], [t0 + 30_000]],
      ];
      expect(await summary(t0 + 30_000)).toEqual(now);
      expect(await summary(undefined)).toEqual(now);
      const versions = await all(store.reading.versions(agent.lineageId, agent.fileId('/d/a')));
      expect(versions.map((record) => record.versionTimesMs)).toEqual([
        [t0 + 5000],
        [t0 + 10_001],
        [t0 + 25_000],
      ]);
      expect(store.register.agentById(agent.agentId)).toMatchObject({ files: 1, bytes: 300 });
      await places.close(store);
      const again = await places.open(world);
      expect(
        (await all(again.reading.state(agent.lineageId, undefined))).map((record) => record.live),
      ).toEqual([[1], [1]]);
      expect(again.figures.stats()).toMatchObject({
        commits: 3,
        versions: 5,
        files: 1,
        liveBytes: 300,
        rawBytes: 900,
        uniqueBytes: 900,
      });
    });

    test('the log clock never runs backwards', async () => {
      const { world, store } = await begin();
      const agent = await world.agent(store, 'hplc-1');
      const first = await agent.back(store, [agent.directory('/a')]);
      world.clock.now -= 86_400_000;
      const second = await agent.back(store, [agent.directory('/b')]);
      const time = (signed: typeof first) => decodeReceiptBody(signed.receipt.body).receivedAtMs;
      expect(time(second)).toBe(time(first));
    });

    test('P5 a rollback is reported once, blocks the agent, and an opening heals it', async () => {
      const { world, store } = await begin();
      const agent = await world.agent(store, 'hplc-1');
      const head = { logEpoch: 1, size: 50, root: content('lost root', 32) };
      const { vaultId, collectorId } = store.certificate;
      const signedHead = signHead(world.collector, {
        version: 1,
        vaultId,
        collectorId,
        timeMs: world.clock.now,
        head,
      });
      const report = {
        type: 'headReported' as const,
        timeMs: world.clock.now,
        agentId: agent.agentId,
        head: signedHead,
        collectorCertificate: world.certificate,
      };
      expect(await store.log.judgeHead(head)).toBe('ahead');
      const first = await store.events.append(report);
      expect(await store.events.append(report)).toEqual(first);
      expect(store.log.reportedHeads()).toMatchObject([{ head, agentId: agent.agentId }]);
      expect(
        store.register.agentById(agent.agentId)?.problems.map((problem) => problem.code),
      ).toEqual(['log-rolled-back']);
      agent.treeHead = head;
      const built = agent.build([agent.directory('/d')]);
      expect(await store.intake.commit(agent.agentId, built.bytes, world.clock.now)).toMatchObject({
        code: 'log-rolled-back',
      });
      const stale = world.opening(2, { ...store.log.treeHead(), size: 1 }, [head]);
      expect(await codeOf(store.events.append(stale))).toBe('STORE_BAD_EVENT');
      const base = store.log.treeHead();
      const opened = await store.events.append(world.opening(2, base, [head]));
      expect(opened.leafIndex).toBe(base.size);
      expect(store.log.treeHead()).toMatchObject({ logEpoch: 2, size: base.size + 1 });
      expect(store.log.reportedHeads()).toEqual([]);
      expect(await store.log.judgeHead(head)).toBe('lost');
      expect(store.log.openings(1).map((opening) => opening.leafIndex)).toEqual([base.size]);
      const outcome = await store.intake.commit(agent.agentId, built.bytes, world.clock.now);
      expect(outcome).toMatchObject({ type: 'accepted', head: { logEpoch: 2 } });
    });

    test('P5 P6 rollbacks one inside the other: a head is healed only by an opening that an agent accepts for it', async () => {
      const { world, store } = await begin();
      const agent = await world.agent(store, 'hplc-1');
      const { vaultId, collectorId } = store.certificate;
      const report = (head: { logEpoch: number; size: number; root: Uint8Array }) => ({
        type: 'headReported' as const,
        timeMs: world.clock.now,
        agentId: agent.agentId,
        head: signHead(world.collector, {
          version: 1,
          vaultId,
          collectorId,
          timeMs: world.clock.now,
          head,
        }),
        collectorCertificate: world.certificate,
      });
      // One agent saw the first epoch, another what followed an opening that was itself lost.
      const early = { logEpoch: 1, size: 50, root: content('early', 32) };
      const late = { logEpoch: 2, size: 90, root: content('late', 32) };
      await store.events.append(report(early));
      await store.events.append(report(late));
      await store.events.append(world.opening(3, store.log.treeHead(), [late]));
      expect(await store.log.judgeHead(late)).toBe('lost');
      expect(await store.log.judgeHead({ ...late, size: 89, root: content('before', 32) })).toBe(
        'lost',
      );
      expect(await store.log.judgeHead({ ...late, root: content('other', 32) })).toBe('ahead');
      expect(await store.log.judgeHead(early)).toBe('ahead');
      expect(store.log.reportedHeads()).toMatchObject([{ head: early }]);
      await store.events.append(world.opening(4, store.log.treeHead(), [early]));
      expect([await store.log.judgeHead(early), await store.log.judgeHead(late)]).toEqual([
        'lost',
        'lost',
      ]);
      expect(store.log.reportedHeads()).toEqual([]);
    });

    test('P5 P6 a commit made before a loss may come without what nobody has any more; one made after it may not', async () => {
      const { world, places, store } = await begin();
      const agent = await world.agent(store, 'hplc-1');
      const kept = agent.file('/d/kept', [content('kept')]);
      const lost = agent.file('/d/lost', [content('lost')]);
      await store.intake.putChunks(agent.lineageId, kept.items);
      agent.treeHead = store.log.treeHead();
      const early = agent.build([lost.draft, kept.draft]);
      expect(
        await store.intake.commit(agent.agentId, without(early.bytes, 0), world.clock.now),
      ).toMatchObject({ code: 'bad-commit' });
      const gone = { logEpoch: 1, size: 50, root: content('lost root', 32) };
      await store.events.append(world.opening(2, store.log.treeHead(), [gone]));
      // Neither what was never taken out, nor other wraps, nor everything at once.
      expect(await store.intake.commit(agent.agentId, early.bytes, world.clock.now)).toMatchObject({
        type: 'missing',
      });
      const bare = encodeSignedCommit({
        ...decodeSignedCommit(early.bytes),
        slots: [],
        wraps: [],
        headerOnly: true,
      });
      expect(await store.intake.commit(agent.agentId, bare, world.clock.now)).toMatchObject({
        code: 'bad-commit',
      });
      const outcome = await store.intake.commit(
        agent.agentId,
        without(early.bytes, 0),
        world.clock.now,
      );
      expect(outcome).toMatchObject({ type: 'accepted' });
      if (outcome.type !== 'accepted') return;
      expect(
        await store.intake.commit(agent.agentId, without(early.bytes, 0), world.clock.now),
      ).toEqual({
        ...outcome,
        repeated: true,
        addedBytes: 0,
      });
      agent.advance(early, outcome.head);
      const late = agent.build([agent.directory('/d'), agent.directory('/e')]);
      expect(
        await store.intake.commit(agent.agentId, without(late.bytes, 1), world.clock.now),
      ).toMatchObject({ code: 'bad-commit' });
      expect(await store.intake.commit(agent.agentId, late.bytes, world.clock.now)).toMatchObject({
        type: 'accepted',
      });

      const seen = async (from: VaultStore) => ({
        state: (await all(from.reading.state(agent.lineageId, undefined))).map(
          (record) => record.live,
        ),
        lost: await all(from.reading.versions(agent.lineageId, agent.fileId('/d/lost'))),
        kept: (await all(from.reading.versions(agent.lineageId, agent.fileId('/d/kept')))).map(
          (record) => record.live,
        ),
        problems: from.register.agentById(agent.agentId)?.problems,
      });
      const live = await seen(store);
      expect(live).toMatchObject({ state: [[1], [0, 1]], lost: [], kept: [[1]] });
      expect(live.problems).toMatchObject([{ code: 'versions-lost' }]);
      await places.close(store);
      const again = await places.open(world);
      expect(await seen(again)).toEqual(live);
      // It stays until a person says that it was seen.
      const seenIt = {
        type: 'problemsAcknowledged' as const,
        timeMs: world.clock.now,
        agentId: agent.agentId,
      };
      await again.events.append(seenIt);
      expect(await seen(again)).toEqual({ ...live, problems: [] });
      expect(await codeOf(again.events.append(seenIt))).toBe('STORE_BAD_EVENT');
      await places.close(again);
      expect(await seen(await places.open(world))).toEqual({ ...live, problems: [] });
    });

    forkConformance(begin);

    test('many agents at once get one log without gaps', async () => {
      const { world, store } = await begin();
      const agents = await Promise.all(
        Array.from({ length: 8 }, (_, index) => world.agent(store, `pc-${index}`)),
      );
      const outcomes = await Promise.all(
        agents.flatMap((agent) => {
          const file = agent.file(`/d/${agent.name}`, [content(agent.name), content('shared')]);
          return [
            store.intake
              .putChunks(agent.lineageId, file.items)
              .then(() =>
                store.intake.commit(
                  agent.agentId,
                  agent.build([file.draft]).bytes,
                  world.clock.now,
                ),
              ),
          ];
        }),
      );
      const leaves = outcomes.map((outcome) =>
        outcome.type === 'accepted' ? outcome.leafIndex : -1,
      );
      expect(leaves.toSorted((a, b) => a - b)).toEqual(
        Array.from({ length: 8 }, (_, index) => 17 + index),
      );
      expect(store.figures.stats()).toMatchObject({
        chunks: 9,
        rawBytes: 8 * 600,
        uniqueBytes: 9 * 300,
      });
      expect(decodeTreeHeadBody(store.log.head(1).body).head.size).toBe(25);
    });

    test('items of one body are stored like single ones, and a wrong one among them refuses all', async () => {
      const { world, store } = await begin();
      const agent = await world.agent(store, 'hplc-1');
      const { items } = agent.file('/d/a', [content('a'), content('b', 200_000), content('c')]);
      const [first] = items;
      if (first === undefined) throw new Error('no item');
      const bodyOf = () => new Uint8Array(Buffer.concat(items.map(({ bytes }) => bytes)));
      const named = items.map(({ id, kind, bytes }) => ({ id, kind, size: bytes.length }));
      const wrong = named.with(1, { ...first, size: named[1]?.size ?? 0 });
      expect(await codeOf(store.intake.putBody(agent.lineageId, wrong, bodyOf()))).toBe(
        'STORE_BAD_ITEM',
      );
      expect(await store.intake.has(agent.lineageId, [first.id])).toEqual([false]);
      await store.intake.putBody(agent.lineageId, named, bodyOf());
      const ids = items.map(({ id }) => id);
      expect(await store.intake.has(agent.lineageId, ids)).toEqual(ids.map(() => true));
      for (const { id, bytes } of items)
        expect(Buffer.compare(await heldBytes(store, id), bytes)).toBe(0);
    });

    test('items come in runs as they lie in the packs, each once, and what is not held is named', async () => {
      const { world, store } = await begin();
      const agent = await world.agent(store, 'hplc-1');
      const files = Array.from({ length: 30 }, (_, at) =>
        agent.file(`/d/${at}`, [content(`file ${at}`, 50_000 + at)]),
      );
      for (const file of files) await agent.back(store, [file]);
      // Every other one: what lies between is read over.
      const wanted = files.filter((_, at) => at % 2 === 0).flatMap(({ items }) => items);
      const absent = asChunkId(content('absent', 32));
      const found: string[] = [];
      for await (const run of store.reading.readRuns([
        ...wanted.map(({ id }) => id).reverse(),
        absent,
        wanted[0]?.id ?? absent,
      ])) {
        if (run.type !== 'run') found.push(`${run.type} ${run.ids.map(hex)}`);
        else
          for (const { id, kind, offset, length } of run.items) {
            expect(offset).toBeGreaterThanOrEqual(ITEM_ROOM_BYTES);
            found.push(
              `${kind} ${hex(id)} ${hex(sha256(run.bytes.subarray(offset, offset + length)))}`,
            );
          }
      }
      expect(found).toEqual([
        ...wanted.map(({ id, kind }) => `${kind} ${hex(id)} ${hex(id)}`),
        `missing ${hex(absent)}`,
      ]);
    });

    test('items are read back in any number, and what is not held is named', async () => {
      const { world, store } = await begin();
      const agent = await world.agent(store, 'hplc-1');
      const file = agent.file('/d/a', [content('a'), content('b')]);
      await agent.back(store, [file]);
      const absent = asChunkId(content('absent', 32));
      const found = [];
      for await (const item of store.reading.readItems([
        absent,
        ...file.items.map((item) => item.id).reverse(),
      ]))
        found.push(item);
      expect(found).toEqual([
        ...file.items.map(({ id, kind, bytes }) => ({
          type: 'item',
          id,
          kind,
          bytes: Buffer.from(bytes),
        })),
        { type: 'missing', id: absent },
      ]);
      expect(await readOne(store, absent)).toEqual({ type: 'missing', id: absent });
    });
  });
}
