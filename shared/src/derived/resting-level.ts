import { endWith } from '../durable/unexpected.ts';
import type { KeyRange, LevelDatabase, LevelIterator, RowChange } from './level-port.ts';

/** What a question for one row is counted as: a page of the table that it stands in. */
const PAGE_BYTES = 4096;

/** A range with how it is read. */
type Reading = Parameters<LevelDatabase['iterator']>[0];

/**
 * LevelDB maps every table that it reads into memory, and lets go of none but those that are merged
 * into others: of an index of a million files all would stay resident. So, whenever so many bytes
 * passed through it and nobody is using it, it is closed and opened again. Whoever comes meanwhile
 * waits; where it cannot be opened, each question tries again, and hears why not.
 */
export class RestingLevel implements LevelDatabase {
  readonly #reopen: () => Promise<LevelDatabase>;
  readonly #mostBytes: number;
  readonly #mayRest: () => boolean;
  /** Undefined while it is closed. */
  #level: LevelDatabase | undefined;
  #opening: Promise<LevelDatabase> | undefined;
  #users = 0;
  #bytes = 0;
  #closed = false;

  /** @param mayRest Asked each time that it is due. */
  constructor(
    level: LevelDatabase,
    reopen: () => Promise<LevelDatabase>,
    mostBytes: number,
    mayRest: () => boolean = () => true,
  ) {
    this.#level = level;
    this.#reopen = reopen;
    this.#mostBytes = mostBytes;
    this.#mayRest = mayRest;
  }

  get(key: Uint8Array): Promise<Buffer | undefined> {
    return this.#use(PAGE_BYTES, (level) => level.get(key));
  }

  getMany(keys: Uint8Array[]): Promise<(Buffer | undefined)[]> {
    return this.#use(keys.length * PAGE_BYTES, (level) => level.getMany(keys));
  }

  batch(changes: Iterable<RowChange>, options: { readonly sync: boolean }): Promise<void> {
    return this.#use(0, (level) => level.batch(this.#counted(changes), options));
  }

  *#counted(changes: Iterable<RowChange>): Iterable<RowChange> {
    for (const change of changes) {
      this.#bytes += change.key.length + (change.type === 'put' ? change.value.length : 0);
      yield change;
    }
  }

  clear(range: KeyRange): Promise<void> {
    return this.#use(0, (level) => level.clear(range));
  }

  iterator(reading: Reading): LevelIterator {
    this.#users += 1;
    // At once where that can be: a snapshot is of the moment of the call.
    let iterator = this.#level?.iterator(reading);
    let isClosed = false;
    return {
      nextv: async (count) => {
        iterator ??= (await this.#now()).iterator(reading);
        const rows = await iterator.nextv(count);
        for (const [key, value] of rows) this.#bytes += key.length + value.length;
        return rows;
      },
      close: async () => {
        if (isClosed) return;
        isClosed = true;
        try {
          await iterator?.close();
        } finally {
          this.#left();
        }
      },
    };
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#opening?.catch(endWith); // then there is nothing to be closed
    await this.#level?.close();
  }

  async #use<T>(bytes: number, ask: (level: LevelDatabase) => Promise<T>): Promise<T> {
    this.#users += 1;
    try {
      return await ask(this.#level ?? (await this.#now()));
    } finally {
      this.#bytes += bytes;
      this.#left();
    }
  }

  /** It as it is open, or opened again. */
  async #now(): Promise<LevelDatabase> {
    return this.#level ?? this.#opened(undefined);
  }

  #left(): void {
    this.#users -= 1;
    const level = this.#level;
    if (this.#users > 0 || this.#bytes < this.#mostBytes || this.#closed || level === undefined)
      return;
    if (!this.#mayRest()) return;
    this.#level = undefined;
    this.#bytes = 0;
    // Who asks next has it opened again, and hears what is wrong then; a fault of ours ends us
    // here.
    this.#opened(level).catch(endWith);
  }

  #opened(before: LevelDatabase | undefined): Promise<LevelDatabase> {
    this.#opening ??= this.#openAgain(before).finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  async #openAgain(before: LevelDatabase | undefined): Promise<LevelDatabase> {
    await before?.close();
    if (this.#closed)
      throw Object.assign(new Error('the database was closed'), { code: 'LEVEL_CLOSED' });
    const level = await this.#reopen();
    this.#level = level;
    return level;
  }
}
