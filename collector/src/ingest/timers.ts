/** Where waiting comes from, so that tests decide when a time is over. */
export interface Timers {
  /**
   * Calls `action` once after `milliseconds`; the answer cancels it. Never keeps the process alive
   * by itself.
   */
  after(milliseconds: number, action: () => void): () => void;
}

export const systemTimers: Timers = {
  after(milliseconds, action) {
    const timer = setTimeout(action, milliseconds);
    timer.unref();
    return () => clearTimeout(timer);
  },
};
