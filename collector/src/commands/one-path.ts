import { fileIdFor, pathKeyFor } from '@aliquot/shared/keys/derive';
import type { OpenVault } from './open-vault.ts';
import { pathCandidates } from './paths.ts';
import { type CertifiedAgent, type OpenVersion, openVersions } from './verified.ts';

/** The newest version of one whole path at a time, a deletion included; only its own commits are asked for. Undefined when there was none. */
export async function newestOf(
  { kit, vault, collector }: OpenVault,
  historyId: string,
  agent: CertifiedAgent,
  path: string,
  atMs: number | undefined,
): Promise<OpenVersion | undefined> {
  const pathKey = pathKeyFor(kit.pathSecret, agent.lineageId);
  let newest: OpenVersion | undefined;
  for (const candidate of pathCandidates(path)) {
    for await (const version of openVersions(vault.versions(historyId, fileIdFor(pathKey, candidate)), kit, collector, agent)) {
      if (atMs === undefined || version.row.versionTimeMs <= atMs) newest = version;
    }
  }
  return newest;
}
