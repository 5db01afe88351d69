import type { Level } from 'level';
import { LayoutReader, LayoutWriter } from './codec.ts';
import { QueueError } from './errors.ts';
import { numberKey, rawKey } from './index-keys.ts';

type Database = Level<Uint8Array, Uint8Array>;
type Operation =
  | { readonly type: 'put'; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly type: 'del'; readonly key: Uint8Array };

const COUNTERS_KEY = rawKey('w', new Uint8Array());
/** Writes between two flushes: bounds the rows that stand for them. */
const MOST_UNFLUSHED = 256;

/**
 * Notices when a power failure has taken a write of the index from among others. LevelDB reads its
 * log block by block: when an earlier page never reached the disk and a later one did, it goes on
 * behind the gap without a word. The later write says that everything before it is applied, and the
 * versions of the lost one would never be sent. So each write that is not flushed leaves a row of
 * its own until the next flush; a row that is missing when the index is opened means that the index
 * must be built anew.
 */
export class WriteWitness {
  #last: number;
  #flushed: number;

  private constructor(last: number, flushed: number) {
    this.#last = last;
    this.#flushed = flushed;
  }

  /** Error: `QUEUE_DAMAGED` when a write is missing. */
  static async load(level: Database): Promise<WriteWitness> {
    const counters = await level.get(COUNTERS_KEY);
    if (counters === undefined) return new WriteWitness(0, 0);
    const reader = new LayoutReader(counters, 'counters of writes');
    const [last, flushed] = [reader.u53(), reader.u53()];
    let there = 0;
    for await (const _ of level.keys({
      gte: numberKey('w', flushed + 1),
      lt: numberKey('w', last + 1),
    }))
      there += 1;
    if (there !== last - flushed)
      throw new QueueError(
        'QUEUE_DAMAGED',
        'the queue index is corrupt: a power failure took some of its writes',
      );
    return new WriteWitness(last, flushed);
  }

  /** Whether the next write must be flushed, whoever asked for it. */
  get isFull(): boolean {
    return this.#last - this.#flushed >= MOST_UNFLUSHED;
  }

  /** What belongs into the batch of the next write. */
  operations(flush: boolean): Operation[] {
    const number = this.#last + 1;
    const counters = (flushed: number): Operation => {
      return {
        type: 'put',
        key: COUNTERS_KEY,
        value: new LayoutWriter().u53(number).u53(flushed).done(),
      };
    };
    if (!flush)
      return [
        { type: 'put', key: numberKey('w', number), value: new Uint8Array() },
        counters(this.#flushed),
      ];
    const rows = Array.from({ length: this.#last - this.#flushed }, (_, at) =>
      numberKey('w', this.#flushed + 1 + at),
    );
    return [...rows.map((key): Operation => ({ type: 'del', key })), counters(number)];
  }

  written(flush: boolean): void {
    this.#last += 1;
    if (flush) this.#flushed = this.#last;
  }
}
