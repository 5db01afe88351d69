import {
  type CommitHash,
  decodeCommitHeader,
  decodeEntry,
  decodeReceiptBody,
  decodeSignedCommit,
  type Entry,
  type ListPart,
  type SignedCommit,
  type StateRecord,
} from '@aliquot/proto';
import { commitHash } from '@aliquot/shared/commit/commit';
import { openNames, type Unopened } from '@aliquot/shared/commit/open-names';
import type { BoxKey } from '@aliquot/shared/crypto/box';
import { hex } from '@aliquot/shared/crypto/bytes';
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
  { versions, error }: Unopened,
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
): AsyncGenerator<NameRecord> {
  for await (const record of records) {
    const commit = decodeSignedCommit(record.commit);
    const header = decodeCommitHeader(commit.header);
    const { receivedAtMs } = decodeReceiptBody(record.receipt.body);
    const place = { agent, hash: commitHash(commit.header), receivedAtMs };
    const unopened: Unopened[] = [];
    const wanted = slotsOf(record, commit, receivedAtMs);
    const opening = { wraps: commit.wraps, place: header };
    const named = openNames(opening, wanted, { key: catalogKey, recipient: 'catalog' }, (what) =>
      unopened.push(what),
    );
    for (const { entry, slot, versionTimeMs, list } of named)
      yield rowOf(entry, list, { ...place, slot, versionTimeMs });
    for (const what of unopened)
      yield { unopened: unopenedCommit(what, { ...place, sequence: header.sequence }) };
  }
}

function* slotsOf(
  { live, versionTimesMs }: StateRecord,
  commit: SignedCommit,
  receivedAtMs: number,
) {
  for (const [index, slot] of live.entries()) {
    const stored = commit.slots[slot];
    if (stored?.type !== 'entry') continue;
    yield {
      slot,
      entry: decodeEntry(stored.bytes),
      versionTimeMs: versionTimesMs[index] ?? receivedAtMs,
    };
  }
}
