import type { Timers } from '@aliquot/shared/ports';

/** They never keep the process alive by themselves. */
export const systemTimers: Timers = {
  after(milliseconds, action) {
    const timer = setTimeout(action, milliseconds);
    timer.unref();
    return () => clearTimeout(timer);
  },
};
