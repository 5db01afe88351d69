import {
  formatBytes,
  formatCount,
  formatCounted,
  formatRow,
  formatTime,
  printable,
} from '@aliquot/shared/cli/format';
import type { Output } from '@aliquot/shared/cli/output';
import { isDeletedResult } from '@aliquot/shared/commit/results';
import type { ResultLine } from '../api/messages.ts';
import type { AgentView } from './agent-view.ts';
import { type ArrangeOptions, arranged } from './arrange.ts';
import type { NameSource } from './names.ts';
import type { WantedPaths } from './path-options.ts';
import { instantText, nameOf, pathJson, pathOf } from './paths.ts';

/** Which results are listed, and how. */
export interface ResultListing {
  readonly source: NameSource;
  readonly agents: readonly AgentView[];
  readonly atMs: number | undefined;
  readonly wanted: WantedPaths;
  readonly options: ArrangeOptions;
  /** Of the terminal. */
  readonly columns: number | undefined;
}

/** `ls --results`: one line for each. Returns whether any was meant. */
export async function listResults(
  output: Output,
  { source, agents, atMs, wanted, options, columns }: ResultListing,
  passedBy: (path: string) => void,
): Promise<boolean> {
  const width = Math.max(0, ...agents.map(({ name }) => name.length));
  async function* matching(): AsyncGenerator<ResultLine> {
    for (const agent of agents)
      for await (const row of wanted.of(() => source.results(agent, atMs), nameOf, passedBy))
        if (!isDeletedResult(row)) yield row;
  }
  const rows = arranged(matching(), options, (row) => ({
    name: pathOf(row),
    size: row.size,
    timeMs: row.versionTimeMs,
  }));
  let met = false;
  for await (const row of rows) {
    met = true;
    const cells = [row.agent.padEnd(width), ...factsOf(row), `${printable(pathOf(row))}/`];
    await output.result(resultJson(row), formatRow(cells, columns));
  }
  return met;
}

/** `versions` of a result. Returns whether there are any. */
export async function listResultVersions(
  output: Output,
  rows: AsyncIterable<ResultLine>,
  columns: number | undefined,
): Promise<boolean> {
  let met = false;
  for await (const row of rows) {
    met = true;
    const cells = isDeletedResult(row) ? deletedOf(row) : factsOf(row);
    await output.result(resultJson(row), formatRow(cells, columns));
  }
  return met;
}

/** One version of a result as scripts see it. */
function resultJson(row: ResultLine): object {
  const { agent, kind, progress, grade, members, size, version } = row;
  return {
    agent,
    ...pathJson(row),
    kind,
    state: progress,
    grade,
    members,
    ...(row.missing > 0 ? { missing: row.missing } : {}),
    size,
    version,
    time: instantText(row.versionTimeMs),
    received: instantText(row.receivedAtMs),
    captured: instantText(row.capturedAtMs),
    class: row.class,
    profile: row.profile,
    profileVersion: row.profileVersion,
    evidence: row.evidence,
    started: row.started,
    ended: row.ended,
    membersRoot: row.membersRoot,
  };
}

function deletedOf(row: ResultLine): string[] {
  return [formatTime(row.versionTimeMs), 'deleted'.padStart(8), row.version];
}

function factsOf(row: ResultLine): string[] {
  return [
    formatTime(row.versionTimeMs),
    formatBytes(row.size).padStart(8),
    formatCounted(row.members, 'member').padStart(13),
    `${row.progress}, ${row.grade}`.padEnd(19),
    ...(row.missing > 0 ? [`${formatCount(row.missing)} MISSING`] : []),
    row.version.padEnd(18),
  ];
}
