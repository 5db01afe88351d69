import type { ChainId } from '@aliquot/proto';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import type { ForkRecord } from '../log/chain-payloads.ts';
import type { QueueCore } from '../log/core.ts';
import { QueueError } from '../log/errors.ts';
import type { IndexState } from '../log/index-state.ts';
import { namesOf } from '../log/lost.ts';
import { encodePathRecord } from '../log/payloads.ts';
import { chainOf, headOf } from './chain.ts';
import { readSigned } from './commit-cut.ts';

/**
 * The record by which another agent goes on with the queue under a chain of its own. Undefined when
 * it does already, or when nothing was signed: then the chain is free. Throws `QUEUE_REFUSED` while
 * commits wait that only the earlier agent can send.
 */
export function inheritanceOf(
  state: IndexState,
  initial: ChainId,
  chainId: ChainId,
): ForkRecord | undefined {
  const head = headOf(state, initial);
  if (head === undefined || !equalBytes(chainOf(state, initial).chainId, initial)) return undefined;
  if (state.receiptedSequence < head.sequence) {
    const waiting = `commit ${state.receiptedSequence + 1} has no receipt yet, and only the agent that signed it can send it`;
    throw new QueueError('QUEUE_REFUSED', waiting);
  }
  return { chainId, from: head, inherited: true };
}

/**
 * The collector lost commits that the earlier agent had signed: nobody here can send them again.
 * Their files are forgotten, so that the next scan captures them anew. Inside the serial section.
 */
export async function captureAgain(core: QueueCore, after: number): Promise<void> {
  const { index } = core.files;
  const entries: number[] = [];
  for (let sequence = after + 1; sequence <= index.state.inheritedSequence; sequence += 1) {
    for (const entry of (await readSigned(core.files, sequence))?.entryNumbers ?? [])
      entries.push(entry);
  }
  for (const path of (await namesOf(index, entries)).values())
    await core.append('forget', encodePathRecord(path));
  await core.flush();
}
