import type { StateRecord } from '@aliquot/proto';
import { fileIdFor, pathKeyFor } from '@aliquot/shared/keys/derive';
import type { OpenVault } from './open-vault.ts';
import { pathCandidates } from './paths.ts';
import { type CertifiedAgent, type OpenVersion, openVersions, type VersionWatch } from './verified.ts';

/**
 * The newest version of one whole path at a time, a deletion included; only its own commits are asked for. Undefined when there
 * was none, or when it does not open, which `watch` is told: an older one is not what was asked for.
 */
export async function newestOf(
  { kit, vault, collector }: OpenVault,
  historyId: string,
  agent: CertifiedAgent,
  path: string,
  atMs: number | undefined,
  watch: VersionWatch,
): Promise<OpenVersion | undefined> {
  const pathKey = pathKeyFor(kit.pathSecret, agent.lineageId);
  let newest: OpenVersion | undefined;
  for (const candidate of pathCandidates(path)) {
    const records = newestRecord(vault.versions(historyId, fileIdFor(pathKey, candidate)), atMs);
    for await (const version of openVersions(records, kit, collector, agent, watch)) newest = version;
  }
  return newest;
}

/** The last version of some that come oldest first, not later than a time. */
async function* newestRecord(records: AsyncIterable<StateRecord>, atMs: number | undefined): AsyncGenerator<StateRecord> {
  let newest: StateRecord | undefined;
  for await (const record of records) {
    for (const [index, slot] of record.live.entries()) {
      const timeMs = record.versionTimesMs[index];
      if (timeMs !== undefined && (atMs === undefined || timeMs <= atMs)) newest = { ...record, live: [slot], versionTimesMs: [timeMs] };
    }
  }
  if (newest !== undefined) yield newest;
}
