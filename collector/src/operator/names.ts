import type { TreeHead } from '@aliquot/proto';
import { UsageError } from '@aliquot/shared/cli/errors';
import { pathCandidates } from '@aliquot/shared/cli/path-set';
import { fileIdFor, pathKeyFor } from '@aliquot/shared/keys/derive';
import type { OpenKit } from '@aliquot/shared/keys/kit';
import type { AgentInfo, NameRow, ResultLine, UnopenedCommit } from '../api/messages.ts';
import { MemberTallies } from '../api/result-rows.ts';
import type { CommandContext } from '../cli/context.ts';
import type { AgentView } from './agent-view.ts';
import { CollectorClient } from './client/collector-client.ts';
import type { StateAnswer } from './client/reading-client.ts';
import type { VaultClient } from './client/vault-client.ts';
import { inspectKitFile, kitPath, openKitFile } from './kit-file.ts';
import { versionsOfResult } from './one-result.ts';
import { type ProvedVault, readerOf } from './open-vault.ts';
import { type CollectorOptions, endpointOf, type KitOptions } from './options.ts';
import { asRecorded } from './paths.ts';
import { provedState, withCheck } from './proof/answers.ts';
import { type AnswerCheck, Proofs } from './proof/proofs.ts';
import type { UnopenedList } from './unopened.ts';
import {
  certifiedAgent,
  openResultVersions,
  openVersions,
  readable,
  verifyRecord,
} from './verified.ts';
import { demandContinuation } from './witness.ts';

/**
 * Where a listing's names come from: opened here with the kit (and verified), or by the collector
 * with its catalog key.
 */
export interface NameSource {
  readonly vault: VaultClient;
  /** The vault's agents; with the kit proved to be all that have commits. */
  roster(): Promise<readonly AgentInfo[]>;
  /** The files of an agent as they were at a time (undefined: now). */
  state(agent: AgentView, atMs: number | undefined): AsyncIterable<NameRow>;
  /** Every kept version of one file, oldest first, "gone" included. */
  versions(agent: AgentView, path: string): AsyncIterable<NameRow>;
  /** Every kept version of every file, newest commit first, "gone" included. */
  everyVersion(agent: AgentView): AsyncIterable<NameRow>;
  /**
   * The results of an agent as they stood at a time (undefined: now): open where members are
   * missing or newer than the row.
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
  const head = await demandContinuation(context, vault);
  if (options.kit === undefined && !vault.info.blind) return serverNames(vault, unopened);
  if (known === undefined) {
    throw new UsageError(
      'USAGE_MISSING',
      `vault ${vault.info.name} is blind: its names open only on this machine; give its recovery kit with --kit`,
    );
  }
  const kit = await openKitFile(context, options);
  return kitNames(context, vault, { kit, head }, unopened);
}

function serverNames(vault: VaultClient, unopened: UnopenedList): NameSource {
  return {
    vault,
    roster: async () => (await vault.roster.list()).agents,
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

/** The same, with the kit open and the vault's log continued up to `head`. */
export function kitNames(
  context: CommandContext,
  vault: VaultClient,
  { kit, head }: { readonly kit: OpenKit; readonly head: TreeHead },
  unopened: UnopenedList,
): NameSource {
  const collector = vault.certificate(kit.authority.publicKey);
  const proofs = new Proofs(context, vault, kit.descriptor, head);
  const open: ProvedVault = { kit, vault, collector, proofs };
  /** Versions of an answer that is proved to have all of them. */
  async function* rows(
    agent: AgentView,
    check: AnswerCheck,
    records: AsyncIterable<StateAnswer>,
  ): AsyncGenerator<NameRow> {
    const watch = withCheck(unopened, check);
    const certified = certifiedAgent(kit, agent);
    const reader = await readerOf(open);
    for await (const { row } of openVersions(records, reader, certified, watch)) yield row;
    await check.finish();
  }
  return {
    vault,
    roster: () => proofs.roster(),
    async *state(agent, atMs) {
      for await (const { row } of provedState(open, agent, atMs, unopened)) yield row;
    },
    async *everyVersion(agent) {
      const check = await proofs.versions(agent);
      yield* rows(agent, check, vault.reading.everyVersion(agent.agentId));
    },
    async *versions(agent, path) {
      const pathKey = pathKeyFor(kit.pathSecret, certifiedAgent(kit, agent).enrolment);
      for (const bytes of pathCandidates(path)) {
        const id = fileIdFor(pathKey, bytes);
        const check = await proofs.versions(agent, { id, isResult: false });
        yield* rows(agent, check, vault.reading.versions(agent.agentId, id));
      }
    },
    async *results(agent, atMs) {
      const certified = certifiedAgent(kit, agent);
      const tallies = new MemberTallies();
      const files = await proofs.state(agent, { atMs, results: false });
      const watch = withCheck(unopened, files);
      const state = vault.reading.state(agent.agentId, atMs);
      const reader = await readerOf(open);
      for await (const record of readable(state, unopened))
        tallies.add(verifyRecord(record, reader, certified, watch).commit.rows, record);
      await files.finish();
      const check = await proofs.state(agent, { atMs, results: true });
      const records = vault.reading.results(agent.agentId, atMs);
      const watching = withCheck(unopened, check);
      for await (const { line } of openResultVersions(records, reader, certified, watching))
        yield line;
      await check.finish();
    },
    async *resultVersions(agent, path) {
      for await (const { line } of versionsOfResult(open, agent, path, unopened)) yield line;
    },
  };
}
