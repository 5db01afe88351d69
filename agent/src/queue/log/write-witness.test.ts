import { join } from 'node:path';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import { NO_FOLDER_FLUSH, posixOnly } from '@aliquot/shared/testing/platform';
import { seededSource } from '@aliquot/shared/testing/random';
import { SimulatedDisk } from '@aliquot/shared/testing/simulated-disk';
import { describe, expect, test } from 'vitest';
import { collect, temporaryFolder } from '../../../testing/queue/support.ts';
import { familyRange, rawKey } from './index-keys.ts';
import { IndexStore } from './index-store.ts';

const key = (number: number) => rawKey('k', Uint8Array.of(number));

/**
 * Forty writes of 5 kB each, of which none but those at `flushed` are flushed; then the power goes
 * with some pages of LevelDB's log.
 */
async function afterPowerFailure(
  seed: number,
  flushed: readonly number[],
): Promise<number[] | 'gap'> {
  const folder = temporaryFolder();
  const disk = new SimulatedDisk(folder.dir, nodeFiles);
  const first = disk.process();
  await first.files.mkdir(join(folder.dir, 'index'));
  await first.files.syncDirectory(folder.dir);
  const { store } = await IndexStore.open(first.files, join(folder.dir, 'index'));
  for (let number = 0; number < 40; number += 1) {
    store.put(key(number), seededSource(number).bytes(5_000));
    await store.write({ sync: flushed.includes(number) });
  }
  await first.end();
  await disk.powerFails({ content: 'none', names: 'none', level: { holes: seededSource(seed) } });
  const second = disk.process();
  try {
    const opened = await IndexStore.open(second.files, join(folder.dir, 'index'));
    return (await collect(opened.store.iterate(familyRange('k')))).map(([found]) => found[1] ?? -1);
  } catch (error) {
    expect(error).toMatchObject({ code: 'QUEUE_DAMAGED' });
    return 'gap';
  } finally {
    await second.end();
    folder.remove();
  }
}

describe.runIf(posixOnly(NO_FOLDER_FLUSH))('the writes of the index', () => {
  test('I-A1 P1: after a power failure that took pages from among them it is whole up to some write, or says that it is not', async () => {
    let gaps = 0;
    for (let seed = 0; seed < 8; seed += 1) {
      const found = await afterPowerFailure(seed, [4]);
      if (found === 'gap') gaps += 1;
      else
        expect(found).toEqual(
          Array.from({ length: Math.max(5, found.length) }, (_, number) => number),
        );
    }
    expect(gaps).toBeGreaterThan(0);
  });

  test('flushed ones are never missed', async () => {
    const all = Array.from({ length: 40 }, (_, number) => number);
    expect(await afterPowerFailure(1, all)).toEqual(all);
    expect(await afterPowerFailure(1, [39])).toEqual(all);
  });
});
