import { exists } from '@aliquot/shared/durable/durable';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import { levelTrouble } from '@aliquot/shared/durable/level-trouble';
import type { Level } from 'level';
import { isNoSpace, QueueError } from './errors.ts';
import { familyFrom, META_KEY } from './index-keys.ts';
import { decodeState, emptyState, encodeState, type IndexState } from './index-state.ts';
import { WriteWitness } from './write-witness.ts';

/** What `valueBatches` gives at a time. */
const BATCH_VALUES = 512;
const BATCH_BYTES = 128 * 1024;

type Range = { readonly gte: Uint8Array; readonly lt?: Uint8Array };

/**
 * LevelDB with changes held back until the records behind them are durable: `put` and `del` go into
 * an overlay that `get` sees, `write` puts overlay and state into LevelDB in one batch. Iteration
 * and `getWritten` see LevelDB only.
 */
export class IndexStore {
  readonly #level: Level<Uint8Array, Uint8Array>;
  #overlay = new Map<
    string,
    { readonly key: Uint8Array; readonly value: Uint8Array | undefined }
  >();
  /** Counters as they are with the overlay. Changed by `apply`, written by `write`. */
  state: IndexState;
  readonly #witness: WriteWitness;

  private constructor(
    level: Level<Uint8Array, Uint8Array>,
    state: IndexState,
    witness: WriteWitness,
  ) {
    this.#level = level;
    this.#witness = witness;
    this.state = state;
  }

  /**
   * `found` is false when the database holds no state of this release: replay everything. Throws
   * what LevelDB throws, and `QUEUE_DAMAGED` when a write is missing among others, or files are.
   */
  static async open(
    port: FilePort,
    path: string,
  ): Promise<{ readonly store: IndexStore; readonly found: boolean }> {
    await requireWhole(port, path);
    const level = await port.openLevel<Uint8Array, Uint8Array>(path, {
      keyEncoding: 'view',
      valueEncoding: 'view',
      cacheSize: 2 * 1024 * 1024,
      writeBufferSize: 2 * 1024 * 1024,
      maxOpenFiles: 64,
    });
    try {
      const witness = await WriteWitness.load(level);
      const bytes = await level.get(META_KEY);
      const state = bytes === undefined ? undefined : decodeState(bytes);
      return {
        store: new IndexStore(level, state ?? emptyState(), witness),
        found: state !== undefined,
      };
    } catch (error) {
      await level.close();
      throw error;
    }
  }

  get staged(): number {
    return this.#overlay.size;
  }

  put(key: Uint8Array, value: Uint8Array): void {
    this.#overlay.set(nameOf(key), { key, value });
  }

  del(key: Uint8Array): void {
    this.#overlay.set(nameOf(key), { key, value: undefined });
  }

  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    const staged = this.#overlay.get(nameOf(key));
    return staged === undefined ? this.#level.get(key) : staged.value;
  }

  /** `get` for many, with one question to the disk. */
  async getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    const values: (Uint8Array | undefined)[] = new Array(keys.length).fill(undefined);
    const asked: number[] = [];
    for (const [at, key] of keys.entries()) {
      const staged = this.#overlay.get(nameOf(key));
      if (staged === undefined) asked.push(at);
      else values[at] = staged.value;
    }
    if (asked.length === 0) return values;
    const found = await this.#level.getMany(asked.map((at) => keys[at] as Uint8Array));
    for (const [index, at] of asked.entries()) values[at] = found[index];
    return values;
  }

  /** What `get` answers, when `written` is what LevelDB has. */
  latest(key: Uint8Array, written: Uint8Array | undefined): Uint8Array | undefined {
    const staged = this.#overlay.get(nameOf(key));
    return staged === undefined ? written : staged.value;
  }

  getWritten(key: Uint8Array): Promise<Uint8Array | undefined> {
    return this.#level.get(key);
  }

  getManyWritten(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    return this.#level.getMany([...keys]);
  }

  /** Key order. A snapshot of what was written when it began. */
  iterate(
    range: Range,
    options: { readonly limit?: number } = {},
  ): AsyncIterable<[Uint8Array, Uint8Array]> {
    return this.#level.iterator({ ...range, ...options, highWaterMarkBytes: 64 * 1024 });
  }

  /** Values in key order, many at a time. A snapshot as `iterate`. */
  async *valueBatches(range: Range): AsyncGenerator<readonly Uint8Array[], void, void> {
    const values = this.#level.values({ ...range, highWaterMarkBytes: BATCH_BYTES });
    try {
      for (;;) {
        const batch = await values.nextv(BATCH_VALUES);
        if (batch.length === 0) return;
        yield batch;
      }
    } finally {
      await values.close();
    }
  }

  /** Versions that stand in no signed commit, oldest first. */
  unsigned(options: { readonly limit?: number } = {}): AsyncIterable<[Uint8Array, Uint8Array]> {
    return this.iterate(familyFrom('q', this.state.signedEntry + 1), options);
  }

  async firstKey(range: Range): Promise<Uint8Array | undefined> {
    for await (const key of this.#level.keys({ ...range, limit: 1 })) return key;
    return undefined;
  }

  clear(range: Range): Promise<void> {
    return this.#level.clear(range);
  }

  /**
   * One atomic batch of everything staged and the state; `sync` also flushes it. After a failure
   * the store must not be used.
   */
  async write(options: { readonly sync?: boolean } = {}): Promise<void> {
    const batch = [...this.#overlay.values()].map(({ key, value }) =>
      value === undefined
        ? ({ type: 'del', key } as const)
        : ({ type: 'put', key, value } as const),
    );
    const sync = options.sync === true || this.#witness.isFull;
    try {
      const own = [
        { type: 'put', key: META_KEY, value: encodeState(this.state) } as const,
        ...this.#witness.operations(sync),
      ];
      await this.#level.batch([...batch, ...own], { sync });
      this.#witness.written(sync);
    } catch (cause) {
      if (levelTrouble(cause) === undefined) throw cause;
      const full = isNoSpace(cause);
      const says = full
        ? 'free some space, and it goes on by itself'
        : 'mend the disk, then start again';
      throw new QueueError(
        full ? 'QUEUE_NO_SPACE' : 'QUEUE_STORAGE',
        `the queue index cannot be written; ${says}`,
        { cause },
      );
    }
    this.#overlay.clear();
  }

  close(): Promise<void> {
    return this.#level.close();
  }
}

/**
 * LevelDB takes a folder without `CURRENT` for a new one: it makes an empty database, plays the
 * logs that lie there into it, and removes the tables. What it then says of its writes is true of
 * the last ones only.
 */
async function requireWhole(port: FilePort, path: string): Promise<void> {
  if (!(await exists(port, path))) return; // LevelDB makes it
  const names: string[] = [];
  for await (const { name } of port.list(path)) names.push(name.toString());
  if (names.includes('CURRENT') || !names.some((name) => /^MANIFEST-|\.(ldb|sst|log)$/.test(name)))
    return;
  throw new QueueError('QUEUE_DAMAGED', 'the queue index is corrupt: its file CURRENT is gone');
}

function nameOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1');
}
