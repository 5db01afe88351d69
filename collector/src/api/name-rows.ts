import {
  type CommitHash,
  decodeReceiptBody,
  type Entry,
  type ListPart,
  type StateRecord,
} from '@aliquot/proto';
import { openNames, type Unopened } from '@aliquot/shared/commit/open-names';
import { readCommit } from '@aliquot/shared/commit/rows';
import type { BoxKey } from '@aliquot/shared/crypto/box';
import { hex } from '@aliquot/shared/crypto/bytes';
import type { LogTimes } from '@aliquot/shared/log/log-times';
import { toBase64 } from './base64.ts';
import type { NameRecord, NameRow, UnopenedCommit } from './messages.ts';
import { commitName, versionName } from './version-id.ts';

/** What a row says beside the entry and its list part. */
export interface RowPlace {
  readonly agent: string;
  readonly hash: CommitHash;
  readonly slot: number;
  readonly versionTimeMs: number;
  readonly receivedAtMs: number;
}

export function rowOf(entry: Entry, list: ListPart, place: RowPlace): NameRow {
  return {
    agent: place.agent,
    path: toBase64(list.path),
    platform: list.platform,
    kind: entry.kind,
    size: entry.size,
    mtimeNs: String(list.mtimeNs),
    mode: list.mode,
    linkTarget: toBase64(list.linkTarget),
    class: entry.class,
    completion: entry.completion,
    capturedAtMs: entry.capturedAtMs,
    versionTimeMs: place.versionTimeMs,
    receivedAtMs: place.receivedAtMs,
    fileId: hex(entry.fileId),
    version: versionName(place.hash, place.slot),
  };
}

/** What a listing says of a commit that does not open. */
export function unopenedCommit(
  {
    versions,
    error,
  }: Pick<Unopened, 'versions'> & {
    readonly error: Pick<Unopened['error'], 'message'> & { readonly code: string };
  },
  place: Pick<RowPlace, 'agent' | 'hash' | 'receivedAtMs'> & { readonly sequence: number },
): UnopenedCommit {
  const { agent, hash, sequence, receivedAtMs } = place;
  return {
    agent,
    commit: commitName(hash),
    sequence,
    receivedAtMs,
    versions,
    code: error.code,
    message: error.message,
  };
}

/**
 * Opens the names of records with the catalog key. The store is trusted here: this runs where the
 * store is.
 */
export async function* openRows(
  records: AsyncIterable<StateRecord>,
  agent: string,
  catalogKey: BoxKey,
  times: LogTimes,
): AsyncGenerator<NameRecord> {
  for await (const record of records) {
    const commit = readCommit(record.commit);
    const receivedAtMs = receivedAt(record, times);
    const place = { agent, hash: commit.hash, receivedAtMs };
    const unopened: Unopened[] = [];
    const wanted = slotsOf(record, receivedAtMs);
    const named = openNames(commit, wanted, { key: catalogKey, recipient: 'catalog' }, (what) =>
      unopened.push(what),
    );
    for (const { entry, slot, versionTimeMs, list } of named)
      yield rowOf(entry, list, { ...place, slot, versionTimeMs });
    for (const what of unopened)
      yield { unopened: unopenedCommit(what, { ...place, sequence: commit.header.sequence }) };
  }
}

/** When a record's commit was received, in milliseconds since 1970. */
export function receivedAt({ receipt }: Pick<StateRecord, 'receipt'>, times: LogTimes): number {
  const { leafIndex, receivedAtMs } = decodeReceiptBody(receipt.body);
  return times.of(leafIndex, receivedAtMs);
}

/** The slots of a record's versions, each with its time. */
export function* slotsOf({ live, versionTimesMs }: StateRecord, receivedAtMs: number) {
  for (const [index, slot] of live.entries())
    yield { slot, versionTimeMs: versionTimesMs[index] ?? receivedAtMs };
}
