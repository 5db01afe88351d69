import {
  asChainId,
  asChunkId,
  asCommitHash,
  decodeSignedCommit,
  decodeTreeHeadBody,
  encodeSignedCommit,
} from '@aliquot/proto';
import { verifyReceipt } from '@aliquot/shared/log/receipt';
import { expect, test } from 'vitest';
import { type Begin, codeOf } from './conformance-place.ts';
import { heldBytes } from './read-one.ts';
import { content } from './world.ts';

/** What agents may rely on: uploads, commits and receipts. */
export function intakeConformance(begin: Begin): void {
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
      lacking: [],
      repeated: true,
      addedBytes: 0,
    });
    expect(again.register.agentById(agent.agentId)?.lastReceipt).toEqual(done.receipt);
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
    expect(await codeOf(store.intake.putChunks(agent.lineageId, [{ ...good, kind: 'page' }]))).toBe(
      'STORE_BAD_ITEM',
    );
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
              store.intake.commit(agent.agentId, agent.build([file.draft]).bytes, world.clock.now),
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

  test('items of bodies are stored like single ones, and a wrong one among them refuses all', async () => {
    const { world, store } = await begin();
    const agent = await world.agent(store, 'hplc-1');
    const { items } = agent.file('/d/a', [content('a'), content('b', 200_000), content('c')]);
    const [first] = items;
    if (first === undefined) throw new Error('no item');
    const bodyOf = () => new Uint8Array(Buffer.concat(items.map(({ bytes }) => bytes)));
    const named = items.map(({ id, kind, bytes }) => ({ id, kind, size: bytes.length }));
    const wrong = named.with(1, { ...first, size: named[1]?.size ?? 0 });
    expect(
      await codeOf(store.intake.putBodies(agent.lineageId, [{ items: wrong, body: bodyOf() }])),
    ).toBe('STORE_BAD_ITEM');
    expect(await store.intake.has(agent.lineageId, [first.id])).toEqual([false]);
    const other = agent.file('/d/b', [content('d', 200_000)]).items.map((item) => {
      const { id, kind, bytes } = item;
      return { items: [{ id, kind, size: bytes.length }], body: new Uint8Array(bytes) };
    });
    await store.intake.putBodies(agent.lineageId, [{ items: named, body: bodyOf() }, ...other]);
    expect(
      await store.intake.has(
        agent.lineageId,
        other.flatMap((one) => one.items.map(({ id }) => id)),
      ),
    ).toEqual([true]);
    const ids = items.map(({ id }) => id);
    expect(await store.intake.has(agent.lineageId, ids)).toEqual(ids.map(() => true));
    for (const { id, bytes } of items)
      expect(Buffer.compare(await heldBytes(store, id), bytes)).toBe(0);
  });
}
