/** What happens in the queue, for its listeners. */
export type QueueEvent =
  /** A sync made new versions durable, or found that nothing more is being captured. */
  | { readonly type: 'queued' }
  /** Items were put: about a mebibyte more for `takeFresh`. */
  | { readonly type: 'fresh' }
  /** Versions became safe. */
  | { readonly type: 'receipted'; readonly sequence: number; readonly entries: number }
  | { readonly type: 'lost' }
  /** There may be space again, after `QUEUE_FULL` or while there are references. */
  | { readonly type: 'space' }
  /** `SweepEpochs.answer` has an answer. */
  | { readonly type: 'gcReady' };

/** Carries events from the rooms of the queue to their listeners. */
export class QueueEvents {
  readonly #listeners = new Set<(event: QueueEvent) => void>();

  /** Calls back after changes; returns the way to stop it. A listener must not throw. */
  subscribe(listener: (event: QueueEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  tell(event: QueueEvent): void {
    for (const listener of [...this.#listeners]) listener(event);
  }
}
