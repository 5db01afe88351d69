import type { Agent } from '../folder/agent.ts';
import type { QueueUsage } from '../queue/intake/intake.ts';
import type { HeartbeatCounts } from '../uplink/uplink.ts';
import { heartbeatCounts } from './heartbeat.ts';
import type { ServiceView } from './stock.ts';

/** What one look at the running agent finds. */
export interface AgentFacts {
  readonly counts: HeartbeatCounts;
  readonly queued: { readonly entries: number; readonly bytes: number };
  readonly usage: Pick<QueueUsage, 'freeBytes'>;
  readonly connected: boolean;
  readonly lastScanEndedMs: number | undefined;
}

interface Metric {
  readonly name: string;
  /** One sentence: what it counts. */
  readonly help: string;
  /** One value, or one for each code. */
  readonly value: (facts: AgentFacts) => number | ReadonlyMap<string, number>;
}

/**
 * What the agent says of itself. Gauges all; docs/monitoring.md has them as a table, and a test
 * holds it.
 */
export const agentMetrics: readonly Metric[] = [
  {
    name: 'aliquot_agent_connected',
    help: '1 while there is a session with the collector.',
    value: ({ connected }) => Number(connected),
  },
  {
    name: 'aliquot_agent_last_scan_timestamp_seconds',
    help: 'When the last scan that looked at everything ended; 0: never since the service started.',
    value: ({ lastScanEndedMs = 0 }) => lastScanEndedMs / 1000,
  },
  {
    name: 'aliquot_agent_files',
    help: 'Files that the last scan met.',
    value: ({ counts }) => counts.files,
  },
  {
    name: 'aliquot_agent_bytes',
    help: 'Bytes of these files.',
    value: ({ counts }) => counts.bytes,
  },
  {
    name: 'aliquot_agent_queued_versions',
    help: 'Versions in the queue that no receipt covers yet.',
    value: ({ queued }) => queued.entries,
  },
  {
    name: 'aliquot_agent_queued_bytes',
    help: 'Bytes that these take in the queue.',
    value: ({ queued }) => queued.bytes,
  },
  {
    name: 'aliquot_agent_pending_results',
    help: 'Results that were seen and are not in the queue yet.',
    value: ({ counts }) => counts.pending,
  },
  {
    name: 'aliquot_agent_unsettled_results',
    help: 'Results that do not come to rest.',
    value: ({ counts }) => counts.unsettled,
  },
  {
    name: 'aliquot_agent_unprotected_files',
    help: 'Files that could not be protected.',
    value: ({ counts }) => counts.unprotected,
  },
  {
    name: 'aliquot_agent_problems',
    help: 'What each kind of problem concerns, by its code. Absent when there is none.',
    value: ({ counts }) => new Map(counts.problems.map(({ code, count }) => [code, count])),
  },
  {
    name: 'aliquot_agent_disk_free_bytes',
    help: 'Bytes that are free on the disk of the agent’s folder.',
    value: ({ usage }) => usage.freeBytes,
  },
];

export async function factsOf(agent: Agent, view: ServiceView): Promise<AgentFacts> {
  const counts = await heartbeatCounts(agent, view, undefined);
  const connected = agent.uplink.status().state === 'ready';
  return {
    counts,
    queued: agent.queue.intake.pending(),
    usage: await agent.queue.intake.usage(),
    connected,
    lastScanEndedMs: view.lastScan?.endedMs,
  };
}

/**
 * Facts in Prometheus' text format (exposition format 0.0.4). Codes hold nothing that would have to
 * be quoted.
 */
export function metricsText(facts: AgentFacts): string {
  const lines = agentMetrics.flatMap(({ name, help, value }) => {
    const found = value(facts);
    const series =
      typeof found === 'number'
        ? [`${name} ${found}`]
        : [...found].map(([code, count]) => `${name}{code="${code}"} ${count}`);
    return [`# HELP ${name} ${help}`, `# TYPE ${name} gauge`, ...series];
  });
  return `${lines.join('\n')}\n`;
}
