import { UsageError } from '@aliquot/shared/cli/errors';
import { pathCandidates } from '@aliquot/shared/cli/path-set';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { pathKeyFor, resultIdFor } from '@aliquot/shared/keys/derive';
import { pathIdentity } from '@aliquot/shared/keys/path-case';
import { isNamedBy, parseVersionId } from '../api/version-id.ts';
import type { AgentView } from './agent-view.ts';
import { unverified } from './evidence.ts';
import { type ProvedVault, readerOf } from './open-vault.ts';
import { asRecorded } from './paths.ts';
import { withCheck } from './proof/answers.ts';
import {
  certifiedAgent,
  openResultVersions,
  type VerifiedResult,
  type VersionWatch,
} from './verified.ts';

/** Every version of the result with this root, oldest first. */
export async function* versionsOfResult(
  open: ProvedVault,
  view: AgentView,
  path: string,
  watch: VersionWatch,
): AsyncGenerator<VerifiedResult> {
  const { kit, vault, proofs } = open;
  const reader = await readerOf(open);
  const agent = certifiedAgent(kit, view);
  const pathKey = pathKeyFor(kit.pathSecret, agent.enrolment);
  for (const candidate of pathCandidates(asRecorded(path))) {
    const resultId = resultIdFor(pathKey, candidate);
    const check = await proofs.versions(view, { id: resultId, isResult: true });
    const records = vault.reading.resultVersions(view.agentId, resultId);
    const watching = withCheck(watch, check);
    for await (const result of openResultVersions(records, reader, agent, watching)) {
      const { row, list } = result;
      // Its id follows from its path: another path under this id is no honest agent's.
      if (
        !equalBytes(row.resultId, resultId) ||
        !equalBytes(pathIdentity(list.path), pathIdentity(candidate))
      )
        throw unverified('the collector passes one result off as another');
      yield result;
    }
    await check.finish();
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
  open: ProvedVault,
  view: AgentView,
  { path, atMs, version }: MeantResult,
  watch: VersionWatch,
): Promise<VerifiedResult | undefined> {
  const id = version === undefined ? undefined : parseVersionId(version);
  let meant: VerifiedResult | undefined;
  for await (const result of versionsOfResult(open, view, path, watch)) {
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
