import type { Row } from '@aliquot/shared/derived/derived-index';
import { BLOCK_FILES, packKnown } from './known-block.ts';
import { besideIn, type KnownName, nameIn, rowsOf } from './known-order.ts';

/** Rows of an index one by one. */
export class Peeked {
  readonly #batches: AsyncGenerator<readonly Row[], void, void>;
  #rows: readonly Row[] = [];
  #at = 0;

  constructor(batches: AsyncGenerator<readonly Row[], void, void>) {
    this.#batches = batches;
  }

  /** The next; undefined at the end. */
  async peek(): Promise<Row | undefined> {
    while (this.#at >= this.#rows.length) {
      const step = await this.#batches.next();
      if (step.done === true) return undefined;
      this.#rows = step.value;
      this.#at = 0;
    }
    return this.#rows[this.#at];
  }

  /** The next, and past it. */
  async pass(): Promise<Row | undefined> {
    const row = await this.peek();
    this.#at += 1;
    return row;
  }

  async close(): Promise<void> {
    await this.#batches.return();
  }
}

/** Files beside before the first block, as blocks. */
export async function* besideBefore(
  beside: Peeked,
  end: string | undefined,
): AsyncGenerator<Uint8Array, void, void> {
  for (;;) {
    const files = await passed(beside, end, BLOCK_FILES);
    for (const { bytes } of packKnown(rowsOf(files))) yield bytes;
    if (files.length < BLOCK_FILES) return;
  }
}

/** What stands beside, up to a name. */
export async function passed(
  beside: Peeked,
  end: string | undefined,
  most = Number.POSITIVE_INFINITY,
): Promise<KnownName[]> {
  const files: KnownName[] = [];
  for (;;) {
    const row = files.length < most ? await beside.peek() : undefined;
    if (row === undefined || (end !== undefined && nameIn(row[0]) >= end)) return files;
    files.push(besideIn(row));
    await beside.pass();
  }
}

/** The path under which the next block stands; undefined at the end. */
export async function nextName(blocks: Peeked): Promise<string | undefined> {
  const next = await blocks.peek();
  return next === undefined ? undefined : nameIn(next[0]);
}
