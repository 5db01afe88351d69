import type {
  DerivedIndex,
  NamedChanges,
  RangeOptions,
  Row,
} from '../../src/derived/derived-index.ts';
import { DerivedError } from '../../src/derived/errors.ts';
import type { KeyRange } from '../../src/derived/level-port.ts';
import { asBuffer, isIn, Overlay, overlaid } from '../../src/derived/overlay.ts';

const BATCH_ROWS = 100;

/** What a memory index keeps when it is closed. */
export class MemoryRows {
  readonly rows = new Map<string, Row>();
  mark: Uint8Array | undefined;
}

/** A `DerivedIndex` in memory: what is flushed stays in its `MemoryRows`. */
export class MemoryIndex implements DerivedIndex {
  readonly #written: MemoryRows;
  #waiting = new Overlay();
  #damage: DerivedError | undefined;

  constructor(written = new MemoryRows()) {
    this.#written = written;
  }

  get mark(): Uint8Array | undefined {
    return this.#written.mark;
  }

  get staged(): number {
    return this.#waiting.size;
  }

  put(key: Uint8Array, value: Uint8Array): void {
    this.#waiting.set(key, value);
  }

  del(key: Uint8Array): void {
    this.#waiting.set(key, undefined);
  }

  take(changes: NamedChanges): void {
    this.#waiting.take(changes);
  }

  async get(key: Uint8Array): Promise<Buffer | undefined> {
    return (await this.getMany([key]))[0];
  }

  async getMany(keys: readonly Uint8Array[]): Promise<(Buffer | undefined)[]> {
    this.#check();
    return keys.map((key) => {
      const value = this.latest(key, this.#written.rows.get(nameOf(key))?.[1]);
      return value === undefined ? undefined : asBuffer(value);
    });
  }

  async getWritten(keys: readonly Uint8Array[]): Promise<(Buffer | undefined)[]> {
    this.#check();
    return keys.map((key) => this.#written.rows.get(nameOf(key))?.[1]);
  }

  latest(key: Uint8Array, written: Uint8Array | undefined): Uint8Array | undefined {
    const known = this.#waiting.get(key);
    return known === undefined ? written : (known ?? undefined);
  }

  async *batches(
    range: KeyRange,
    { limit = Number.POSITIVE_INFINITY, staged = false }: RangeOptions = {},
  ): AsyncGenerator<readonly Row[], void, void> {
    this.#check();
    const rows = [...this.#written.rows.values()]
      .filter(([key]) => isIn(key, range))
      .sort(([left], [right]) => Buffer.compare(left, right));
    let left = limit;
    for await (const batch of overlaid(parts(rows), staged ? this.#waiting.within(range) : [])) {
      if (left <= 0) return;
      yield batch.slice(0, left);
      left -= batch.length;
    }
  }

  async last(range: KeyRange): Promise<Row | undefined> {
    let last: Row | undefined;
    for await (const rows of this.batches(range)) last = rows.at(-1) ?? last;
    return last;
  }

  async clear(range: KeyRange): Promise<void> {
    this.#waiting.forget(range);
    for (const [name, [key]] of this.#written.rows)
      if (isIn(key, range)) this.#written.rows.delete(name);
  }

  async flush(mark: Uint8Array): Promise<void> {
    this.#check();
    for (const [key, value] of this.#waiting.all()) {
      if (value === undefined) this.#written.rows.delete(nameOf(key));
      else this.#written.rows.set(nameOf(key), [key, Buffer.from(value)]);
    }
    this.#written.mark = mark;
    this.#waiting.clear();
  }

  #check(): void {
    if (this.#damage !== undefined) throw this.#damage;
  }

  async condemn(why: string): Promise<never> {
    this.#damage = new DerivedError('DERIVED_REBUILD', why);
    throw this.#damage;
  }

  async prove(): Promise<void> {
    // Nothing of it lies on a disk.
  }

  async close(): Promise<void> {
    this.#waiting.clear();
  }
}

async function* parts(rows: readonly Row[]): AsyncGenerator<readonly Row[], void, void> {
  for (let at = 0; at < rows.length; at += BATCH_ROWS) yield rows.slice(at, at + BATCH_ROWS);
}

function nameOf(key: Uint8Array): string {
  return asBuffer(key).toString('latin1');
}
