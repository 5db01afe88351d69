import { type ChunkId, MAX_ITEMS, type StoredItem } from '@aliquot/proto';
import { mapKey, releasePart } from '@aliquot/shared/crypto/bytes';
import type { QueuedItem } from '../queue/log/facts.ts';
import type { QueuedItems } from '../queue/outbox/outbox.ts';
import { refusalError, UplinkError } from './errors.ts';
import type { Session } from './session.ts';

/** Ids asked about at once: below the protocol's limit, so that sending begins early. */
const ASK_AT_ONCE = 1024;
/** Small items are gathered into frames of about this size. */
const FRAME_BYTES = 1024 * 1024;
/** Ids remembered as being at the collector, for the length of a session. */
const REMEMBERED = 65_536;

/**
 * Brings items to the collector: asks which it lacks, sends those, a few frames ahead of what it
 * has confirmed.
 */
export class Uploader {
  readonly #session: Session;
  readonly #held: Pick<QueuedItems, 'hasItems' | 'readItems'>;
  /** Asked or sent in this session; the oldest half is forgotten when full. */
  #there = new Set<string>();
  #offered: ChunkId[] = [];
  #items: StoredItem[] = [];
  #bodies: Uint8Array[] = [];
  #bytes = 0;

  constructor(session: Session, held: Pick<QueuedItems, 'hasItems' | 'readItems'>) {
    this.#session = session;
    this.#held = held;
  }

  /**
   * Offers an item that the queue may hold; what it does not hold is believed to be there. A
   * promise when there is something to wait for.
   */
  offer(id: ChunkId): Promise<void> | undefined {
    if (this.#there.has(mapKey(id))) return undefined;
    this.#remember(id);
    this.#offered.push(id);
    return this.#offered.length >= ASK_AT_ONCE ? this.#ask() : undefined;
  }

  /**
   * Sends items that no commit names yet, as far as the collector lacks them: their commit finds
   * them there.
   */
  async ahead(items: readonly QueuedItem[]): Promise<void> {
    const unknown = items.filter(({ id }) => !this.#there.has(mapKey(id)));
    for (const { id } of unknown) this.#remember(id);
    for (const item of await this.#missing(unknown)) await this.send(item);
    await this.#flush();
  }

  /** Sends an item without asking: the collector has named it as missing. */
  async send(item: QueuedItem): Promise<void> {
    this.#remember(item.id);
    if (
      this.#items.length > 0 &&
      (this.#bytes + item.sealed.length > FRAME_BYTES || this.#items.length >= MAX_ITEMS)
    )
      await this.#flush();
    this.#items.push({ id: item.id, kind: item.kind, size: item.sealed.length });
    this.#bodies.push(item.sealed);
    this.#bytes += item.sealed.length;
  }

  /** Everything offered is on its way, in front of whatever is sent next. */
  async finish(): Promise<void> {
    await this.#ask();
    await this.#flush();
  }

  async #ask(): Promise<void> {
    const offered = this.#offered;
    if (offered.length === 0) return;
    this.#offered = [];
    const held = await this.#held.hasItems(offered);
    const missing = await this.#missing(offered.filter((_, at) => held[at]).map((id) => ({ id })));
    // A damaged item cannot be sent; the collector will name it when it looks at the commit.
    for await (const item of this.#held.readItems(missing.map(({ id }) => id)))
      if (item !== undefined) await this.send(item);
  }

  /** Those of `items` that the collector says it lacks. */
  async #missing<Item extends { readonly id: ChunkId }>(
    items: readonly Item[],
  ): Promise<readonly Item[]> {
    const missing: Item[] = [];
    for (let from = 0; from < items.length; from += ASK_AT_ONCE) {
      const asked = items.slice(from, from + ASK_AT_ONCE);
      const ids = asked.map(({ id }) => id);
      const answer = await this.#session.request((requestId) => ({ type: 'have', requestId, ids }));
      if (answer.type === 'refused') throw refusalError(answer.code, answer.message);
      if (answer.type !== 'haveAnswer')
        throw new UplinkError(
          'UPLINK_PROTOCOL',
          `the collector answers a question with ${answer.type}`,
        );
      for (const index of answer.missing) {
        const item = asked[index];
        if (item === undefined)
          throw new UplinkError(
            'UPLINK_PROTOCOL',
            'the collector lacks an item that it was not asked about',
          );
        missing.push(item);
      }
    }
    return missing;
  }

  async #flush(): Promise<void> {
    if (this.#items.length === 0) return;
    const items = this.#items;
    const body = this.#bodies;
    this.#items = [];
    this.#bodies = [];
    this.#bytes = 0;
    await this.#session.sendItems({ type: 'chunks', items }, body);
    for (const sealed of body) releasePart(sealed);
  }

  #remember(id: ChunkId): void {
    if (this.#there.size >= REMEMBERED)
      this.#there = new Set([...this.#there].slice(REMEMBERED / 2));
    this.#there.add(mapKey(id));
  }
}
