import { equalBytes } from '@aliquot/shared/crypto/primitives';
import type { QueueCore } from '../log/core.ts';
import type { ProblemRecord } from '../log/facts.ts';
import { familyRange, rawKey } from '../log/index-rows.ts';
import type { IndexState } from '../log/index-state.ts';
import type { IndexStore } from '../log/index-store.ts';
import { decodeColumns, encodeColumns, type KnownRow, packKnown } from '../log/known-block.ts';
import { decodeProblem, encodeKnown, encodeProblem, type KnownRecord } from '../log/payloads.ts';
import { askIndex, askIndexForMany } from '../log/questions.ts';
import type { CachedChunk, FileProblem, KnownFile, Ledger } from './ledger.ts';
import { decodeCached, growthIn, growthSlot } from './rows.ts';

/** Known files, problems and the cache, in the index of the log. */
export class DurableLedger implements Ledger {
  readonly #core: QueueCore;
  /** Files with damaged bytes that the opening set aside. */
  readonly #damage: readonly string[];

  constructor(core: QueueCore, damage: readonly string[]) {
    this.#core = core;
    this.#damage = damage;
  }

  async known(path: Uint8Array): Promise<KnownFile | undefined> {
    return askIndex(this.#core, async (index) => {
      const known = await index.known.written(path);
      return known === undefined ? undefined : knownFrom(known, index.state);
    });
  }

  async *knownUnder(prefix: Uint8Array): AsyncGenerator<KnownFile, void, void> {
    for await (const batch of this.knownBatches(prefix)) yield* batch;
  }

  async *knownBatches(prefix: Uint8Array): AsyncGenerator<readonly KnownFile[], void, void> {
    yield* askIndexForMany(this.#core, (index) => knownIn(index, prefix));
  }

  async *knownBlocks(path: Uint8Array, below: Uint8Array): AsyncGenerator<Uint8Array, void, void> {
    yield* askIndexForMany(this.#core, (index) => blocksIn(index, path, below));
  }

  knownIn(row: KnownRow): KnownFile {
    return knownFrom(decodeColumns(row), this.#core.files.index.state);
  }

  refresh(known: KnownFile): Promise<void> {
    return this.#core.change(() => this.#core.append('refresh', encodeKnown(known.entry, known)));
  }

  setProblem(path: Uint8Array, problem: ProblemRecord | undefined): Promise<void> {
    return this.#core.change(() => this.#core.append('problem', encodeProblem(path, problem)));
  }

  async *problems(): AsyncGenerator<FileProblem, void, void> {
    for (const path of this.#damage) {
      const message =
        'damaged bytes of the queue were set aside here; run aliquot-agent fsck, then remove the file';
      yield { path: Buffer.from(path), code: 'queue-damage', message, sinceMs: 0 };
    }
    for await (const [, value] of askIndexForMany(this.#core, (index) =>
      index.iterate(familyRange('p')),
    )) {
      const { path, problem } = decodeProblem(value);
      if (problem !== undefined) yield { path, ...problem };
    }
  }

  async cacheGetMany(
    indexes: readonly Uint8Array[],
  ): Promise<readonly (CachedChunk | undefined)[]> {
    const keys = indexes.map((bytes) => rawKey('x', bytes));
    const values = await askIndex(this.#core, (index) => index.getManyWritten(keys));
    return values.map((value) => (value === undefined ? undefined : decodeCached(value)));
  }

  async growthOf(path: Uint8Array): Promise<Uint8Array | undefined> {
    const { key, name } = growthSlot(path);
    return growthIn(await askIndex(this.#core, (index) => index.get(key)), name);
  }
}

async function* knownIn(
  index: IndexStore,
  prefix: Uint8Array,
): AsyncGenerator<readonly KnownFile[], void, void> {
  for await (const batch of index.known.batches(prefix))
    yield batch.map((known) => knownFrom(known, index.state));
}

async function* blocksIn(
  { known }: IndexStore,
  path: Uint8Array,
  below: Uint8Array,
): AsyncGenerator<Uint8Array, void, void> {
  // The root of a drive is the first of what begins with it.
  const self = equalBytes(path, below) ? undefined : await known.written(path);
  if (self !== undefined)
    for (const { bytes } of packKnown([{ path: self.stat.path, columns: encodeColumns(self) }]))
      yield bytes;
  yield* known.blocks(below);
}

function knownFrom({ entry, stat }: KnownRecord, state: IndexState): KnownFile {
  return { ...stat, entry, state: entry <= state.receiptedEntry ? 'safe' : 'queued' };
}
