import { expect, it } from 'vitest';
import { type ArrangeOptions, arranged } from './arrange.ts';

const rows = ['b 2 30', 'c 9 10', 'a 5 20', 'd 1 40'];
const keysOf = (row: string) => {
  const [name = '', size, timeMs] = row.split(' ');
  return { name, size: Number(size), timeMs: Number(timeMs) };
};
let read = 0;
async function* source() {
  for (const row of rows) {
    read += 1;
    yield row;
  }
}
async function names(options: ArrangeOptions): Promise<string> {
  read = 0;
  let all = '';
  for await (const row of arranged(source(), options, keysOf)) all += row[0];
  return all;
}

it.each([
  [{}, 'bcad'],
  [{ sort: 'name' }, 'abcd'],
  [{ sort: 'size' }, 'cabd'],
  [{ sort: 'time' }, 'dbac'],
  [{ sort: 'size', limit: 2 }, 'ca'],
  [{ sort: 'name', limit: 1 }, 'a'],
  [{ limit: 9 }, 'bcad'],
] as const)('with %j rows come as %s', async (options, expected) => {
  expect(await names(options)).toBe(expected);
});

it('without an order nothing is read behind the limit', async () => {
  expect(await names({ limit: 2 })).toBe('bc');
  expect(read).toBe(2);
});
