import { KERNELS } from './module.ts';

/**
 * Memory that the kernels need themselves, in front of what `take` gives: the gear table, and
 * differences on their way.
 */
const OWN_BYTES = 64 * 1024;
const PAGE_BYTES = 64 * 1024;
/**
 * Two windows of capture, two chunks of the largest usual size, and some room. Only what is touched
 * takes memory.
 */
const ARENA_BYTES = 12 * 1024 * 1024;

/** As much of the API as is used here: its types come with those of browsers. */
declare namespace WebAssembly {
  class Module {
    constructor(bytes: Uint8Array);
  }
  class Memory {
    constructor(size: { readonly initial: number });
    readonly buffer: ArrayBuffer;
  }
  class Instance {
    constructor(module: Module, imports: object);
    readonly exports: unknown;
  }
}

interface Exports {
  readonly rolled: { readonly value: number };
  findCut(at: number, to: number, hash: number, mask: number): number;
  split2(from: number, count: number, low: number, high: number, slowness: number): void;
  join2(low: number, high: number, to: number, count: number, slowness: number): void;
}

/**
 * The inner loops of chunker and filters in WebAssembly, half again to four times as fast as
 * TypeScript, for bytes that lie in the arena: memory of a fixed size, one for each thread. Without
 * a part of the arena, or without WebAssembly, the work is done in TypeScript, with the same
 * result.
 *
 * The arena never moves and is never given back. Text and way of making:
 * `shared/scripts/kernels.ts`.
 */
export class Kernels {
  readonly #memory: ArrayBuffer;
  readonly #exports: Exports;
  #used = OWN_BYTES;
  #table: Int32Array | undefined;

  private constructor(memory: ArrayBuffer, exports: Exports) {
    this.#memory = memory;
    this.#exports = exports;
  }

  /**
   * Undefined where WebAssembly, or its 128-bit lanes, are not to be had. Test only: the program
   * has `kernels()`.
   */
  static make(arenaBytes: number = ARENA_BYTES): Kernels | undefined {
    try {
      const memory = new WebAssembly.Memory({ initial: Math.ceil(arenaBytes / PAGE_BYTES) });
      const { exports } = new WebAssembly.Instance(compiled(), { arena: { memory } });
      return new Kernels(memory.buffer, exports as Exports);
    } catch {
      // Any error: engines say in several ways that they lack WebAssembly or its lanes.
      return undefined;
    }
  }

  /**
   * Memory of the arena, for as long as the thread lives; undefined when there is not so much left.
   */
  take(bytes: number): Uint8Array | undefined {
    const at = this.#used;
    const end = at + Math.ceil(bytes / 16) * 16;
    if (end > this.#memory.byteLength) return undefined;
    this.#used = end;
    return new Uint8Array(this.#memory, at, bytes);
  }

  /** Whether these bytes lie in the arena. */
  holds(bytes: Uint8Array): boolean {
    return bytes.buffer === this.#memory;
  }

  /** `findCut` of `chunker.ts`, over bytes of the arena. */
  findCut(
    table: Int32Array,
    bytes: Uint8Array,
    from: number,
    to: number,
    hash: number,
    mask: number,
  ): { readonly cut: number; readonly hash: number } {
    if (this.#table !== table) {
      new Int32Array(this.#memory, 0, table.length).set(table);
      this.#table = table;
    }
    const { byteOffset } = bytes;
    const end = this.#exports.findCut(byteOffset + from, byteOffset + to, hash, mask);
    return end === 0
      ? { cut: -1, hash: this.#exports.rolled.value }
      : { cut: end - byteOffset, hash: 0 };
  }

  /**
   * `split2` of `samples.ts`: `count` little-endian samples of 2 bytes, wherever they begin; all in
   * the arena.
   */
  split2(samples: Uint8Array, low: Uint8Array, high: Uint8Array, slowness: number): void {
    this.#exports.split2(samples.byteOffset, low.length, low.byteOffset, high.byteOffset, slowness);
  }

  /** `join2` of `samples.ts`, likewise. */
  join2(low: Uint8Array, high: Uint8Array, samples: Uint8Array, slowness: number): void {
    this.#exports.join2(low.byteOffset, high.byteOffset, samples.byteOffset, low.length, slowness);
  }
}

let module: WebAssembly.Module | undefined;

/** What this thread's kernels are made of; throws where there is no WebAssembly. */
function compiled(): WebAssembly.Module {
  module ??= new WebAssembly.Module(Buffer.from(KERNELS, 'base64'));
  return module;
}

/**
 * Keeps the machine code of the kernels for as long as this thread lives: threads that it begins
 * take that instead of making their own. It also keeps V8 from freeing the code of one thread while
 * others make theirs: Node 24 once ended there with a failed check of its own
 * (`jit_page.has_value()`).
 */
export function keepKernels(): void {
  try {
    compiled();
  } catch {
    // Any error: the threads do without them, as `Kernels.make` says.
  }
}

let made: { readonly kernels: Kernels | undefined } | undefined;

/** This thread's kernels, if these bytes lie in their arena. */
export function arenaOf(bytes: Uint8Array): Kernels | undefined {
  return made?.kernels?.holds(bytes) === true ? made.kernels : undefined;
}

/** This thread's kernels, made when they are first asked for. */
export function kernels(): Kernels | undefined {
  made ??= { kernels: Kernels.make() };
  return made.kernels;
}
