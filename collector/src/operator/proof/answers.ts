import type { AgentView } from '../agent-view.ts';
import type { StateAnswer } from '../client/reading-client.ts';
import { type ProvedVault, readerOf } from '../open-vault.ts';
import {
  certifiedAgent,
  type OpenVersion,
  openVersions,
  type VersionWatch,
  verifyRecord,
} from '../verified.ts';
import type { AnswerCheck } from './proofs.ts';
import type { StateQuestion } from './state-check.ts';

/** Who else listens, and a check. */
export function withCheck(watch: VersionWatch, check: AnswerCheck): VersionWatch {
  return {
    onCommit: (header, receipt) => watch.onCommit?.(header, receipt),
    onUnopened: (unopened) => watch.onUnopened(unopened),
    onRecord: (record) => check.onRecord(record),
  };
}

/** The files of an agent as they were at a time (undefined: now): verified, and all there were. */
export async function* provedState(
  open: ProvedVault,
  agent: AgentView,
  atMs: number | undefined,
  watch: VersionWatch,
): AsyncGenerator<OpenVersion> {
  const { kit, vault, proofs } = open;
  const question: StateQuestion = { atMs, results: false };
  const check = await proofs.state(agent, question);
  const records = vault.reading.state(agent.agentId, atMs);
  const certified = certifiedAgent(kit, agent);
  const reader = await readerOf(open);
  yield* openVersions(records, reader, certified, withCheck(watch, check));
  await check.finish();
}

/**
 * Records of which some may be left aside before they are opened: each is verified first, and at
 * their end they are proved to be all.
 */
export async function* provedRecords(
  open: ProvedVault,
  agent: AgentView,
  records: AsyncIterable<StateAnswer>,
  check: AnswerCheck,
): AsyncGenerator<StateAnswer> {
  const certified = certifiedAgent(open.kit, agent);
  const reader = await readerOf(open);
  const watch = withCheck({ onUnopened: () => undefined }, check);
  for await (const record of records) {
    if (!('unopened' in record)) verifyRecord(record, reader, certified, watch);
    yield record;
  }
  await check.finish();
}
