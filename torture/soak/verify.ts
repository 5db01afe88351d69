import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { pathCandidates } from '@aliquot/shared/cli/path-set';
import { processOutput } from '@aliquot/shared/cli/standard-output';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import { fileIdFor, pathKeyFor } from '@aliquot/shared/keys/derive';
import { standardError } from '@aliquot/shared/log-lines/line-target';
import { systemMonotonicMs, systemRandom } from '@aliquot/shared/ports';
import { toRestoreItem } from '@aliquot/shared/restore/placing';
import { restoreFiles } from '@aliquot/shared/restore/restore-files';
import type { CommandContext } from '../../collector/src/cli/context.ts';
import { fetchItems } from '../../collector/src/operator/fetch-items.ts';
import { openVault, readerOf } from '../../collector/src/operator/open-vault.ts';
import { proofTarget } from '../../collector/src/operator/proof-target.ts';
import { certifiedAgent, openVersions } from '../../collector/src/operator/verified.ts';
import type { Plant, SoakPc } from './plant.ts';
import type { Record } from './record.ts';

export interface Verified {
  readonly versions: number;
  readonly bytes: number;
  readonly wrong: readonly string[];
}

/**
 * Restores every version of every file that instruments ever wrote, with the operator's own code
 * and the kit, and holds the bytes against the record.
 */
export async function verifyVersions(plant: Plant, pc: SoakPc, record: Record): Promise<Verified> {
  const context: CommandContext = {
    environment: {
      url: plant.url,
      token: plant.token,
      kit: plant.kit,
      tlsCa: undefined,
      logLevel: undefined,
      stateFolder: process.env['ALIQUOT_STATE'],
    },
    files: nodeDisk,
    clock: plant.operatorClock,
    monotonicMs: systemMonotonicMs,
    random: systemRandom,
    stdout: processOutput(),
    stderr: process.stderr,
    log: () => ({ target: standardError(), journal: false }),
    stopRequested: () => new Promise(() => {}),
  };
  const open = await openVault(context, {});
  const { kit, vault } = open;
  const reader = await readerOf(open);
  const info = await vault.roster.agent(pc.name);
  const agent = certifiedAgent(kit, info);
  const pathKey = pathKeyFor(kit.pathSecret, agent.enrolment);
  const wrong: string[] = [];
  let versions = 0;
  let bytes = 0;
  for (const path of record.paths.filter((one) => one.startsWith(join(pc.source, '/')))) {
    const restored: string[] = [];
    for (const candidate of pathCandidates(path)) {
      const all = openVersions(
        vault.reading.versions(info.agentId, fileIdFor(pathKey, candidate)),
        reader,
        agent,
        {
          onUnopened: ({ sequence, message }) =>
            wrong.push(`${path}: commit ${sequence} does not open: ${message}`),
        },
      );
      for await (const version of all) {
        if (version.entry.kind !== 'file') continue;
        const hash = createHash('sha256');
        await restoreFiles([toRestoreItem(version)], {
          vaultId: kit.descriptor.vaultId,
          fetchItems: (ids) => fetchItems(vault.content, ids),
          writer: proofTarget(async (piece) => {
            hash.update(piece);
            bytes += piece.length;
          }),
          onFailure: (_path, error) =>
            wrong.push(`${path}: a version does not open: ${error.message}`),
        });
        restored.push(hash.digest('hex'));
      }
    }
    versions += restored.length;
    wrong.push(...record.judge(path, restored));
  }
  return { versions, bytes, wrong };
}
