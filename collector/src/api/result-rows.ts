import type { StateRecord } from '@aliquot/proto';
import { type NamedResult, openResults, type Unopened } from '@aliquot/shared/commit/open-names';
import { type CommitRows, readCommit } from '@aliquot/shared/commit/rows';
import type { BoxKey } from '@aliquot/shared/crypto/box';
import { hex } from '@aliquot/shared/crypto/bytes';
import type { LogTimes } from '@aliquot/shared/log/log-times';
import { toBase64 } from './base64.ts';
import type { ResultLine, ResultRecord } from './messages.ts';
import { type RowPlace, receivedAt, slotsOf, unopenedCommit } from './name-rows.ts';
import { versionName } from './version-id.ts';

/** What a listing says of a result's row. */
export function resultLineOf(
  { row, list, evidence }: Pick<NamedResult, 'row' | 'list' | 'evidence'>,
  place: RowPlace,
): ResultLine {
  const { size, progress, grade, members, membersRoot, resultId, capturedAtMs } = row;
  return {
    agent: place.agent,
    path: toBase64(list.path),
    platform: list.platform,
    kind: 'result',
    ...{ size, progress, grade, members, missing: 0, capturedAtMs },
    membersRoot: hex(membersRoot),
    resultId: hex(resultId),
    class: row.class,
    ...evidence,
    versionTimeMs: place.versionTimeMs,
    receivedAtMs: place.receivedAtMs,
    version: versionName(place.hash, place.slot),
  };
}

/** Opens rows of results with the catalog key, as `openRows` does those of files. */
export async function* openResultRows(
  records: AsyncIterable<StateRecord>,
  agent: string,
  catalogKey: BoxKey,
  times: LogTimes,
): AsyncGenerator<ResultRecord> {
  for await (const record of records) {
    const commit = readCommit(record.commit);
    const receivedAtMs = receivedAt(record, times);
    const place = { agent, hash: commit.hash, receivedAtMs };
    const unopened: Unopened[] = [];
    const reader = { key: catalogKey, recipient: 'catalog' } as const;
    for (const { slot, versionTimeMs, ...named } of openResults(
      commit,
      slotsOf(record, receivedAtMs),
      reader,
      (what) => unopened.push(what),
    ))
      yield resultLineOf(named, { ...place, slot, versionTimeMs });
    for (const what of unopened)
      yield { unopened: unopenedCommit(what, { ...place, sequence: commit.header.sequence }) };
  }
}

/**
 * How many members of each result are there, and how new they are, by what stands in clear. A
 * listing holds its rows against them, so that none is shown as whole that is not so yet, or not
 * any more. Memory: some 150 bytes a result.
 */
export class MemberTallies {
  readonly #tallies = new Map<string, { count: number; newestMs: number }>();

  /** Counts live versions of a commit. @throws FormatError */
  add(rows: CommitRows, { live, versionTimesMs }: Pick<StateRecord, 'live' | 'versionTimesMs'>) {
    for (const [index, slot] of live.entries()) {
      const of = rows.entry(slot)?.resultId;
      if (of === undefined) continue;
      const id = hex(of);
      const tally = this.#tallies.get(id) ?? { count: 0, newestMs: 0 };
      this.#tallies.set(id, tally);
      tally.count += 1;
      tally.newestMs = Math.max(tally.newestMs, versionTimesMs[index] ?? 0);
    }
  }

  /** A line as it stands: open where members are missing, or came after its row. */
  told(line: ResultLine): ResultLine {
    const { count, newestMs } = this.#tallies.get(line.resultId) ?? { count: 0, newestMs: 0 };
    const missing = Math.max(0, line.members - count);
    const isWhole = missing === 0 && count === line.members && newestMs <= line.versionTimeMs;
    return { ...line, missing, progress: isWhole ? line.progress : 'open' };
  }
}
