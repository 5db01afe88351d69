import { decodeCommitHeader, decodeEntry, decodeSignedCommit, type FileId, type LineageId, type StateRecord } from '@aliquot/proto';
import { openCommitKeys } from '@aliquot/shared/commit/commit';
import { openList } from '@aliquot/shared/commit/entry';
import type { BoxKey } from '@aliquot/shared/crypto/box';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import type { VaultStore } from '../store/vault-store.ts';
import type { HistoryOf } from './forks.ts';

/**
 * Every version of the file with exactly this path. A file id follows from the path only with the lineage's path key, which
 * the collector must not have, so the id is looked for by opening names: among the live files first, then (the file may be
 * deleted) through the log from its newest leaf back.
 */
export async function findVersions(
  vault: VaultStore,
  { agent, historyId }: HistoryOf,
  catalogKey: BoxKey,
  path: Uint8Array,
): Promise<AsyncIterable<StateRecord>> {
  // A path has one id in all histories of a lineage: the path key is the lineage's.
  const fileId = (await amongLive(vault, historyId, catalogKey, path)) ?? (await throughLog(vault, agent.lineageId, catalogKey, path));
  return fileId === undefined ? nothing() : vault.versions(historyId, fileId);
}

async function amongLive(vault: VaultStore, historyId: LineageId, catalogKey: BoxKey, path: Uint8Array): Promise<FileId | undefined> {
  for await (const record of vault.state(historyId, undefined)) {
    const found = inCommit(record.commit, catalogKey, path);
    if (found !== undefined) return found;
  }
  return undefined;
}

async function throughLog(vault: VaultStore, lineageId: LineageId, catalogKey: BoxKey, path: Uint8Array): Promise<FileId | undefined> {
  for (let index = vault.treeHead().size - 1; index >= 0; index--) {
    const { record } = await vault.leafAt(index);
    if (record.type !== 'commit') continue;
    const header = decodeCommitHeader(decodeSignedCommit(record.commit).header);
    const agent = vault.agentById(header.agentId);
    if (agent === undefined || !equalBytes(agent.lineageId, lineageId)) continue;
    const found = inCommit(record.commit, catalogKey, path);
    if (found !== undefined) return found;
  }
  return undefined;
}

function inCommit(bytes: Uint8Array, catalogKey: BoxKey, path: Uint8Array): FileId | undefined {
  const commit = decodeSignedCommit(bytes);
  const { listKey } = openCommitKeys(commit.wraps, catalogKey, 'catalog', decodeCommitHeader(commit.header));
  if (listKey === undefined) return undefined;
  for (const slot of commit.slots) {
    if (slot.type !== 'entry') continue;
    const entry = decodeEntry(slot.bytes);
    if (equalBytes(openList(entry, listKey).path, path)) return entry.fileId;
  }
  return undefined;
}

async function* nothing(): AsyncGenerator<StateRecord> {}
