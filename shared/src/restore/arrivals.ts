import type { ChunkId } from '@aliquot/proto';
import { equalBytes } from '../crypto/primitives.ts';
import { endWith } from '../durable/unexpected.ts';

/** A stored chunk, page or slab as it came back. */
export interface FetchedItem {
  readonly id: ChunkId;
  readonly bytes: Uint8Array;
}

/**
 * The items of one question as they come, in its order; the answer is begun at once. One that is
 * passed over was not delivered.
 */
export class Arrivals {
  readonly #ids: readonly ChunkId[];
  readonly #source: AsyncIterator<FetchedItem>;
  #next: Promise<IteratorResult<FetchedItem>> | undefined;
  /** Which item is at hand; all of them have been passed over when it is behind the last. */
  #at = -1;
  #bytes: Uint8Array | undefined;

  constructor(ids: readonly ChunkId[], source: AsyncIterable<FetchedItem>) {
    this.#ids = ids;
    this.#source = source[Symbol.asyncIterator]();
    this.#next = this.#source.next();
    this.#next.catch(() => undefined); // thrown where it is waited for
  }

  /**
   * The bytes of the item at a place of the question, as often as asked until a later one is:
   * `undefined` when it was not delivered. Throws what the source throws.
   */
  async item(at: number): Promise<Uint8Array | undefined> {
    while (this.#at < at) {
      const step = await (this.#next ?? this.#source.next());
      this.#next = undefined;
      if (step.done === true) {
        this.#at = this.#ids.length;
        break;
      }
      const found = this.#placeOf(step.value.id);
      if (found === undefined) continue;
      this.#at = found;
      this.#bytes = step.value.bytes;
    }
    return this.#at === at ? this.#bytes : undefined;
  }

  /** The same of the item that was asked for last. */
  here(at: number): Uint8Array | undefined {
    return this.#at === at ? this.#bytes : undefined;
  }

  /** Nobody wants the rest; an answer of which only the end is left comes to it. */
  drop(): void {
    const isLast = this.#at >= this.#ids.length - 1;
    this.#at = this.#ids.length;
    this.#bytes = undefined;
    const ending = isLast ? (this.#next ?? this.#source.next()) : this.#source.return?.();
    ending?.catch(endWith); // an answer that nobody waits for has failed
  }

  #placeOf(id: ChunkId): number | undefined {
    for (let at = this.#at + 1; at < this.#ids.length; at += 1) {
      const one = this.#ids[at];
      if (one !== undefined && equalBytes(one, id)) return at;
    }
    return undefined;
  }
}
