import {
  type AgentId,
  asLineageId,
  type ChainPoint,
  ID_BYTES,
  type LineageId,
} from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import { labelled, sha256 } from '@aliquot/shared/crypto/primitives';

const HISTORY = 'aliquot/v1/history';
/** Hexadecimal digits of a history's id in the name by which operators address it. */
const NAME_DIGITS = 8;

/**
 * The id of a history that is held apart, from the commit that opened it (FORMAT.md, EventBody).
 * Typed as a lineage, because the rows of versions are keyed by it as those of the trunk are by the
 * lineage.
 */
export function branchIdOf(
  agentId: AgentId,
  { chainId, hash }: Pick<ChainPoint, 'chainId' | 'hash'>,
): LineageId {
  return asLineageId(sha256(labelled(HISTORY), agentId, chainId, hash).slice(0, ID_BYTES));
}

/** How an operator names a history that nobody has decided about. `~` is in no agent's name. */
export function heldName(agentName: string, branchId: LineageId): string {
  return `${agentName}~${hex(branchId).slice(0, NAME_DIGITS)}`;
}
