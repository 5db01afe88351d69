import { Guess } from '@aliquot/shared/cli/nearest';

/** Windows' paths too. */
const BEFORE_SEPARATOR = /(?=[\\/])/;

/** Which path a mistyped one was meant to be: a file's, or a folder's above it. */
export class PathGuess {
  readonly #guess: Guess;
  readonly #names: number;
  #last = '';

  constructor(path: string) {
    const plain = path.replace(/\/+$/, '');
    this.#guess = new Guess(plain);
    this.#names = plain.split(BEFORE_SEPARATOR).length;
  }

  get best(): string | undefined {
    return this.#guess.best;
  }

  /** Looks at the part of the path that is as deep as the mistyped one. */
  consider(path: string): void {
    const part = path.split(BEFORE_SEPARATOR).slice(0, this.#names).join('');
    if (part === this.#last) return;
    this.#last = part;
    this.#guess.consider(part);
  }
}
