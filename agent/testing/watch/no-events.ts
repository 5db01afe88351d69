import type { EventPort } from '../../src/watch/event-port.ts';

/** No events, for tests in which only scans and looks find changes. */
export const noEvents: EventPort = {
  subscribe: () => ({
    met: () => false,
    scanBegins: () => undefined,
    scanEnded: () => undefined,
    close: () => undefined,
  }),
};
