import {
  type CommitHash,
  decodeCommitHeader,
  decodeEntry,
  decodeReceiptBody,
  decodeSignedCommit,
  type Entry,
  type ListPart,
  type StateRecord,
} from '@aliquot/proto';
import { commitHash, openCommitKeys } from '@aliquot/shared/commit/commit';
import { openList } from '@aliquot/shared/commit/entry';
import type { BoxKey } from '@aliquot/shared/crypto/box';
import { hex } from '@aliquot/shared/crypto/bytes';
import { toBase64 } from './base64.ts';
import type { NameRow } from './messages.ts';

/** 16 hexadecimal digits of the commit's hash and the entry's place in it: names one version for people and scripts. */
function versionName(hash: CommitHash, slot: number): string {
  return `${hex(hash).slice(0, 16)}.${slot}`;
}

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

/** Opens the names of records with the catalog key. The store is trusted here: this runs where the store is. */
export async function* openRows(records: AsyncIterable<StateRecord>, agent: string, catalogKey: BoxKey): AsyncGenerator<NameRow> {
  for await (const record of records) {
    const commit = decodeSignedCommit(record.commit);
    const { listKey } = openCommitKeys(commit.wraps, catalogKey, 'catalog', decodeCommitHeader(commit.header));
    if (listKey === undefined) continue;
    const hash = commitHash(commit.header);
    const { receivedAtMs } = decodeReceiptBody(record.receipt.body);
    for (const [index, slot] of record.live.entries()) {
      const stored = commit.slots[slot];
      if (stored?.type !== 'entry') continue;
      const entry = decodeEntry(stored.bytes);
      yield rowOf(entry, openList(entry, listKey), {
        agent,
        hash,
        slot,
        versionTimeMs: record.versionTimesMs[index] ?? receivedAtMs,
        receivedAtMs,
      });
    }
  }
}
