import { encodeStateRecord, type FileId } from '@aliquot/proto';
import { readCommit } from '@aliquot/shared/commit/rows';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { isVersion, parseVersionId, type VersionId } from '../api/version-id.ts';
import { MAX_FOUND_VERSIONS } from '../limits.ts';
import { passedOver } from '../store/errors.ts';
import type { VaultWith } from '../store/vault-store.ts';
import { type BranchOf, branchOf } from './forks.ts';

/**
 * The commits of a history that hold versions whose id begins as asked, newest first, a few at
 * most. Ids are of commits' hashes, which no table of the catalog is sorted by: the log is walked
 * through from its newest leaf back.
 */
export async function* versionByIdRecords(
  vault: VaultWith<'log' | 'reading' | 'register'>,
  agentId: string,
  idText: string,
): AsyncGenerator<Uint8Array> {
  const history = branchOf(vault, agentId);
  const id = parseVersionId(idText);
  let found = 0;
  for (
    let index = vault.log.treeHead().size - 1;
    index >= 0 && found < MAX_FOUND_VERSIONS;
    index--
  ) {
    const record = (await vault.log.leafAt(index).catch(passedOver))?.record;
    if (record?.type !== 'commit') continue;
    for (const fileId of filesOf(vault, history, record.commit, id)) {
      for await (const version of vault.reading.versions(history.branchId, fileId)) {
        if (!equalBytes(version.commit, record.commit)) continue;
        found += 1;
        yield encodeStateRecord(version);
      }
      if (found >= MAX_FOUND_VERSIONS) return;
    }
  }
}

function* filesOf(
  vault: VaultWith<'register'>,
  history: BranchOf,
  bytes: Uint8Array,
  id: VersionId,
): Generator<FileId> {
  const { header, hash, rows } = readCommit(bytes);
  if (!isVersion(id, hash, id.slot ?? 0)) return;
  const agent = vault.register.agentById(header.agentId);
  if (agent === undefined || !equalBytes(agent.lineageId, history.agent.lineageId)) return;
  for (let slot = 0; slot < rows.count; slot += 1) {
    const entry = isVersion(id, hash, slot) ? rows.entry(slot) : undefined;
    if (entry !== undefined) yield entry.fileId;
  }
}
