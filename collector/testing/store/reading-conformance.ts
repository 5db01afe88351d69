import { asChunkId, decodeReceiptBody } from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import { expect, test } from 'vitest';
import { ITEM_ROOM_BYTES } from '../../src/store/packs/pack-store.ts';
import { all, type Begin } from './conformance-place.ts';
import { readOne } from './read-one.ts';
import { content } from './world.ts';

/** Reading back: items, and files as they were at a time. */
export function readingConformance(begin: Begin): void {
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

  test('items come in runs in the order of the question, and what is not held is named in its place', async () => {
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
    const half = wanted.slice(0, wanted.length / 2);
    const rest = wanted.slice(half.length);
    for await (const run of store.reading.readRuns([
      ...rest.map(({ id }) => id),
      absent,
      ...half.map(({ id }) => id),
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
      ...rest.map(({ id, kind }) => `${kind} ${hex(id)} ${hex(id)}`),
      `missing ${hex(absent)}`,
      ...half.map(({ id, kind }) => `${kind} ${hex(id)} ${hex(id)}`),
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
}
