import { decodeLostMark, encodeLostReference } from '../log/chain-payloads.ts';
import type { QueueCore } from '../log/core.ts';
import type { QueueEvents } from '../log/events.ts';
import type { LostReason } from '../log/facts.ts';
import { familyRange, numberInKey, numberKey, rawKey } from '../log/index-rows.ts';
import type { IndexStore } from '../log/index-store.ts';
import { namesOf } from '../log/lost.ts';
import { lostRecords } from '../log/lost-payloads.ts';
import { encodeCounter } from '../log/payloads.ts';
import { askIndex, askIndexForMany } from '../log/questions.ts';
import { entriesOf } from '../log/stored.ts';
import type { Losses, LostVersion } from './ledger.ts';

/** What was lost, in the chain log and the index. */
export class DurableLosses implements Losses {
  readonly #core: QueueCore;
  readonly #events: QueueEvents;
  #untold: number;

  /** `untold`: versions that were found lost while the queue was opened. */
  constructor(core: QueueCore, events: QueueEvents, untold: number) {
    this.#core = core;
    this.#events = events;
    this.#untold = untold;
  }

  record(sequence: number, slots: readonly number[]): Promise<void> {
    return this.#core.change(async () => {
      if (slots.length === 0) return;
      const { index } = this.#core.files;
      const unlisted: number[] = [];
      for (const entry of await entriesOf(this.#core.files, sequence, slots))
        if ((await index.get(numberKey('l', entry))) === undefined) unlisted.push(entry);
      await this.name(unlisted);
    });
  }

  /**
   * Inside a change: names versions as lost, with the paths that the caller knows and the index
   * has.
   */
  async name(
    entries: readonly number[],
    known: ReadonlyMap<number, Uint8Array> = new Map(),
  ): Promise<void> {
    const unknown = entries.filter((entry) => !known.has(entry));
    const names = new Map([...known, ...(await namesOf(this.#core.files.index, unknown))]);
    for (const record of lostRecords(entries, names)) await this.#core.appendChain('lost', record);
    this.#untold += entries.length;
    if (entries.length > 0) this.#events.tell({ type: 'lost' });
  }

  /** Names a result as lost that waited at its source for space. */
  nameReference(path: Uint8Array, why: LostReason): Promise<void> {
    return this.#core.change(async () => {
      await this.#core.flush();
      const { index } = this.#core.files;
      if (why !== 'growing-torn' && (await index.get(rawKey('r', path))) === undefined) return;
      await this.#core.appendChain(
        'referenceLost',
        encodeLostReference({ entry: index.state.nextEntry, why, path }),
      );
      this.#events.tell({ type: 'lost' });
    });
  }

  async *list(): AsyncGenerator<LostVersion, void, void> {
    for await (const [key, value] of askIndexForMany(this.#core, (index) =>
      index.iterate(familyRange('l')),
    ))
      yield { entry: numberInKey(key), ...decodeLostMark(value) };
  }

  /** So many were named as lost while the queue was opened again. */
  found(lost: number): void {
    this.#untold += lost;
    if (lost > 0) this.#events.tell({ type: 'lost' });
  }

  takeUntold(): number {
    const untold = this.#untold;
    this.#untold = 0;
    return untold;
  }

  acknowledge(seen: readonly number[]): Promise<void> {
    return this.#core.change(async () => {
      const through = await seenThrough(this.#core.files.index, seen);
      if (through !== undefined) await this.#core.appendChain('lostSeen', encodeCounter(through));
    });
  }

  async pathsOf(
    sequence: number,
    slots: readonly number[],
  ): Promise<readonly (Uint8Array | undefined)[]> {
    const entries = await this.#core.change(() => entriesOf(this.#core.files, sequence, slots));
    const names = await askIndex(this.#core, (index) => namesOf(index, entries));
    return entries.map((entry) => names.get(entry));
  }
}

/**
 * The number through which every listed loss was seen; undefined when the first was not. The chain
 * log acknowledges by a number only: what was seen behind one that was not stays listed, and is
 * shown once more.
 */
async function seenThrough(
  index: IndexStore,
  seen: readonly number[],
): Promise<number | undefined> {
  const shown = new Set(seen);
  let through: number | undefined;
  for await (const [key] of index.iterate(familyRange('l'))) {
    const entry = numberInKey(key);
    if (!shown.has(entry)) break;
    through = entry;
  }
  return through;
}
