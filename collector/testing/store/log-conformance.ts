import { decodeReceiptBody, decodeSignedCommit, encodeSignedCommit } from '@aliquot/proto';
import { lostCommit, withoutVersions } from '@aliquot/shared/commit/loss';
import { leafHash } from '@aliquot/shared/log/merkle';
import { verifyConsistency, verifyInclusion } from '@aliquot/shared/log/proofs';
import { signHead, verifyHead } from '@aliquot/shared/log/receipt';
import { expect, test } from 'vitest';
import type { VaultWith } from '../../src/store/vault-store.ts';
import { all, type Begin, codeOf } from './conformance-place.ts';
import { content } from './world.ts';

/** The log: its heads and proofs, its clock, and what becomes of a lost tail. */
export function logConformance(begin: Begin): void {
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

  test('P5 P6 a commit may come without what its agent says is lost, in any log epoch, and only as it says', async () => {
    const { world, places, store } = await begin();
    const agent = await world.agent(store, 'hplc-1');
    const thief = await world.agent(store, 'hplc-2');
    const kept = agent.file('/d/kept', [content('kept')]);
    const lost = agent.file('/d/lost', [content('lost')]);
    await store.intake.putChunks(agent.lineageId, kept.items);
    const early = agent.build([lost.draft, kept.draft]);
    const submit = (bytes: Uint8Array) =>
      store.intake.commit(agent.agentId, bytes, world.clock.now);
    // Neither what was never taken out, nor by another's word, nor other wraps.
    expect(await submit(early.bytes)).toMatchObject({ type: 'missing' });
    expect(await submit(withoutVersions(early.bytes, [0], thief.signKey))).toMatchObject({
      code: 'bad-commit',
    });
    const { header, signature } = decodeSignedCommit(early.bytes);
    expect(
      await submit(
        encodeSignedCommit({
          ...{ header, signature, blocks: [], wraps: [], headerOnly: true, lacking: [] },
          lossSignature: undefined,
        }),
      ),
    ).toMatchObject({ code: 'bad-commit' });
    const declared = withoutVersions(early.bytes, [0], agent.signKey);
    const outcome = await submit(declared);
    expect(outcome).toMatchObject({ type: 'accepted', lacking: [0] });
    if (outcome.type !== 'accepted') return;
    // What has its receipt stays as it was taken, whatever its agent's key says later.
    for (const again of [
      declared,
      early.bytes,
      withoutVersions(early.bytes, [0, 1], agent.signKey),
      lostCommit({ header, signature }, agent.signKey),
    ])
      expect(await submit(again)).toEqual({ ...outcome, repeated: true, addedBytes: 0 });
    agent.advance(early, outcome.head);
    const late = agent.build([agent.directory('/d'), agent.directory('/e')]);
    expect(await submit(late.bytes)).toMatchObject({ type: 'accepted', lacking: [] });
    expect(await submit(withoutVersions(late.bytes, [0], agent.signKey))).toMatchObject({
      repeated: true,
      lacking: [],
    });

    const seen = async (from: VaultWith<'reading' | 'register'>) => ({
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

  test('P5 P6 a commit of which only the header is left is taken as lost, and what follows it goes on', async () => {
    const { world, places, store } = await begin();
    const agent = await world.agent(store, 'hplc-1');
    const lost = agent.build([agent.directory('/d'), agent.directory('/e')]);
    agent.advance(lost);
    const next = agent.build([agent.directory('/f')]);
    const submit = (to: typeof store, bytes: Uint8Array) =>
      to.intake.commit(agent.agentId, bytes, world.clock.now);
    expect(await submit(store, next.bytes)).toMatchObject({ code: 'bad-predecessor' });
    const { header, signature } = decodeSignedCommit(lost.bytes);
    const declared = lostCommit({ header, signature }, agent.signKey);
    const outcome = await submit(store, declared);
    expect(outcome).toMatchObject({ type: 'accepted', lacking: [], addedBytes: 0 });
    // Found again: its agent has said that it is lost, and that has a receipt.
    expect(await submit(store, lost.bytes)).toEqual({ ...outcome, repeated: true });
    expect(await submit(store, next.bytes)).toMatchObject({ type: 'accepted' });
    const seen = async (from: VaultWith<'reading' | 'register'>) => ({
      live: (await all(from.reading.state(agent.lineageId, undefined))).map(({ live }) => live),
      problems: from.register.agentById(agent.agentId)?.problems,
    });
    const live = await seen(store);
    expect(live).toMatchObject({ live: [[0]], problems: [{ code: 'versions-lost' }] });
    expect(live.problems?.[0]?.message).toContain('2 versions');
    await places.close(store);
    expect(await seen(await places.open(world))).toEqual(live);
  });
}
