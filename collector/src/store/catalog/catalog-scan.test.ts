import fc from 'fast-check';
import { expect, test } from 'vitest';
import { overlaid, waitingIn } from './catalog-scan.ts';

const key = fc.integer({ min: 0, max: 30 }).map((number) => Buffer.from([0x76, number]));
const rows = fc.uniqueArray(key, { selector: (one) => one.toString('latin1'), maxLength: 12 });
const changes = fc.array(fc.tuple(key, fc.option(fc.constant(Buffer.from('new')), { nil: null })), {
  maxLength: 12,
});

test('I-C2 a scan shows what waits in memory exactly as Level would once it was written', async () => {
  await fc.assert(
    fc.asyncProperty(rows, changes, changes, key, key, async (held, notes, pending, a, b) => {
      const [gte, lt] = Buffer.compare(a, b) < 0 ? [a, b] : [b, a];
      const level = new Map(
        held.map((one) => [one.toString('latin1'), Buffer.from('old')] as const),
      );
      const written = new Map<string, Buffer | null>(level);
      for (const [one, value] of [...notes, ...pending]) written.set(one.toString('latin1'), value);
      const within = (one: string) => one >= gte.toString('latin1') && one < lt.toString('latin1');
      const expected = [...written]
        .filter(([one, value]) => within(one) && value !== null)
        .sort(([x], [y]) => (x < y ? -1 : 1));
      const sources = [notes, pending].map(
        (list) => new Map(list.map(([one, value]) => [one.toString('latin1'), value] as const)),
      );
      async function* fromLevel(): AsyncGenerator<[Buffer, Buffer]> {
        for (const [one, value] of [...level]
          .filter(([text]) => within(text))
          .sort(([x], [y]) => (x < y ? -1 : 1)))
          yield [Buffer.from(one, 'latin1'), value];
      }
      const found: [string, Buffer][] = [];
      for await (const [one, value] of overlaid(fromLevel(), waitingIn(sources, { gte, lt })))
        found.push([one.toString('latin1'), value]);
      expect(found).toEqual(expected);
    }),
  );
});
