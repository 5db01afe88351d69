import { QueueError } from './errors.ts';

const FIRST_BYTES = 1024;
/** Larger buffers are not kept for the next writer. */
const MOST_KEPT_BYTES = 1024 * 1024;
const WORD = 2 ** 32;
/**
 * Buffers of writers that are done: a record for each of a million files must not cost an
 * allocation for each of its fields.
 */
const spare: DataView[] = [];

/** Builds a fixed binary layout, big-endian, field by field; `done` ends it. */
export class LayoutWriter {
  #view: DataView = spare.pop() ?? new DataView(new ArrayBuffer(FIRST_BYTES));
  #bytes = new Uint8Array(this.#view.buffer);
  #at = 0;

  u8(value: number): this {
    const at = this.#take(1);
    this.#bytes[at] = value;
    return this;
  }

  u32(value: number): this {
    const at = this.#take(4);
    this.#view.setUint32(at, value);
    return this;
  }

  /** A counter, size or time that is a safe integer and not negative. */
  u53(value: number): this {
    if (!Number.isSafeInteger(value) || value < 0)
      throw new QueueError('QUEUE_REFUSED', `not a counter: ${value}`);
    const at = this.#take(8);
    this.#view.setUint32(at, Math.floor(value / WORD));
    this.#view.setUint32(at + 4, value % WORD);
    return this;
  }

  u64(value: bigint): this {
    const at = this.#take(8);
    this.#view.setBigUint64(at, value);
    return this;
  }

  i64(value: bigint): this {
    const at = this.#take(8);
    this.#view.setBigInt64(at, value);
    return this;
  }

  /** Bytes whose length the layout fixes. */
  raw(bytes: Uint8Array): this {
    const at = this.#take(bytes.length);
    this.#bytes.set(bytes, at);
    return this;
  }

  /** A 32-bit length, then the bytes. */
  sized(bytes: Uint8Array): this {
    return this.u32(bytes.length).raw(bytes);
  }

  text(value: string): this {
    return this.sized(Buffer.from(value, 'utf8'));
  }

  /** The layout, in memory of its own. The writer must not be used after it. */
  done(): Uint8Array {
    const bytes = new Uint8Array(this.#at);
    bytes.set(this.#bytes.subarray(0, this.#at));
    if (this.#bytes.length <= MOST_KEPT_BYTES) spare.push(this.#view);
    return bytes;
  }

  /** Where the next bytes go. */
  #take(bytes: number): number {
    const at = this.#at;
    this.#at = at + bytes;
    if (this.#at > this.#bytes.length) {
      const larger = new Uint8Array(2 ** Math.ceil(Math.log2(this.#at)));
      larger.set(this.#bytes.subarray(0, at));
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return at;
  }
}

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Reads a layout back. Every length is checked against its limit and against what is left before
 * anything is taken.
 */
export class LayoutReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #what: string;
  #at = 0;

  /** `what` names the layout in errors. */
  constructor(bytes: Uint8Array, what: string) {
    // A plain view: a Buffer's `slice` would not copy, and a small field would keep a whole segment
    // window alive.
    this.#bytes = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#what = what;
  }

  get position(): number {
    return this.#at;
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4));
  }

  u53(): number {
    const at = this.#take(8);
    const value = this.#view.getUint32(at) * WORD + this.#view.getUint32(at + 4);
    if (value > Number.MAX_SAFE_INTEGER) throw this.damaged('a counter is out of range');
    return value;
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.#take(8));
  }

  i64(): bigint {
    return this.#view.getBigInt64(this.#take(8));
  }

  /** A copy of exactly `length` bytes. */
  raw(length: number): Uint8Array {
    const start = this.#take(length);
    return this.#bytes.slice(start, start + length);
  }

  sized(limit: number): Uint8Array {
    const length = this.u32();
    if (length > limit)
      throw this.damaged(`a field of ${length} bytes is above its limit of ${limit}`);
    return this.raw(length);
  }

  text(limit: number): string {
    const bytes = this.sized(limit);
    try {
      return strictUtf8.decode(bytes);
    } catch {
      throw this.damaged('a text is not UTF-8');
    }
  }

  rest(): Uint8Array {
    return this.raw(this.#bytes.length - this.#at);
  }

  end(): void {
    if (this.#at !== this.#bytes.length) throw this.damaged('bytes are left over');
  }

  damaged(why: string): QueueError {
    return new QueueError('QUEUE_DAMAGED', `${this.#what}: ${why}; run aliquot-agent fsck`);
  }

  #take(length: number): number {
    const start = this.#at;
    if (length > this.#bytes.length - start) throw this.damaged('it ends too early');
    this.#at = start + length;
    return start;
  }
}
