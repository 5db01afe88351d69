import { QueueError } from './errors.ts';

/** Builds a fixed binary layout, big-endian, field by field. */
export class LayoutWriter {
  readonly #parts: Uint8Array[] = [];

  u8(value: number): this {
    return this.#push(1, (view) => view.setUint8(0, value));
  }

  u32(value: number): this {
    return this.#push(4, (view) => view.setUint32(0, value));
  }

  /** A counter, size or time that is a safe integer and not negative. */
  u53(value: number): this {
    if (!Number.isSafeInteger(value) || value < 0) throw new QueueError('QUEUE_REFUSED', `not a counter: ${value}`);
    return this.#push(8, (view) => view.setBigUint64(0, BigInt(value)));
  }

  u64(value: bigint): this {
    return this.#push(8, (view) => view.setBigUint64(0, BigInt.asUintN(64, value)));
  }

  i64(value: bigint): this {
    return this.#push(8, (view) => view.setBigInt64(0, BigInt.asIntN(64, value)));
  }

  /** Bytes whose length the layout fixes. */
  raw(bytes: Uint8Array): this {
    this.#parts.push(bytes);
    return this;
  }

  /** A 32-bit length, then the bytes. */
  sized(bytes: Uint8Array): this {
    return this.u32(bytes.length).raw(bytes);
  }

  text(value: string): this {
    return this.sized(Buffer.from(value, 'utf8'));
  }

  done(): Uint8Array {
    return Buffer.concat(this.#parts);
  }

  #push(size: number, set: (view: DataView) => void): this {
    const bytes = new Uint8Array(size);
    set(new DataView(bytes.buffer));
    this.#parts.push(bytes);
    return this;
  }
}

/** Reads a layout back. Every length is checked against its limit and against what is left before anything is taken. */
export class LayoutReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #what: string;
  #at = 0;

  /** `what` names the layout in errors. */
  constructor(bytes: Uint8Array, what: string) {
    // A plain view: a Buffer's `slice` would not copy, and a small field would keep a whole segment window alive.
    this.#bytes = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#what = what;
  }

  get position(): number {
    return this.#at;
  }

  /** Whether nothing is left. */
  get atEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4));
  }

  u53(): number {
    const value = this.#view.getBigUint64(this.#take(8));
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw this.damaged('a counter is out of range');
    return Number(value);
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
    if (length > limit) throw this.damaged(`a field of ${length} bytes is above its limit of ${limit}`);
    return this.raw(length);
  }

  text(limit: number): string {
    const bytes = this.sized(limit);
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
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
