import type { AgentId, ChainPoint, CommitHash, CommitHeader, LineageId } from '@aliquot/proto';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { branchIdOf } from '../branch-id.ts';
import { hasEnded } from '../catalog/refusal.ts';
import type { VaultView } from './vault-view.ts';

/** Where a commit belongs (I-C12). */
export type Route =
  /** It goes on with a line, or begins the trunk. */
  | {
      readonly type: 'continues';
      readonly branchId: LineageId;
      readonly parentReceivedMs: undefined;
    }
  /**
   * It begins a history of its own, held apart; `parentReceivedMs` when the commit that it follows
   * is known.
   */
  | {
      readonly type: 'opens';
      readonly branchId: LineageId;
      readonly parentReceivedMs: number | undefined;
    }
  /** The commit before it is not here: the agent sends the ones between again. */
  | { readonly type: 'unknown-parent'; readonly parent: ChainPoint };

/** The commit that this one says it follows; `undefined` for the first of an installation. */
function parentOf({
  chainId,
  sequence,
  predecessor,
  forkedFrom,
}: CommitHeader): ChainPoint | undefined {
  if (forkedFrom !== undefined) return forkedFrom;
  return sequence === 1 ? undefined : { chainId, sequence: sequence - 1, hash: predecessor };
}

/**
 * Finds the history of a commit that was not accepted before. Depends on what the history holds
 * before the commit and on nothing else, so a replay finds the same.
 */
export async function routeOf(
  core: VaultView,
  trunkId: LineageId,
  header: CommitHeader,
  hash: CommitHash,
): Promise<Route> {
  const lines = core.registry.lines(header.agentId);
  const parent = parentOf(header);
  const opens = (parentReceivedMs: number | undefined): Route => ({
    type: 'opens',
    branchId: branchIdOf(header.agentId, { chainId: header.chainId, hash }),
    parentReceivedMs,
  });
  // What an operator lets in of an agent that was revoked or replaced is held apart until it is
  // decided: a thief of its key may have made it.
  const begins = (): Route =>
    lines?.trunk === undefined && !isOfEnded(core, header) ? continues(trunkId) : opens(undefined);
  if (parent === undefined) return begins();
  const link = await core.link(header.agentId, parent);
  if (link === undefined) {
    if (header.forkedFrom === undefined) return { type: 'unknown-parent', parent };
    return (await isPredecessors(core, trunkId, header.agentId, parent))
      ? begins()
      : opens(undefined);
  }
  const line = lines?.withHead(parent);
  // A commit that says that it forked from the trunk begins a branch, even when nothing has
  // followed there yet.
  const leavesTrunk =
    equalBytes(link.branchId, trunkId) &&
    (header.forkedFrom !== undefined || isOfEnded(core, header));
  if (line !== undefined && !leavesTrunk) return continues(line.branchId);
  return opens(core.registry.times.of(link.leafIndex, link.receivedAtMs));
}

function isOfEnded(core: VaultView, { agentId }: CommitHeader): boolean {
  const row = core.registry.row(agentId);
  return row !== undefined && hasEnded(row.state);
}

/**
 * A folder that was enrolled again in place goes on from its predecessor's commits: the first of
 * the new agent names the last of the old one.
 */
async function isPredecessors(
  core: VaultView,
  trunkId: LineageId,
  agentId: AgentId,
  parent: ChainPoint,
): Promise<boolean> {
  const replaces = core.registry.certificate(agentId)?.enrolment.replaces;
  const link = replaces && (await core.link(replaces, parent));
  return link !== undefined && equalBytes(link.branchId, trunkId);
}

function continues(branchId: LineageId): Route {
  return { type: 'continues', branchId, parentReceivedMs: undefined };
}
