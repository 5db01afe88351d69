import { MAX_AGENT_SERIES } from '../limits.ts';
import type { CollectorStore } from '../store/collector-store.ts';
import type { AgentRecord } from '../store/vault-records.ts';
import type { VaultWith } from '../store/vault-store.ts';
import { VERSION } from '../version.ts';
import { lastHeardMs, problemsAt, type WatchContext } from './agent-problems.ts';
import type { Health } from './health.ts';

/** What the metrics are read from. */
export interface MetricsContext extends WatchContext {
  readonly store: CollectorStore;
  readonly health: Health;
}

/** One value with what it is of. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/**
 * A metric: `_total` counts up for ever, everything else is how it is now. Base units, as
 * Prometheus wants them.
 */
export interface Metric {
  readonly name: string;
  /** One sentence: what it counts. */
  readonly help: string;
  readonly samples: (context: MetricsContext) => Sample[] | Promise<Sample[]>;
}

const ms = (value: number | undefined): number => (value === undefined ? 0 : value / 1000);

/**
 * How the collector is, and its vaults and agents. docs/monitoring.md has this as a table; a test
 * holds it.
 */
export const collectorMetrics: readonly Metric[] = [
  {
    name: 'aliquot_build_info',
    help: 'Always 1; the label says which release runs.',
    samples: () => [{ labels: { version: VERSION }, value: 1 }],
  },
  {
    name: 'aliquot_collector_problems',
    help: 'Problems of the collector itself, by code: disk, certificate, clock, runs that failed, agents that it does not know. Absent when there is none.',
    samples: async ({ health }) => {
      const counts = new Map<string, number>();
      for (const { code } of await health.problems()) counts.set(code, (counts.get(code) ?? 0) + 1);
      return [...counts].map(([code, value]) => ({ labels: { code }, value }));
    },
  },
  {
    name: 'aliquot_disk_free_bytes',
    help: 'Bytes that the collector may still write to its disk.',
    samples: async ({ health }) => {
      const disk = await health.disk();
      return disk === undefined ? [] : [{ labels: {}, value: disk.freeBytes }];
    },
  },
  ofVaults(
    'aliquot_vault_pack_bytes',
    'Bytes of all pack files: what the vault takes of the disk.',
    (vault) => vault.figures.stats().packBytes,
  ),
  ofVaults(
    'aliquot_vault_raw_bytes',
    'Bytes of all versions of all files, as they were on the PCs.',
    (vault) => vault.figures.stats().rawBytes,
  ),
  ofVaults(
    'aliquot_vault_files',
    'Files that are there now, of all agents.',
    (vault) => vault.figures.stats().files,
  ),
  ofVaults(
    'aliquot_vault_versions',
    'Versions of files that are kept.',
    (vault) => vault.figures.stats().versions,
  ),
  ofVaults(
    'aliquot_vault_commits_total',
    'Commits that were accepted.',
    (vault) => vault.figures.stats().commits,
  ),
  ofVaults(
    'aliquot_vault_damaged_items',
    'Chunks and pages that are known to be damaged.',
    (vault) => vault.figures.stats().damaged,
  ),
  ofVaults(
    'aliquot_vault_agents',
    'Agents that are enrolled; of more than 5,000 the rest has no series of its own.',
    (vault) => enrolled(vault).length,
  ),
  ofAgents(
    'aliquot_agent_connected',
    '1 while the agent has a session.',
    (agent, { sessions }, vault) =>
      Number(sessions.isConnected(vault.descriptor.vaultId, agent.agentId)),
  ),
  ofAgents(
    'aliquot_agent_last_seen_timestamp_seconds',
    'When the agent was last heard, and not refused; 0: never.',
    (agent, { clock }) => ms(lastHeardMs(agent, clock.nowMs())),
  ),
  ofAgents(
    'aliquot_agent_silence_limit_seconds',
    'After which silence somebody should look: learnt from this agent’s rhythm.',
    ({ silenceLimitMs }) => ms(silenceLimitMs),
  ),
  ofAgents(
    'aliquot_agent_last_backup_timestamp_seconds',
    'When the last commit of the agent was accepted; 0: never.',
    ({ lastCommitMs }) => ms(lastCommitMs),
  ),
  ofAgents(
    'aliquot_agent_files',
    'Files of the agent that are protected now.',
    ({ files }) => files,
  ),
  ofAgents('aliquot_agent_bytes', 'Bytes of these files.', ({ bytes }) => bytes),
  ofAgents(
    'aliquot_agent_queued_versions',
    'Versions that waited in the agent’s queue when it was last heard.',
    ({ heartbeat }) => heartbeat?.queuedEntries ?? 0,
  ),
  ofAgents(
    'aliquot_agent_pending_results',
    'Results that were seen and not yet captured, at its last heartbeat.',
    ({ heartbeat }) => heartbeat?.pending ?? 0,
  ),
  ofAgents(
    'aliquot_agent_unsettled_results',
    'Results that do not come to rest, at its last heartbeat.',
    ({ heartbeat }) => heartbeat?.unsettled ?? 0,
  ),
  ofAgents(
    'aliquot_agent_unprotected_files',
    'Files that the agent could not protect, at its last heartbeat.',
    ({ heartbeat }) => heartbeat?.unprotected ?? 0,
  ),
  ofAgents(
    'aliquot_agent_problems',
    'What `aliquot agents --problems` names of this agent.',
    (agent, context, vault) => problemsAt(context, vault, agent).length,
  ),
];

function ofVaults(
  name: string,
  help: string,
  value: (vault: VaultWith<'figures' | 'register'>) => number,
): Metric {
  const samples = ({ store }: MetricsContext) =>
    store
      .vaults()
      .map((vault) => ({ labels: { vault: vault.descriptor.name }, value: value(vault) }));
  return { name, help, samples };
}

function ofAgents(
  name: string,
  help: string,
  value: (
    agent: AgentRecord,
    context: MetricsContext,
    vault: VaultWith<'descriptor' | 'figures'>,
  ) => number,
): Metric {
  const samples = (context: MetricsContext) =>
    context.store
      .vaults()
      .flatMap((vault) => enrolled(vault).map((agent) => ({ vault, agent })))
      .slice(0, MAX_AGENT_SERIES)
      .map(({ vault, agent }) => ({
        labels: { vault: vault.descriptor.name, agent: agent.name },
        value: value(agent, context, vault),
      }));
  return { name, help, samples };
}

/** One name is borne by one enrolled agent at a time, so no series is there twice. */
function enrolled(vault: VaultWith<'register'>): AgentRecord[] {
  return vault.register.agents().filter(({ state }) => state === 'enrolled');
}
