import { createHash } from 'node:crypto';
import {
  CARRIED_HEAD_BYTES,
  CARRIED_LENGTH_BYTES,
  CARRIED_TRAILER_BYTES,
  type CarriedKind,
  type CarriedTrailer,
  encodeCarriedHead,
  encodeCarriedLength,
  encodeCarriedTrailer,
  FormatError,
  kindOfCarried,
  lengthOfCarried,
  trailerOfCarried,
} from '@aliquot/proto';
import { equalBytes } from '../crypto/primitives.ts';
import { readFully } from '../durable/durable.ts';
import { fileError } from '../durable/errors.ts';
import type { FilePort, OpenFile } from '../durable/file-port.ts';
import { CarryError } from './errors.ts';

/** The bytes of a carried file around its frames, piece by piece: memory is that of one frame. */
export async function* carriedBytes(
  kind: CarriedKind,
  frames: AsyncIterable<Uint8Array>,
  sign: (digest: Uint8Array) => Uint8Array,
): AsyncGenerator<Uint8Array, void, void> {
  const hash = createHash('sha256');
  const told = (piece: Uint8Array): Uint8Array => {
    hash.update(piece);
    return piece;
  };
  yield told(encodeCarriedHead(kind));
  for await (const frame of frames) {
    yield told(encodeCarriedLength(frame.length));
    yield told(frame);
  }
  yield told(encodeCarriedLength(0));
  const digest = new Uint8Array(hash.digest());
  yield encodeCarriedTrailer({ digest, signature: sign(digest) });
}

const kindWords: Readonly<Record<CarriedKind, string>> = {
  queue: 'a carried queue',
  receipts: 'carried receipts',
};

/**
 * A carried file on this machine's disk, read front to back; memory is that of one frame. Errors
 * name the file.
 */
export class CarriedReader {
  readonly size: number;
  readonly #file: OpenFile;
  readonly #path: string;
  readonly #kind: CarriedKind;
  #position = 0;
  #trailer: CarriedTrailer | undefined;

  private constructor(file: OpenFile, path: string, kind: CarriedKind, size: number) {
    this.#file = file;
    this.#path = path;
    this.#kind = kind;
    this.size = size;
  }

  /**
   * Opens a file that should be of this kind. Errors: `CARRY_NOT_ONE`, `CARRY_WRONG_KIND`,
   * `CARRY_CUT`, and those of the disk.
   */
  static async open(port: FilePort, path: string, kind: CarriedKind): Promise<CarriedReader> {
    let file: OpenFile;
    try {
      file = await port.open(path, 'read');
    } catch (error) {
      throw fileError('read', path, error);
    }
    try {
      const reader = new CarriedReader(file, path, kind, (await file.facts()).size);
      await reader.#checkHead();
      return reader;
    } catch (error) {
      await file.close();
      throw fileError('read', path, error);
    }
  }

  /** Bytes read so far. */
  get position(): number {
    return this.#position;
  }

  /**
   * What stood behind the last frame; its digest has been compared with the bytes. Only after
   * `frames` has ended.
   */
  get trailer(): CarriedTrailer {
    if (this.#trailer === undefined)
      throw new CarryError('CARRY_CUT', `${this.#path} was not read to its end`);
    return this.#trailer;
  }

  /**
   * Every frame in order, as often as it is asked. Throws `CARRY_CUT` and `CARRY_ALTERED`, at the
   * latest behind the last one.
   */
  async *frames(): AsyncGenerator<Uint8Array, void, void> {
    const hash = createHash('sha256');
    this.#position = 0;
    hash.update(await this.#take(CARRIED_HEAD_BYTES));
    for (;;) {
      const prefix = await this.#take(CARRIED_LENGTH_BYTES);
      hash.update(prefix);
      const length = this.#understood(() => lengthOfCarried(prefix));
      if (length === 0) break;
      const frame = await this.#take(length);
      hash.update(frame);
      yield frame;
    }
    const trailer = trailerOfCarried(await this.#take(CARRIED_TRAILER_BYTES));
    if (this.#position < this.size) throw this.altered('has bytes behind its end');
    if (!equalBytes(new Uint8Array(hash.digest()), trailer.digest))
      throw this.altered('is not as it was written');
    this.#trailer = trailer;
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  /** The error for bytes that cannot be what was written. */
  altered(what: string, cause?: unknown): CarryError {
    return new CarryError(
      'CARRY_ALTERED',
      `${this.#path} ${what}: it was altered or damaged on its way; nothing was taken from it, copy it again`,
      {
        cause,
      },
    );
  }

  async #checkHead(): Promise<void> {
    const head = await this.#read(0, CARRIED_HEAD_BYTES);
    let kind: CarriedKind;
    try {
      kind = kindOfCarried(head);
    } catch (cause) {
      if (!(cause instanceof FormatError) || cause.code === 'FORMAT_UNKNOWN_VERSION') throw cause;
      const [code, says] =
        this.size < CARRIED_HEAD_BYTES
          ? (['CARRY_CUT', 'is cut off'] as const)
          : (['CARRY_NOT_ONE', 'is not one'] as const);
      throw new CarryError(
        code,
        `${this.#path} should be ${kindWords[this.#kind]} and ${says}; choose the right file`,
        { cause },
      );
    }
    if (kind === this.#kind) return;
    throw new CarryError(
      'CARRY_WRONG_KIND',
      `${this.#path} holds ${kindWords[kind]}, not ${kindWords[this.#kind]}; choose the other file`,
    );
  }

  #understood<T>(step: () => T): T {
    try {
      return step();
    } catch (cause) {
      if (cause instanceof FormatError) throw this.altered('has a length that no frame has', cause);
      throw cause;
    }
  }

  async #take(length: number): Promise<Uint8Array> {
    const bytes = await this.#read(
      this.#position,
      Math.min(length, Math.max(0, this.size - this.#position)),
    );
    if (bytes.length < length)
      throw new CarryError(
        'CARRY_CUT',
        `${this.#path} ends after ${this.size} bytes, before its end: it was not copied whole; copy it again`,
      );
    this.#position += length;
    return bytes;
  }

  async #read(position: number, length: number): Promise<Uint8Array> {
    try {
      const bytes = await readFully(this.#file, position, length);
      return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
    } catch (error) {
      throw fileError('read', this.#path, error);
    }
  }
}
