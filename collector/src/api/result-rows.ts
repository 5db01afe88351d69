import { decodeReceiptBody, type StateRecord } from '@aliquot/proto';
import { type NamedResult, openResults, type Unopened } from '@aliquot/shared/commit/open-names';
import { readCommit } from '@aliquot/shared/commit/rows';
import type { BoxKey } from '@aliquot/shared/crypto/box';
import { hex } from '@aliquot/shared/crypto/bytes';
import { toBase64 } from './base64.ts';
import type { ResultLine, ResultRecord } from './messages.ts';
import { type RowPlace, slotsOf, unopenedCommit } from './name-rows.ts';
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
    ...{ size, progress, grade, members, capturedAtMs },
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
): AsyncGenerator<ResultRecord> {
  for await (const record of records) {
    const commit = readCommit(record.commit);
    const { receivedAtMs } = decodeReceiptBody(record.receipt.body);
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
