import type { CaptureHost } from '../capture/host.ts';
import type { CaptureExchange } from '../capture/window.ts';
import type { Courtesy } from './courtesy.ts';

/**
 * The same host, asking courtesy before each batch of a walk and before each window of a capture
 * goes on. It does so where the windows are taken over, in the main thread: the worker runs into
 * its own back-pressure and rests, with the windows at hand finished.
 */
export function courteousHost(host: CaptureHost, courtesy: Courtesy): CaptureHost {
  if (!courtesy.limiting) return host;
  return {
    parallel: host.parallel,
    walk: (request) => courteously(() => host.walk(request), courtesy),
    compare: (request, known) => courteously(() => host.compare(request, known), courtesy),
    look: (path) => host.look(path),
    async capture(jobs, exchange) {
      await courtesy.beforeWork(exchange.signal);
      return host.capture(jobs, courteousExchange(jobs.length, exchange, courtesy));
    },
    close: () => host.close(),
  };
}

async function* courteously<Batch>(
  begin: () => AsyncIterable<Batch>,
  courtesy: Courtesy,
): AsyncGenerator<Batch, void, void> {
  await courtesy.beforeWork();
  for await (const batch of begin()) {
    yield batch;
    await courtesy.beforeWork();
  }
}

function courteousExchange(
  jobs: number,
  exchange: CaptureExchange,
  courtesy: Courtesy,
): CaptureExchange {
  let ended = 0;
  return {
    signal: exchange.signal,
    lookup: (indexes) => exchange.lookup(indexes),
    async deliver(window) {
      // First what is at hand, so that nothing sealed waits in memory.
      const refused = await exchange.deliver(window);
      ended += window.ended;
      // After the last one nothing more is read, and what was captured must not wait to become
      // durable.
      if (ended < jobs) await courtesy.beforeWork(exchange.signal);
      return refused;
    },
  };
}
