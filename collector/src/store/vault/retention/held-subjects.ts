import type { LineageId } from '@aliquot/proto';
import {
  type Named,
  type NamedResult,
  openNames,
  openResults,
} from '@aliquot/shared/commit/open-names';
import { type ReadCommit, readCommit } from '@aliquot/shared/commit/rows';
import type { BoxKey } from '@aliquot/shared/crypto/box';
import { hex } from '@aliquot/shared/crypto/bytes';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import type { CapturedPath, LineageHolds } from '../../../retention/holds.ts';
import type { VersionPlace } from '../../catalog/version-rows.ts';
import { passedOver } from '../../errors.ts';
import type { VaultCore } from '../core.ts';
import { HeldFiles } from '../held-files.ts';
import type { HoldsAsked } from './file-facts.ts';

/**
 * The holds of a vault, for one look at it. Names are opened only where a hold goes by them, of the
 * newest version that opens.
 *
 * @param catalogKey undefined in a blind vault.
 */
export function holdsOver(core: VaultCore, catalogKey: BoxKey | undefined): HoldsAsked {
  const held = new HeldFiles(core, catalogKey);
  const commits = new RecentCommits(core);
  const known = new Map<string, LineageHolds>();
  const of = (branchId: LineageId): LineageHolds => {
    const holds = known.get(hex(branchId)) ?? held.of(lineageOf(core, branchId));
    known.set(hex(branchId), holds);
    return holds;
  };
  return async ({ branchId, id, isResult }, versions) => {
    const { whole, hasOthers, othersOver } = of(branchId);
    if (!hasOthers) return whole;
    const firstLeaf = Math.min(...versions.map(({ leafIndex }) => leafIndex));
    const openPath = () => pathOf(commits, catalogKey, versions, isResult);
    return [...whole, ...(await othersOver({ id, isResult, firstLeaf, openPath }))];
  };
}

/** The lineage that a history belongs to: what is held apart is its agent's. */
function lineageOf({ registry }: VaultCore, branchId: LineageId): LineageId {
  for (const { agentId, lineageId } of registry.rows())
    if (
      registry
        .lines(agentId)
        ?.branchIds()
        .some((id) => equalBytes(id, branchId)) === true
    )
      return lineageId;
  return branchId;
}

/** What is kept of commits that were read, in bytes as they are stored. */
const RECENT_BYTES = 8 * 1024 * 1024;

/** The commits that were read last: files come by their ids, and many lie in one commit. */
class RecentCommits {
  readonly #core: VaultCore;
  /** By leaf, the one that was asked for last at the end. */
  readonly #kept = new Map<number, { readonly commit: ReadCommit; readonly bytes: number }>();
  #bytes = 0;

  constructor(core: VaultCore) {
    this.#core = core;
  }

  /** Undefined where it is no commit, or cannot be read. */
  async at(leafIndex: number): Promise<ReadCommit | undefined> {
    const known = this.#kept.get(leafIndex);
    if (known !== undefined) {
      this.#kept.delete(leafIndex);
      this.#kept.set(leafIndex, known);
      return known.commit;
    }
    const record = await this.#core.leafRecord(leafIndex).catch(passedOver);
    if (record?.type !== 'commit') return undefined;
    const commit = readCommit((await this.#core.servedCommit(leafIndex)).commit);
    const bytes = record.payload.length;
    this.#kept.set(leafIndex, { commit, bytes });
    this.#bytes += bytes;
    for (const [leaf, old] of this.#kept) {
      if (this.#bytes <= RECENT_BYTES || leaf === leafIndex) break;
      this.#kept.delete(leaf);
      this.#bytes -= old.bytes;
    }
    return commit;
  }
}

async function pathOf(
  commits: RecentCommits,
  key: BoxKey | undefined,
  versions: readonly VersionPlace[],
  isResult: boolean,
): Promise<CapturedPath | undefined> {
  if (key === undefined) return undefined;
  for (const { leafIndex, slot } of versions.toReversed()) {
    const commit = await commits.at(leafIndex);
    if (commit === undefined) continue;
    const reader = { key, recipient: 'catalog' } as const;
    const open: Iterable<Named | NamedResult> = isResult
      ? openResults(commit, [{ slot }], reader, () => undefined)
      : openNames(commit, [{ slot }], reader, () => undefined);
    for (const { list } of open) return { path: list.path, platform: list.platform };
  }
  return undefined;
}
