import { MAX_COMMIT_ENTRIES } from '@aliquot/proto';
import { aeadSeal } from '@aliquot/shared/crypto/primitives';
import type { QueueFiles } from '../log/open-queue.ts';
import { encodeVersionHead, type VersionHead } from '../log/payloads.ts';
import { decodeUnsigned } from '../log/places.ts';
import { COMMIT_ROOM_BYTES, entryRoom } from './commit-cut.ts';
import { type BatchedEntry, SentProof } from './sent-proof.ts';

/** Versions under one key. */
interface Batch {
  readonly number: number;
  readonly key: Uint8Array;
  /** How many it has sealed. */
  used: number;
  /** What is left of a commit's room. */
  room: number;
}

/**
 * Seals drafts while they wait. A batch holds no more than one commit does, so that its key can go
 * as soon as that commit is signed (I-A3).
 */
export class BatchSealer {
  #batch: Batch | undefined;
  readonly #proof = new SentProof();

  /** The payload of a version record: its head in clear, then the draft under a batch key. */
  async seal(
    files: QueueFiles,
    fields: Omit<VersionHead, 'batch' | 'nonce'>,
    draft: Uint8Array,
  ): Promise<{ readonly head: VersionHead; readonly payload: Uint8Array }> {
    const batch = await this.#current(files, entryRoom(draft.length));
    const nonce = Buffer.alloc(12);
    // The key is new in every process and for every 4096 versions; the counter never repeats under
    // it.
    nonce.writeBigUInt64BE(BigInt(batch.used), 4);
    batch.used += 1;
    this.#proof.sealed(batch.number);
    batch.room -= entryRoom(draft.length);
    const head = { ...fields, batch: batch.number, nonce };
    const clear = encodeVersionHead(head);
    return { head, payload: Buffer.concat([clear, aeadSeal(batch.key, nonce, draft, clear)]) };
  }

  /**
   * Versions from here on get another key, so that the key of those before can be erased as soon as
   * they are signed.
   */
  finish(): void {
    if (this.#batch !== undefined && this.#batch.used > 0) this.#batch = undefined;
  }

  /** Starts with a new key, whatever this one sealed: after the files were opened again. */
  forget(): void {
    this.#batch = undefined;
    this.#proof.forget();
  }

  /** These versions stand in a durable record of the chain log: signed, or lost. */
  settled(versions: readonly BatchedEntry[]): void {
    this.#proof.settled(versions);
  }

  /**
   * I-A3: erases every key below the first one that an unsigned version still needs. The index says
   * which those are, and the logs have to prove it: the keys are the only copies.
   */
  async eraseSent(files: QueueFiles): Promise<void> {
    let limit = this.#batch?.number ?? files.keys.highest + 1;
    for await (const [, value] of files.index.unsigned({ limit: 1 }))
      limit = Math.min(limit, decodeUnsigned(value).batch);
    for (const number of files.keys.numbers)
      if (number < limit && (await this.#proof.isSettled(files, number)))
        await files.keys.erase(number);
  }

  async #current(files: QueueFiles, room: number): Promise<Batch> {
    if (
      this.#batch !== undefined &&
      this.#batch.used < MAX_COMMIT_ENTRIES &&
      this.#batch.room >= room
    )
      return this.#batch;
    const number = Math.max(files.index.state.lastBatch, files.keys.highest) + 1;
    this.#batch = {
      number,
      key: await files.keys.create(number),
      used: 0,
      room: COMMIT_ROOM_BYTES,
    };
    return this.#batch;
  }
}
