import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { collectorMetrics, type MetricsContext } from './metrics.ts';

/** What the process itself takes (`process_…`, `nodejs_…`), gathered from the first question on. */
let ofProcess: Registry | undefined;

/** Everything as Prometheus reads it, and its content type. */
export async function exposition(
  context: MetricsContext,
): Promise<{ readonly type: string; readonly text: string }> {
  if (ofProcess === undefined) {
    ofProcess = new Registry();
    collectDefaultMetrics({ register: ofProcess });
  }
  // Anew each time: an agent or a problem that is no more must leave no series behind.
  const registry = new Registry();
  for (const { name, help, samples } of collectorMetrics) {
    const all = await samples(context);
    const labelNames = Object.keys(all[0]?.labels ?? {});
    const options = { name, help, labelNames, registers: [registry] };
    if (name.endsWith('_total')) {
      const counter = new Counter(options);
      for (const { labels, value } of all) counter.inc(labels, value);
    } else {
      const gauge = new Gauge(options);
      // A gauge without labels begins at 0, which nobody said.
      if (all.length === 0) registry.removeSingleMetric(name);
      for (const { labels, value } of all) gauge.set(labels, value);
    }
  }
  return {
    type: registry.contentType,
    text: `${await registry.metrics()}\n${await ofProcess.metrics()}`,
  };
}
