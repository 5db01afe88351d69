import {
  constants,
  createZstdCompress,
  createZstdDecompress,
  zstdCompressSync,
  zstdDecompressSync,
} from 'node:zlib';

/*
 * zstd from buffer to buffer, with contexts that are kept for all calls of a thread.
 *
 * `zstdCompressSync` makes a stream object and a zstd context for each call: 30 µs, as long as
 * compressing a file of 4 KiB takes, and an instrument PC has hundreds of thousands of those. So
 * the native handle of one stream is called directly (`_handle.writeSync`, as npm's minizlib does).
 * That is not documented; therefore each context proves itself against the documented function when
 * it is made, and where that fails, the documented function serves. Both give the same bytes.
 */

/** zstd's parameters, by their numbers in `zlib.constants`. */
export type ZstdParameters = Readonly<Record<number, number>>;

/** The largest window that a reader sets memory aside for: 8 MiB, twice the largest chunk. */
const MAX_WINDOW_LOG = 23;
const decoderParameters: ZstdParameters = { [constants.ZSTD_d_windowLogMax]: MAX_WINDOW_LOG };
/** What zlib allows as least; the stream's own buffer is never used. */
const LEAST_BUFFER_BYTES = 64;

interface NativeHandle {
  writeSync(
    flush: number,
    from: Uint8Array,
    fromAt: number,
    fromLength: number,
    to: Uint8Array,
    toAt: number,
    toLength: number,
  ): void;
  onerror: (message: string, errno: number, code: string) => void;
}

/**
 * What lies inside of a zlib stream of Node. The state is [bytes left of the output, bytes left of
 * the input] after a write.
 */
interface Inside {
  readonly _handle?: Partial<NativeHandle> | null;
  readonly _writeState?: Uint32Array;
}

interface Written {
  readonly length: number;
  /** The input was taken to its end, and nothing was wrong with it. */
  readonly whole: boolean;
  readonly failed: boolean;
}

class NativeContext {
  readonly #stream: object;
  readonly #handle: NativeHandle;
  readonly #state: Uint32Array;
  #failed = false;

  private constructor(stream: object, handle: NativeHandle, state: Uint32Array) {
    this.#stream = stream;
    this.#handle = handle;
    this.#state = state;
    handle.onerror = () => {
      this.#failed = true;
    };
  }

  /** undefined where this Node's streams are made differently. */
  static of(stream: object): NativeContext | undefined {
    const { _handle: handle, _writeState: state } = stream as Inside;
    if (
      typeof handle?.writeSync !== 'function' ||
      !(state instanceof Uint32Array) ||
      state.length !== 2
    )
      return undefined;
    return new NativeContext(stream, handle as NativeHandle, state);
  }

  /** Writes to `to` from `toAt` on. After anything but a whole write the context is spent. */
  write(from: Uint8Array, to: Uint8Array, toAt: number): Written {
    this.#failed = false;
    const room = to.length - toAt;
    this.#handle.writeSync(constants.ZSTD_e_end, from, 0, from.length, to, toAt, room);
    const [roomLeft = 0, fromLeft = 0] = this.#state;
    return {
      length: room - roomLeft,
      whole: !this.#failed && fromLeft === 0,
      failed: this.#failed,
    };
  }

  close(): void {
    (this.#stream as { destroy?: () => void }).destroy?.();
  }
}

/** Bytes that the longest frame of `length` bytes takes (ZSTD_compressBound, rounded up). */
export function longestFrame(length: number): number {
  return length + (length >>> 7) + 512;
}

/**
 * Compresses whole buffers, each into one frame, always with the same parameters. Kept by its owner
 * for the life of the thread.
 */
export class ZstdCompressor {
  readonly #parameters: ZstdParameters;
  #context: NativeContext | undefined;
  #proven = false;

  constructor(parameters: ZstdParameters) {
    this.#parameters = parameters;
  }

