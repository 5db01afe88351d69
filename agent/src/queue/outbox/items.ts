import type { ChunkId } from '@aliquot/proto';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import type { QueueCore } from '../log/core.ts';
import { QueueError } from '../log/errors.ts';
import type { QueuedItem } from '../log/facts.ts';
import { decodeItemPlace, rawKey } from '../log/index-rows.ts';
import { askIndex } from '../log/questions.ts';
import type { QueuedItems } from './outbox.ts';
import type { Recent } from './recent.ts';

/** Items from memory, where they were put lately, else from their segments. */
export class DurableItems implements QueuedItems {
  readonly #core: QueueCore;
  readonly #recent: Recent;

  constructor(core: QueueCore, recent: Recent) {
    this.#core = core;
    this.#recent = recent;
  }

  async hasItems(ids: readonly ChunkId[]): Promise<readonly boolean[]> {
    return (await this.#places(ids)).map((value) => value !== undefined);
  }

  async readItem(id: ChunkId): Promise<QueuedItem | undefined> {
    return this.#recent.takeItem(id) ?? this.#readAt(id, (await this.#places([id]))[0]);
  }

  async *readItems(ids: readonly ChunkId[]): AsyncGenerator<QueuedItem | undefined, void, void> {
    const values = await this.#places(ids);
    for (const [at, id] of ids.entries())
      yield this.#recent.takeItem(id) ?? (await this.#readAt(id, values[at]));
  }

  takeFresh(bytes: number): readonly QueuedItem[] {
    return this.#recent.takeItems(bytes);
  }

  #places(ids: readonly ChunkId[]): Promise<readonly (Uint8Array | undefined)[]> {
    const keys = ids.map((id) => rawKey('i', id));
    return askIndex(this.#core, (index) => index.getMany(keys));
  }

  async #readAt(id: ChunkId, value: Uint8Array | undefined): Promise<QueuedItem | undefined> {
    if (value === undefined) return undefined;
    const place = decodeItemPlace(value);
    try {
      const { header, payload } = await this.#core.files.segments.read(place);
      return equalBytes(header.digest, id) ? { id, kind: place.kind, sealed: payload } : undefined;
    } catch (error) {
      // Damaged or just dropped: the caller asks the source again, and lists what it cannot get.
      if (error instanceof QueueError && error.code === 'QUEUE_DAMAGED') return undefined;
      throw error;
    }
  }
}
