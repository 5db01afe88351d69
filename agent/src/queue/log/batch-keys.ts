import { join } from 'node:path';
import {
  ensureDirectory,
  eraseDurably,
  readFileIfThere,
  writeFileDurably,
} from '@aliquot/shared/durable/durable';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import type { Random } from '@aliquot/shared/ports';
import { QueueError } from './errors.ts';

const KEY_BYTES = 32;

/**
 * The keys that seal drafts while they wait: one file each, 0600, overwritten and removed as soon
 * as every draft under it stands in a durable signed commit (I-A3). After that only the wraps of
 * the commit lead to what the drafts named.
 */
export class BatchKeys {
  readonly #port: FilePort;
  readonly #dir: string;
  readonly #random: Random;
  /** Numbers of the files that exist, ascending; thousands, where many processes have queued. */
  readonly #numbers: Set<number>;
  #last: { readonly number: number; readonly key: Uint8Array } | undefined;

  private constructor(port: FilePort, dir: string, random: Random, numbers: Set<number>) {
    this.#port = port;
    this.#dir = dir;
    this.#random = random;
    this.#numbers = numbers;
  }

  static async open(port: FilePort, dir: string, random: Random): Promise<BatchKeys> {
    await ensureDirectory(port, dir);
    const numbers: number[] = [];
    for await (const entry of port.list(dir)) {
      const match = /^(\d{8,10})\.key$/.exec(entry.name.toString('latin1'));
      if (match?.[1] !== undefined) numbers.push(Number(match[1]));
    }
    return new BatchKeys(port, dir, random, new Set(numbers.sort((left, right) => left - right)));
  }

  /** Highest number on disk, 0 when there is none. */
  get highest(): number {
    let highest = 0;
    for (const number of this.#numbers) highest = Math.max(highest, number);
    return highest;
  }

  get numbers(): readonly number[] {
    return [...this.#numbers];
  }

  /** Makes a key durable before anything can be sealed under it. */
  async create(number: number): Promise<Uint8Array> {
    const key = this.#random.bytes(KEY_BYTES);
    await writeFileDurably(this.#port, this.#path(number), key, { mode: 0o600, createOnly: true });
    this.#numbers.add(number);
    return key;
  }

  /** The key, or `QUEUE_DAMAGED` when its file is gone or not a key. */
  async get(number: number): Promise<Uint8Array> {
    if (this.#last?.number === number) return this.#last.key;
    const bytes = await readFileIfThere(this.#port, this.#path(number), KEY_BYTES);
    if (bytes?.length !== KEY_BYTES)
      throw new QueueError(
        'QUEUE_DAMAGED',
        `the key ${this.#path(number)} of queued versions is missing or damaged`,
      );
    this.#last = { number, key: new Uint8Array(bytes) };
    return this.#last.key;
  }

  /** Erases a key for good. Repeating is harmless. */
  async erase(number: number): Promise<void> {
    if (this.#last?.number === number) {
      this.#last.key.fill(0);
      this.#last = undefined;
    }
    await eraseDurably(this.#port, this.#path(number));
    this.#numbers.delete(number);
  }

  #path(number: number): string {
    return join(this.#dir, `${String(number).padStart(8, '0')}.key`);
  }
}