  /**
   * Writes the frame of `plain` to `out` from `outAt` on, where `longestFrame` bytes must be free.
   * @returns Its length.
   */
  compress(plain: Uint8Array, out: Uint8Array, outAt: number): number {
    if (!this.#proven) this.#context = this.#prove();
    if (this.#context !== undefined) {
      const { length, whole } = this.#context.write(plain, out, outAt);
      if (whole) return length;
      this.#context.close();
      this.#context = undefined;
    }
    const frame = this.#documented(plain);
    out.set(frame, outAt);
    return frame.length;
  }

  /**
   * A context that has compressed the same thing twice, and both times as the documented function
   * does.
   */
  #prove(): NativeContext | undefined {
    this.#proven = true;
    const context = NativeContext.of(
      createZstdCompress({ chunkSize: LEAST_BUFFER_BYTES, params: this.#parameters }),
    );
    const sample = proofSample();
    const expected = this.#documented(sample);
    const out = new Uint8Array(longestFrame(sample.length));
    for (let time = 0; time < 2 && context !== undefined; time += 1) {
      const { length, whole } = context.write(sample, out, 0);
      if (!whole || !sameBytes(out, length, expected)) return undefined;
    }
    return context;
  }

  #documented(plain: Uint8Array): Uint8Array {
    return zstdCompressSync(plain, {
      chunkSize: longestFrame(plain.length),
      params: this.#parameters,
    });
  }
}

/** Unfolds whole frames. One for each thread: `zstdDecoder`. */
class ZstdDecoder {
  #context: NativeContext | undefined;
  #documentedOnly = false;

  /**
   * Unfolds one whole frame, whose end the caller has made sure of, to the start of `out`, which
   * has at least one byte more than may come.
   *
   * @returns The number of bytes; `too-large` when they fill `out`; `damaged` when this is no
   * frame, or wants a window above 8 MiB.
   */
  unfold(frame: Uint8Array, out: Uint8Array): number | 'too-large' | 'damaged' {
    if (this.#context === undefined && !this.#documentedOnly) {
      this.#context = newDecoderContext();
      this.#documentedOnly = this.#context === undefined;
    }
    if (this.#context === undefined) return unfoldDocumented(frame, out);
    const { length, whole, failed } = this.#context.write(frame, out, 0);
    if (whole && length < out.length) return length;
    // It stands in the middle of a frame now.
    this.#context.close();
    this.#context = undefined;
    return failed ? 'damaged' : 'too-large';
  }
}

export const zstdDecoder = new ZstdDecoder();

/** A context that has unfolded the same frame twice, if this Node's streams can be used so. */
function newDecoderContext(): NativeContext | undefined {
  const context = NativeContext.of(
    createZstdDecompress({ chunkSize: LEAST_BUFFER_BYTES, params: decoderParameters }),
  );
  const sample = proofSample();
  const frame = zstdCompressSync(sample);
  const out = new Uint8Array(sample.length + 1);
  for (let time = 0; time < 2 && context !== undefined; time += 1) {
    const { length, whole } = context.write(frame, out, 0);
    if (!whole || !sameBytes(out, length, sample)) return undefined;
  }
  return context;
}

function unfoldDocumented(frame: Uint8Array, out: Uint8Array): number | 'too-large' | 'damaged' {
  try {
    const plain = zstdDecompressSync(frame, {
      chunkSize: Math.max(LEAST_BUFFER_BYTES, out.length),
      maxOutputLength: out.length,
      params: decoderParameters,
    });
    if (plain.length >= out.length) return 'too-large';
    out.set(plain);
    return plain.length;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE'
      ? 'too-large'
      : 'damaged';
  }
}

function proofSample(): Uint8Array {
  return new Uint8Array(1000).map((_, at) => (at * at) >>> 5);
}

function sameBytes(bytes: Uint8Array, length: number, expected: Uint8Array): boolean {
  return length === expected.length && expected.every((byte, at) => bytes[at] === byte);
}
