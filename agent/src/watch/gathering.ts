import type { BytePath } from '../source/paths.ts';

/**
 * A file that is written makes an event with each write: its path is handed on this much later,
 * once.
 */
const GATHER_MS = 50;

/** Gathers paths for a moment and hands on each of them once. */
export class Gathering {
  readonly #handOn: (paths: ReadonlySet<BytePath>) => void;
  #paths = new Set<BytePath>();
  #timer: NodeJS.Timeout | undefined;

  constructor(handOn: (paths: ReadonlySet<BytePath>) => void) {
    this.#handOn = handOn;
  }

  add(path: BytePath): void {
    this.#paths.add(path);
    this.#timer ??= setTimeout(() => {
      const paths = this.#paths;
      this.#paths = new Set();
      this.#timer = undefined;
      this.#handOn(paths);
    }, GATHER_MS);
  }

  /** Nothing is handed on any more. */
  end(): void {
    clearTimeout(this.#timer);
    // A late event must not start it again.
    this.add = () => undefined;
  }
}
