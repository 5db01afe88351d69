import fc from 'fast-check';
import { expect, test } from 'vitest';
import { endlessPatience, patienceOf } from '../source/patience.ts';
import { quietTime } from '../source/proof.ts';
import { Settler } from './settle.ts';

const newSettler = (capacity?: number) => new Settler(quietTime(10), endlessPatience, capacity);

test('a result settles when nothing changed for the quiet time, counted from the first look', () => {
  const settler = newSettler();
  expect(settler.observe('f', 'v1', undefined, 1_000)).toEqual({
    state: 'waiting',
    untilMs: 11_000,
  });
  expect(settler.observe('f', 'v1', undefined, 10_999).state).toBe('waiting');
  expect(settler.observe('f', 'v1', undefined, 11_000)).toEqual({
    state: 'complete',
    completion: 'assumed',
  });
  expect(settler.size).toBe(0);
});

test('any change starts the quiet time anew', () => {
  const settler = newSettler();
  settler.observe('f', 'v1', undefined, 0);
  settler.observe('f', 'v2', undefined, 9_000);
  expect(settler.observe('f', 'v2', undefined, 10_000).state).toBe('waiting');
  settler.touch('f', 15_000);
  expect(settler.observe('f', 'v2', 9_000, 19_000)).toEqual({ state: 'waiting', untilMs: 25_000 });
  expect(settler.observe('f', 'v2', undefined, 25_000).state).toBe('complete');
});

test('a touched result is due after the quiet time, and not before', () => {
  const settler = newSettler();
  settler.touch('f', 0);
  expect(settler.nextMs()).toBe(10_000);
  expect(settler.due(9_999)).toEqual([]);
  expect(settler.due(10_000)).toEqual(['f']);
});

test('a change stamp that is old by an hour needs no waiting; a younger or future one is no evidence', () => {
  const hour = 3_600_000;
  expect(newSettler().observe('f', 'v', 1_000, hour + 11_000).state).toBe('complete');
  expect(newSettler().observe('f', 'v', 1_001, hour + 11_000)).toEqual({
    state: 'waiting',
    untilMs: hour + 21_000,
  });
  expect(newSettler().observe('f', 'v', 99_000, 11_000)).toEqual({
    state: 'waiting',
    untilMs: 21_000,
  });
});

test('after an event the first look settles only what has no stamp from after the event', () => {
  for (const [stamp, state] of [
    [950, 'complete'],
    [1_050, 'complete'],
    [5_000, 'waiting'],
    [undefined, 'waiting'],
  ] as const) {
    const settler = newSettler();
    settler.touch('f', 1_000);
    expect(settler.observe('f', 'v', stamp, 11_000).state).toBe(state);
  }
});

test('a clock that is set back delays a result by one quiet time, not until it has caught up', () => {
  const settler = newSettler();
  settler.observe('f', 'v', undefined, 1_000_000);
  expect(settler.due(5_000)).toEqual(['f']);
  expect(settler.observe('f', 'v', undefined, 5_000)).toEqual({
    state: 'waiting',
    untilMs: 15_000,
  });
  expect(settler.observe('f', 'v', undefined, 15_000).state).toBe('complete');
});

test('what was touched while a scan looked elsewhere is not forgotten by that scan', () => {
  const settler = newSettler();
  settler.touch('early', 1_000);
  settler.touch('late', 3_000);
  settler.forget('early', 2_000);
  settler.forget('late', 2_000);
  expect([...settler.entries()]).toEqual([['late', undefined]]);
});

test('P6: beyond its capacity a settler asks for an early scan instead of growing', () => {
  const settler = newSettler(2);
  for (const path of ['a', 'b', 'c', 'd']) settler.touch(path, 0);
  expect(settler.size).toBe(2);
  expect(settler.takeRescan(9_999)).toBe(false);
  expect(settler.takeRescan(10_000)).toBe(true);
  expect(settler.takeRescan(10_000)).toBe(false);
});

