import { asChainId, asCommitHash, type ChainId, type ChainPoint } from '@aliquot/proto';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import type { ForkRecord } from '../log/chain-payloads.ts';
import type { IndexState } from '../log/index-state.ts';
import type { Chain, ChainFork } from '../queue.ts';

/** The chain of the next commit; `initial` is that of the enrolment. */
export function chainOf(state: IndexState, initial: ChainId): Chain {
  if (state.fork === undefined)
    return { chainId: initial, forkedFrom: undefined, inherited: false };
  const { chainId, from } = state.fork;
  return {
    chainId: asChainId(unhex(chainId)),
    forkedFrom: pointOf(from, initial),
    inherited: from.sequence === state.inheritedSequence,
  };
}

/** The newest signed commit, with the chain that it is on. */
export function headOf(state: IndexState, initial: ChainId): ChainPoint | undefined {
  return state.chainHead === undefined ? undefined : pointOf(state.chainHead, initial);
}

/**
 * The record of a fork: the new chain goes on from our newest signed commit, or from the head that
 * the collector named when there is none. Undefined when this is the present chain.
 */
export function forkOf(
  state: IndexState,
  initial: ChainId,
  { chainId, named }: ChainFork,
): ForkRecord | undefined {
  if (equalBytes(chainOf(state, initial).chainId, chainId)) return undefined;
  return { chainId, from: headOf(state, initial) ?? named, inherited: false };
}

function pointOf(
  at: { readonly chainId?: string; readonly sequence: number; readonly hash: string },
  initial: ChainId,
): ChainPoint {
  const chainId = at.chainId === undefined ? initial : asChainId(unhex(at.chainId));
  return { chainId, sequence: at.sequence, hash: asCommitHash(unhex(at.hash)) };
}

function unhex(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'hex'));
}
