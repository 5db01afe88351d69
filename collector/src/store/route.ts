import type { ChainPoint, CommitHash, CommitHeader, LineageId } from '@aliquot/proto';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import type { VaultCore } from './core.ts';
import { historyIdOf } from './history-id.ts';

/** Where a commit belongs (I-C12). */
export type Route =
  /** It goes on with a line, or begins the trunk. */
  | { readonly type: 'continues'; readonly historyId: LineageId; readonly parentReceivedMs: undefined }
  /** It begins a history of its own, held apart; `parentReceivedMs` when the commit that it follows is known. */
  | { readonly type: 'opens'; readonly historyId: LineageId; readonly parentReceivedMs: number | undefined }
  /** The commit before it is not here: the agent sends the ones between again. */
  | { readonly type: 'unknown-parent'; readonly parent: ChainPoint };

/** The commit that this one says it follows; `undefined` for the first of an installation. */
function parentOf({ chainId, sequence, predecessor, forkedFrom }: CommitHeader): ChainPoint | undefined {
  if (forkedFrom !== undefined) return forkedFrom;
  return sequence === 1 ? undefined : { chainId, sequence: sequence - 1, hash: predecessor };
}

/**
 * Finds the history of a commit that was not accepted before. Depends on what the journal holds before the commit and on
 * nothing else, so a replay finds the same.
 */
export async function routeOf(core: VaultCore, trunkId: LineageId, header: CommitHeader, hash: CommitHash): Promise<Route> {
  const lines = core.registry.lines(header.agentId);
  const parent = parentOf(header);
  const opens = (parentReceivedMs: number | undefined): Route => ({
    type: 'opens',
    historyId: historyIdOf(header.agentId, { chainId: header.chainId, hash }),
    parentReceivedMs,
  });
  if (parent === undefined) return lines?.trunk === undefined ? continues(trunkId) : opens(undefined);
  const link = await core.link(header.agentId, parent);
  if (link === undefined) return header.forkedFrom === undefined ? { type: 'unknown-parent', parent } : opens(undefined);
  const line = lines?.withHead(parent);
  // Whoever says that it forked from the trunk is another history, even when nothing has followed there yet.
  const leavesTrunk = header.forkedFrom !== undefined && equalBytes(link.historyId, trunkId);
  return line === undefined || leavesTrunk ? opens(link.receivedAtMs) : continues(line.historyId);
}

function continues(historyId: LineageId): Route {
  return { type: 'continues', historyId, parentReceivedMs: undefined };
}
