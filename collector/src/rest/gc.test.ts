import { expect, test } from 'vitest';
import { rewriteLab } from '../../testing/store/rewrite-lab.ts';
import { collectByItself } from './gc.ts';

test('P6 a collection that was stopped before its end takes no word back of one that failed', async () => {
  const place = await rewriteLab('files');
  const vault = await place.open();
  const context = {
    clock: place.world.clock,
    health: { hold: undefined },
    log: { info: () => {} },
  };
  const atMs = place.world.clock.now;
  vault.maintenance.ended('collection', { atMs, code: 'STORE_DAMAGED', message: 'pack 7 stays' });
  const failed = () => vault.maintenance.failed('collection');
  const { deadBytes } = await vault.data.space();
  expect(deadBytes).toBeGreaterThan(0);
  // Each is stopped a step later than the one before it.
  for (let room = 0; (await vault.data.space()).deadBytes === deadBytes; room += 1) {
    expect(failed()).toMatchObject({ message: 'pack 7 stays' });
    let asked = 0;
    await collectByItself(context as never, vault, () => asked++ >= room);
  }
  await collectByItself(context as never, vault, () => false);
  expect(failed()).toBeUndefined();
});
