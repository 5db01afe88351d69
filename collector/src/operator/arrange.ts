import { UsageError } from '@aliquot/shared/cli/errors';
import { type Command, Option } from 'commander';

/** How a list is put in order, and how much of it is wanted. */
export interface ArrangeOptions {
  readonly sort?: 'name' | 'size' | 'time';
  readonly limit?: number;
}

/** What rows are put in order by. */
export interface SortKeys {
  readonly name: string;
  readonly size: number;
  readonly timeMs: number;
}

export function withArrange(command: Command): Command {
  return command
    .addOption(
      new Option('--sort <BY>', 'name, size (largest first) or time (newest first)').choices([
        'name',
        'size',
        'time',
      ]),
    )
    .option('--limit <N>', 'at most so many', (text) => {
      const limit = Number(text);
      if (!/^\d{1,9}$/.test(text) || limit === 0)
        throw new UsageError(
          'USAGE_INVALID',
          `--limit cannot be "${text}"; give a number from 1 on, such as 20`,
        );
      return limit;
    });
}

const orders: Record<NonNullable<ArrangeOptions['sort']>, (a: SortKeys, b: SortKeys) => number> = {
  name: (a, b) => (a.name < b.name ? -1 : Number(a.name > b.name)),
  size: (a, b) => b.size - a.size,
  time: (a, b) => b.timeMs - a.timeMs,
};

/**
 * Rows in the order that was asked for, no more than asked for. Without `sort` they pass as they
 * come, and nothing is read behind the limit; with both, twice the limit is held.
 */
export async function* arranged<Row>(
  rows: AsyncIterable<Row>,
  { sort, limit = Number.POSITIVE_INFINITY }: ArrangeOptions,
  keysOf: (row: Row) => SortKeys,
): AsyncGenerator<Row> {
  if (sort === undefined) {
    let left = limit;
    for await (const row of rows) {
      yield row;
      left -= 1;
      if (left === 0) return;
    }
    return;
  }
  let held: { readonly row: Row; readonly keys: SortKeys }[] = [];
  const settle = () => {
    held = held.sort((a, b) => orders[sort](a.keys, b.keys)).slice(0, limit);
  };
  for await (const row of rows) {
    held.push({ row, keys: keysOf(row) });
    if (held.length >= 2 * limit + 1) settle();
  }
  settle();
  for (const { row } of held) yield row;
}
