import { UsageError } from '@aliquot/shared/cli/errors';
import { pathCandidates } from '@aliquot/shared/cli/path-set';
import { fileIdFor, pathKeyFor } from '@aliquot/shared/keys/derive';
import type { OpenKit } from '@aliquot/shared/keys/kit';
import type { NameRow, ResultLine, UnopenedCommit } from '../api/messages.ts';
import { MemberTallies } from '../api/result-rows.ts';
import type { CommandContext } from '../cli/context.ts';
import type { AgentView } from './agent-view.ts';
import { CollectorClient } from './client/collector-client.ts';
import type { VaultClient } from './client/vault-client.ts';
import { inspectKitFile, kitPath, openKitFile } from './kit-file.ts';
import { versionsOfResult } from './one-result.ts';
import { type CollectorOptions, endpointOf, type KitOptions } from './options.ts';
import { asRecorded } from './paths.ts';
import type { UnopenedList } from './unopened.ts';
import { certifiedAgent, openResultVersions, openVersions, verifyRecord } from './verified.ts';
import { demandContinuation } from './witness.ts';

/**
 * Where a listing's names come from: opened here with the kit (and verified), or by the collector
 * with its catalog key.
 */
export interface NameSource {
  readonly vault: VaultClient;
  /** The files of an agent as they were at a time (undefined: now). */
  state(agent: AgentView, atMs: number | undefined): AsyncIterable<NameRow>;
  /** Every kept version of one file, oldest first, "gone" included. */
  versions(agent: AgentView, path: string): AsyncIterable<NameRow>;
  /** Every kept version of every file, newest commit first, "gone" included. */
  everyVersion(agent: AgentView): AsyncIterable<NameRow>;
  /**
   * The results of an agent as they stood at a time (undefined: now): open where members are missing
   * or newer than the row.
   */
  results(agent: AgentView, atMs: number | undefined): AsyncIterable<ResultLine>;
  /** Every version of the result with this root, oldest first. */
  resultVersions(agent: AgentView, path: string): AsyncIterable<ResultLine>;
}

/**
 * The source for a listing. A kit given by `--kit` is used; one from the environment only where the
 * vault is blind, so that everyday listings ask for no passphrase.
 */
export async function nameSource(
  context: CommandContext,
  options: CollectorOptions & KitOptions,
  unopened: UnopenedList,
): Promise<NameSource> {
  const known =
    kitPath(context, options) === undefined ? undefined : await inspectKitFile(context, options);
  const collector = await CollectorClient.connect(await endpointOf(context, options));
  const usesKit = known !== undefined && (options.kit !== undefined || options.vault === undefined);
  const vault = collector.vault(usesKit ? { vaultId: known.vaultId } : { name: options.vault });
  await demandContinuation(context, vault);
  if (options.kit === undefined && !vault.info.blind) return serverNames(vault, unopened);
  if (known === undefined) {
    throw new UsageError(
      'USAGE_MISSING',
      `vault ${vault.info.name} is blind: its names open only on this machine; give its recovery kit with --kit`,
    );
  }
  return kitNames(vault, await openKitFile(context, options), unopened);
}

function serverNames(vault: VaultClient, unopened: UnopenedList): NameSource {
  return {
    vault,
    state: (agent, atMs) =>
      rowsOf<NameRow>(vault.reading.names({ agentId: agent.agentId, atMs }), unopened),
    everyVersion: (agent) =>
      rowsOf<NameRow>(vault.reading.names({ agentId: agent.agentId, every: true }), unopened),
    async *versions(agent, path) {
      for (const versionsOf of pathCandidates(path))
        yield* rowsOf<NameRow>(
          vault.reading.names({ agentId: agent.agentId, versionsOf }),
          unopened,
        );
    },
    results: ({ agentId }, atMs) =>
      rowsOf<ResultLine>(vault.reading.resultNames({ agentId, atMs }), unopened),
    async *resultVersions({ agentId }, path) {
      for (const versionsOf of pathCandidates(asRecorded(path)))
        yield* rowsOf<ResultLine>(vault.reading.resultNames({ agentId, versionsOf }), unopened);
    },
  };
}

async function* rowsOf<Row extends object>(
  records: AsyncIterable<Row | { readonly unopened: UnopenedCommit }>,
  unopened: UnopenedList,
): AsyncGenerator<Row> {
  for await (const record of records) {
    if ('unopened' in record) unopened.onUnopened(record.unopened);
    else yield record;
  }
}

function kitNames(vault: VaultClient, kit: OpenKit, unopened: UnopenedList): NameSource {
  const collector = vault.certificate(kit.authority.publicKey);
  return {
    vault,
    async *state(agent, atMs) {
      const certified = certifiedAgent(kit, agent);
      for await (const { row } of openVersions(
        vault.reading.state(agent.agentId, atMs),
        kit,
        collector,
        certified,
        unopened,
      ))
        yield row;
    },
    async *everyVersion(agent) {
      const certified = certifiedAgent(kit, agent);
      for await (const { row } of openVersions(
        vault.reading.everyVersion(agent.agentId),
        kit,
        collector,
        certified,
        unopened,
      ))
        yield row;
    },
    async *versions(agent, path) {
      const certified = certifiedAgent(kit, agent);
      const pathKey = pathKeyFor(kit.pathSecret, certified.enrolment);
      for (const bytes of pathCandidates(path)) {
        const records = vault.reading.versions(agent.agentId, fileIdFor(pathKey, bytes));
        for await (const { row } of openVersions(records, kit, collector, certified, unopened))
          yield row;
      }
    },
    async *results(agent, atMs) {
      const certified = certifiedAgent(kit, agent);
      const tallies = new MemberTallies();
      for await (const record of vault.reading.state(agent.agentId, atMs))
        tallies.add(verifyRecord(record, kit, collector, certified, unopened).commit.rows, record);
      const records = vault.reading.results(agent.agentId, atMs);
      for await (const { line } of openResultVersions(records, kit, collector, certified, unopened))
        yield line;
    },
    async *resultVersions(agent, path) {
      const certified = certifiedAgent(kit, agent);
      const open = { kit, vault, collector };
      for await (const { line } of versionsOfResult(open, agent.agentId, certified, path, unopened))
        yield line;
    },
  };
}
