import type { ChunkId, LineageId } from '@aliquot/proto';
import { mapKey } from '@aliquot/shared/crypto/bytes';

/** A slab of which a sweep has found pieces that no version refers to. */
export interface ThinSlab {
  readonly id: ChunkId;
  /** The only one in whose set it is. */
  readonly lineageId: LineageId;
  /** The pieces that live: a bit for each, from 0 on. */
  readonly live: Uint8Array;
}

/**
 * Slabs that may lose pieces when their pack is rewritten: offered at the end of a sweep, for as
 * long as nobody comes to rely on them. An agent that asks for one, sends it or commits a version
 * of it keeps all of it, for it takes the slab for whole from then on (I-C32). In memory alone: a
 * crash keeps them whole until the next sweep. Everything here happens at once, between no awaits.
 */
export class ThinSlabs {
  readonly #offered = new Map<string, ThinSlab>();
  /** Lost pieces by this process: the catalog may not say so yet. */
  readonly #taken = new Set<string>();

  offer(slab: ThinSlab): void {
    this.#offered.set(mapKey(slab.id), slab);
  }

  /** Somebody is about to rely on these, if they are here. */
  keep(ids: readonly ChunkId[]): void {
    if (this.#offered.size > 0) for (const id of ids) this.#offered.delete(mapKey(id));
  }

  /** Somebody has sent these: they are whole, whatever was taken before. */
  stored(ids: readonly ChunkId[]): void {
    this.keep(ids);
    if (this.#taken.size > 0) for (const id of ids) this.#taken.delete(mapKey(id));
  }

  offered(): Iterable<ThinSlab> {
    return this.#offered.values();
  }

  /** What may be left of a slab; undefined: all of it. */
  of(id: ChunkId): ThinSlab | undefined {
    return this.#offered.get(mapKey(id));
  }

  /**
   * Takes the pieces of these slabs, of which copies without them are proved: from now on nobody is
   * told that one is here. False, and nothing is taken, where somebody relies on one meanwhile.
   */
  take(ids: readonly ChunkId[]): boolean {
    const names = ids.map(mapKey);
    if (!names.every((name) => this.#offered.has(name))) return false;
    for (const name of names) {
      this.#offered.delete(name);
      this.#taken.add(name);
    }
    return true;
  }

  isTaken(id: ChunkId): boolean {
    return this.#taken.size > 0 && this.#taken.has(mapKey(id));
  }

  clear(): void {
    this.#offered.clear();
    this.#taken.clear();
  }
}