test('whatever the order of looks and touches, nothing settles within the quiet time of its last change', () => {
  const step = fc.record({
    afterMs: fc.nat(12_000),
    kind: fc.constantFrom('look', 'change', 'touch'),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), fc.boolean(), (steps, stamps) => {
      const settler = newSettler();
      let now = 0;
      let version = 0;
      let lastChange = 0;
      let stamp = 0;
      for (const { afterMs, kind } of steps) {
        now += afterMs;
        if (kind === 'touch') {
          settler.touch('f', now);
          lastChange = now;
        } else {
          // A change that no event told of.
          if (kind === 'change') {
            version += 1;
            lastChange = now;
            stamp = now;
          }
          const verdict = settler.observe('f', `v${version}`, stamps ? stamp : undefined, now);
          if (verdict.state === 'complete') expect(now - lastChange).toBeGreaterThanOrEqual(10_000);
        }
      }
    }),
  );
});

/** The instants, in seconds, at which a result that changes at every look is captured as it is. */
function growthInstants(settler: Settler, untilSeconds: number): number[] {
  const instants: number[] = [];
  for (let second = 0; second <= untilSeconds; second += 1) {
    settler.touch('f', second * 1000);
    if (settler.due(second * 1000).length === 0) continue;
    if (settler.observe('f', `v${second}`, undefined, second * 1000).state === 'growing')
      instants.push(second);
  }
  return instants;
}

test('what never rests is due to be captured as it is after ten quiet periods, and then at doubling intervals, once an hour at last', () => {
  const settler = new Settler(quietTime(10), patienceOf(10, 3600));
  expect(growthInstants(settler, 14_000)).toEqual([
    100, 200, 400, 800, 1600, 3200, 6400, 10_000, 13_600,
  ]);
  expect(settler.isGrowing('f')).toBe(true);
});

test('a limit that is shorter than ten quiet periods bounds them', () => {
  expect(growthInstants(new Settler(quietTime(10), patienceOf(10, 30)), 130)).toEqual([
    30, 60, 120,
  ]);
});

test('P6: since when it has not rested is told from the limit on, whatever was captured meanwhile, and ends with its rest', () => {
  const settler = new Settler(quietTime(10), patienceOf(10, 300));
  for (let second = 5; second < 310; second += 5)
    settler.observe('f', `v${second}`, undefined, second * 1000);
  expect(settler.unsettledSinceMs('f', 304_999)).toBeUndefined();
  expect(settler.unsettledSinceMs('f', 305_000)).toBe(5_000);
  expect(settler.observe('f', 'v305', undefined, 315_000).state).toBe('complete');
  expect(settler.unsettledSinceMs('f', 315_000)).toBeUndefined();
  expect(settler.isGrowing('f')).toBe(false);
  settler.touch('f', 400_000);
  expect(settler.unsettledSinceMs('f', 500_000)).toBeUndefined();
});

test('a clock that is set back begins to wait anew, and forgets no capture that is due', () => {
  const settler = new Settler(quietTime(10), patienceOf(10, 60));
  settler.observe('f', 'v1', undefined, 1_000_000);
  expect(settler.observe('f', 'v2', undefined, 5_000)).toMatchObject({ state: 'waiting' });
  expect(settler.unsettledSinceMs('f', 64_999)).toBeUndefined();
  expect(settler.observe('f', 'v3', undefined, 65_000).state).toBe('growing');
});

test('P6: what waits beyond the capacity is counted, by a scan each once', () => {
  const settler = newSettler(2);
  for (const path of ['a', 'b', 'c', 'c', 'c']) settler.touch(path, 0);
  expect(settler.beyond).toBe(1);
  settler.scanBegins();
  for (const path of ['a', 'b', 'c', 'd', 'e']) settler.observe(path, 'v', undefined, 1_000);
  expect(settler.beyond).toBe(3);
  settler.scanBegins();
  expect(settler.beyond).toBe(0);
});
