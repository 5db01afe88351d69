import { UsageError } from '@aliquot/shared/cli/errors';
import { pathCandidates } from '@aliquot/shared/cli/path-set';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { pathKeyFor, resultIdFor } from '@aliquot/shared/keys/derive';
import { pathIdentity } from '@aliquot/shared/keys/path-case';
import { isNamedBy, parseVersionId } from '../api/version-id.ts';
import type { OpenVault } from './open-vault.ts';
import { asRecorded } from './paths.ts';
import {
  type CertifiedAgent,
  openResultVersions,
  unverified,
  type VerifiedResult,
  type VersionWatch,
} from './verified.ts';

/** Every version of the result with this root, oldest first. */
export async function* versionsOfResult(
  { kit, vault, collector }: OpenVault,
  branchId: string,
  agent: CertifiedAgent,
  path: string,
  watch: VersionWatch,
): AsyncGenerator<VerifiedResult> {
  const pathKey = pathKeyFor(kit.pathSecret, agent.enrolment);
  for (const candidate of pathCandidates(asRecorded(path))) {
    const resultId = resultIdFor(pathKey, candidate);
    const records = vault.reading.resultVersions(branchId, resultId);
    for await (const result of openResultVersions(records, kit, collector, agent, watch)) {
      const { row, list } = result;
      // Its id follows from its path: another path under this id is no honest agent's.
      if (
        !equalBytes(row.resultId, resultId) ||
        !equalBytes(pathIdentity(list.path), pathIdentity(candidate))
      )
        throw unverified('the collector passes one result off as another');
      yield result;
    }
  }
}

/** Which version of a result is meant. */
export interface MeantResult {
  readonly path: string;
  /** The newest at this time; undefined: now. */
  readonly atMs: number | undefined;
  /** As `versions` prints it, or as much of its beginning as tells it from others. */
  readonly version: string | undefined;
}

/**
 * The version of a result that is meant; undefined when there is none, or it does not open, which
 * goes to `watch`. Errors: `USAGE_INVALID` for what is no id, or that of several.
 */
export async function resultMeant(
  open: OpenVault,
  branchId: string,
  agent: CertifiedAgent,
  { path, atMs, version }: MeantResult,
  watch: VersionWatch,
): Promise<VerifiedResult | undefined> {
  const id = version === undefined ? undefined : parseVersionId(version);
  let meant: VerifiedResult | undefined;
  for await (const result of versionsOfResult(open, branchId, agent, path, watch)) {
    if (id === undefined) {
      if (atMs === undefined || result.line.versionTimeMs <= atMs) meant = result;
      continue;
    }
    if (!isNamedBy(id, result.line.version)) continue;
    if (meant !== undefined)
      throw new UsageError(
        'USAGE_INVALID',
        `"${version}" is not enough: ${meant.line.version}, ${result.line.version}, …; give the whole id`,
      );
    meant = result;
  }
  return meant;
}
