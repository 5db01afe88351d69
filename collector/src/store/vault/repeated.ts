import {
  decodeReceiptBody,
  decodeSignedCommit,
  encodeSignedCommit,
  type LineageId,
  type SignedCommit,
  type StoredCommit,
} from '@aliquot/proto';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { commitLeaf } from '@aliquot/shared/log/leaf';
import { keys } from '../catalog/catalog-keys.ts';
import { type LinkRow, noSums } from '../catalog/catalog-rows.ts';
import { read } from '../catalog/row-codec.ts';
import { isDamaged, type StoreError } from '../errors.ts';
import type { CommitOutcome } from '../vault-records.ts';
import type { VaultCore } from './core.ts';
import { droppedSlots } from './dropped-slots.ts';
import { makeReceipt, type ReceiptIssuer } from './make-receipt.ts';
import type { Submission } from './submission.ts';

/**
 * Judges a commit that was accepted before: it gets the very receipt that it got then. While
 * anything is lost here, what it names is asked for first, and a record of it that has rotted is
 * written again. One that comes without some of its versions says that its agent has no more of it.
 */
export async function judgeRepeated(
  gate: ReceiptIssuer & { readonly core: VaultCore },
  submission: Submission,
  { leafIndex, receivedAtMs }: LinkRow,
  lineageId: LineageId,
): Promise<CommitOutcome | { readonly type: 'unfinished' }> {
  const { core } = gate;
  if (core.isHurt) {
    submission.leaveOut(await droppedSlots(core.catalog, leafIndex));
    const walked = await submission.walked(core, lineageId);
    if (walked.type === 'missing') return walked;
    if (walked.type === 'more') return { type: 'unfinished' };
    if (submission.commit.loss !== undefined) core.giveUp(leafIndex);
  }
  const answer = await answerOf(gate, submission, { leafIndex, receivedAtMs });
  const { head } = decodeReceiptBody(answer.receipt.body);
  return { type: 'accepted', ...answer, leafIndex, head, repeated: true, addedBytes: 0 };
}

/** What an accepted commit was answered with; made again where its record cannot be read. */
async function answerOf(
  gate: ReceiptIssuer & { readonly core: VaultCore },
  submission: Submission,
  link: Pick<LinkRow, 'leafIndex' | 'receivedAtMs'>,
): Promise<Pick<SignedCommit, 'lacking'> & Pick<StoredCommit, 'receipt'>> {
  try {
    const { receipt, commit } = await gate.core.storedCommit(link.leafIndex);
    const { lossHash } = decodeReceiptBody(receipt.body);
    return { receipt, lacking: lossHash === undefined ? [] : decodeSignedCommit(commit).lacking };
  } catch (error) {
    if (!isDamaged(error)) throw error;
    return answerAgain(gate, submission, link, error);
  }
}

/**
 * The same where the record is damaged, which is written again with it, where what came is what was
 * accepted. Its leaf still says whether it came with a loss then: nothing that is said of it later
 * is signed (FORMAT.md, "Loss"). Throws `damage` where nothing tells what was lost then.
 */
async function answerAgain(
  gate: ReceiptIssuer & { readonly core: VaultCore },
  { commit: { header, hash, loss, headerOnly }, bytes }: Submission,
  { leafIndex, receivedAtMs }: Pick<LinkRow, 'leafIndex' | 'receivedAtMs'>,
  damage: StoreError,
): Promise<Pick<SignedCommit, 'lacking'> & Pick<StoredCommit, 'receipt'>> {
  const { core } = gate;
  const row = await core.catalog.get(keys.leaf(leafIndex));
  if (row === undefined) throw damage;
  const leaf = read.leaf(row).bytes;
  const isLeaf = (lossHash: Uint8Array | undefined): boolean =>
    equalBytes(leaf, commitLeaf(header.agentId, hash, receivedAtMs, lossHash));
  const isAsItCame = isLeaf(loss?.hash);
  if (!isAsItCame && !isLeaf(undefined)) throw damage;
  const size = leafIndex + 1;
  const head = { logEpoch: epochAt(core, leafIndex), size, root: await core.log.rootAt(size) };
  const lossHash = isAsItCame ? loss?.hash : undefined;
  const place = { receivedAtMs, leafIndex, head, lossHash };
  const { receipt } = makeReceipt(gate, header, hash, place);
  const whole = isAsItCame ? bytes : headerOnly ? undefined : withoutLoss(bytes);
  if (whole !== undefined) await core.mend(leafIndex, { commit: whole, leaf, receipt });
  return { receipt, lacking: lossHash === undefined ? [] : (loss?.lacking ?? []) };
}

/** A commit as it was before its agent declared versions of it lost. */
function withoutLoss(bytes: Uint8Array): Uint8Array {
  return encodeSignedCommit({
    ...decodeSignedCommit(bytes),
    ...{ lacking: [], lossSignature: undefined },
  });
}

/** The epoch of the log in which a leaf was appended. */
function epochAt(core: VaultCore, leafIndex: number): number {
  return core.openings.reduce(
    (epoch, opening) =>
      opening.leafIndex <= leafIndex ? Math.max(epoch, opening.logEpoch) : epoch,
    noSums.logEpoch,
  );
}
