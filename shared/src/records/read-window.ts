/** Reads ahead, so that a scan over small records costs one read for many. */
export class ReadWindow {
  readonly #size: number;
  readonly #read: (from: number, length: number) => Promise<Uint8Array>;
  #start = 0;
  #bytes: Uint8Array = new Uint8Array();

  constructor(size: number, read: (from: number, length: number) => Promise<Uint8Array>) {
    this.#size = size;
    this.#read = read;
  }

  /** A copy of the bytes, fewer at the end of the file. */
  async take(from: number, length: number): Promise<Uint8Array> {
    const start = this.#start;
    const bytes = this.#bytes;
    if (from >= start && from + length <= start + bytes.length)
      return bytes.slice(from - start, from - start + length);
    // A large record is read for itself: nobody reads it twice.
    if (length > this.#size) return this.#read(from, length);
    const read = await this.#read(from, this.#size);
    // not a Buffer, whose slices are no copies
    const fresh = new Uint8Array(read.buffer, read.byteOffset, read.byteLength);
    this.#bytes = fresh;
    this.#start = from;
    return fresh.slice(0, length);
  }
}
