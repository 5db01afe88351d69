/**
 * Runs asynchronous steps one after the other, in the order of the calls; a failed step does not
 * stop later ones.
 */
export class Serial {
  #last: Promise<unknown> = Promise.resolve();

  run<T>(step: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(step);
    this.#last = turn.catch(() => undefined); // told to who asked
    return turn;
  }
}
