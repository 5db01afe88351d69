import { setImmediate } from 'node:timers/promises';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { giveMemoryBack } from './rest.ts';

test('what nobody holds any more is given back, and no other code gets at the collector', async () => {
  const left = new WeakRef(new Array(1000).fill('garbage'));
  await setImmediate();
  giveMemoryBack();
  expect(left.deref()).toBeUndefined();
  expect(runInNewContext('typeof gc')).toBe('undefined');
});
