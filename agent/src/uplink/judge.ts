import {
  type CollectorCertificateBody,
  type CommitHash,
  type CommitHeader,
  decodeLogLeaf,
  encodeEventBody,
  FormatError,
  type ReceiptBody,
  type ServerFrame,
  type Signed,
  type TreeHead,
  type VaultId,
} from '@aliquot/proto';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { CertificateError, verifyEpochOpening } from '@aliquot/shared/keys/certificates';
import { LogError } from '@aliquot/shared/log/errors';
import { leafHash } from '@aliquot/shared/log/hashing';
import { eventLeaf } from '@aliquot/shared/log/leaf';
import { verifyConsistency, verifyGrowth, verifyInclusion } from '@aliquot/shared/log/proofs';
import { requireReceiptFor, verifyHead, verifyReceipt, verifyReceiptInclusion } from '@aliquot/shared/log/receipt';
import { UplinkError, type UplinkErrorCode } from './errors.ts';

/*
 * What the agent demands before it believes a collector. Nothing here does I/O; every doubt is an `UplinkError`.
 */

type Ready = Extract<ServerFrame, { type: 'ready' }>;
type ReceiptFrame = Extract<ServerFrame, { type: 'receipt' }>;

export interface Authority {
  readonly authorityKey: Uint8Array;
  readonly vaultId: VaultId;
}

/**
 * The head of a `ready`, when it continues everything that this agent has seen: directly, or by way of epoch openings that
 * the authority signed and the log contains. Throws `UPLINK_ROLLED_BACK` when the collector admits a loss that no opening
 * explains yet, `UPLINK_LOG_FORKED` when it shows another history.
 */
export function judgeReady(ready: Ready, seen: TreeHead | undefined, collector: CollectorCertificateBody, authority: Authority): TreeHead {
  return asDoubt('UPLINK_LOG_FORKED', 'the collector shows a log that does not continue the one it signed before', () => {
    const { head } = verifyHead(ready.head, collector);
    if (ready.rolledBack) throw rolledBack(seen, head);
    if (seen === undefined) return head;
    if (head.logEpoch === seen.logEpoch) {
      // Fewer leaves in the same epoch, without a word about it: the collector was put back and does not know.
      if (head.size < seen.size) throw rolledBack(seen, head);
      verifyGrowth(seen, head, ready.consistency);
      return head;
    }
    if (head.logEpoch < seen.logEpoch) throw rolledBack(seen, head);
    requireContinuation(afterOpenings(ready, seen, head, authority), head, ready.consistency);
    return head;
  });
}

/** The new head must continue one of the heads that the openings leave to choose from. */
function requireContinuation(candidates: readonly TreeHead[], head: TreeHead, consistency: readonly Uint8Array[]): void {
  let failure: unknown;
  for (const from of candidates) {
    try {
      verifyConsistency(from.size, from.root, head.size, head.root, from.size === 0 ? [] : consistency);
      return;
    } catch (error) {
      if (!(error instanceof LogError)) throw error;
      failure ??= error;
    }
  }
  throw failure;
}

/**
 * Checks all openings between two epochs; the answer are the heads that the consistency proof may start from. What this agent has
 * seen comes first. If the first opening names it as lost, its base will do as well: others may have gone on after the loss, so
 * that the log is longer again than what was lost.
 */
function afterOpenings(ready: Ready, seen: TreeHead, head: TreeHead, authority: Authority): TreeHead[] {
  let epoch = seen.logEpoch;
  let from: TreeHead[] | undefined;
  for (const { opening, leaf, inclusion } of ready.openings) {
    const body = verifyEpochOpening(authority.authorityKey, authority.vaultId, opening);
    // A gap is an opening that was itself lost.
    if (body.logEpoch <= epoch) throw new LogError('LOG_EPOCH', `an opening of log epoch ${body.logEpoch} follows epoch ${epoch}`);
    epoch = body.logEpoch;
    checkOpeningLeaf(opening, leaf);
    verifyInclusion(leafHash(leaf), body.base.size, head.size, inclusion, head.root);
    if (from !== undefined) continue;
    const named = body.lost.some((lost) => lost.logEpoch === seen.logEpoch && covers(lost, seen));
    from = [...(seen.size <= body.base.size ? [seen] : []), ...(named ? [body.base] : [])];
    if (from.length > 0) continue;
    throw new LogError('LOG_EPOCH', `the opening of log epoch ${epoch} does not name the ${seen.size} leaves that this agent has seen`);
  }
  if (from === undefined || epoch !== head.logEpoch)
    throw new LogError('LOG_EPOCH', `the openings up to log epoch ${head.logEpoch} are missing`);
  return from;
}

/** A lost head names ours when it is ours, or a larger one of the same history (which its signer vouched for). */
function covers(lost: TreeHead, seen: TreeHead): boolean {
  return lost.size > seen.size || (lost.size === seen.size && equalBytes(lost.root, seen.root));
}

function checkOpeningLeaf(opening: Signed, leaf: Uint8Array): void {
  const { timeMs } = decodeLogLeaf(leaf);
  const expected = eventLeaf(encodeEventBody({ type: 'epochOpened', timeMs, opening }), timeMs);
  if (!equalBytes(expected, leaf)) throw new LogError('LOG_INCLUSION', 'the leaf shown for an epoch opening is not that of the opening');
}

function rolledBack(seen: TreeHead | undefined, head: TreeHead): UplinkError {
  // Put back and gone on since, it may have as many entries as before, or more: others than those that were signed.
  const had =
    seen === undefined
      ? ''
      : head.size < seen.size
        ? `: it had ${seen.size} entries and now has ${head.size}`
        : `: its history differs from the ${seen.size} entries that it had signed`;
  return new UplinkError(
    'UPLINK_ROLLED_BACK',
    `the collector lost part of its log${had}; nothing is sent until central IT runs: aliquot log reopen`,
  );
}

/**
 * Checks a receipt completely: the certified collector's signature, our commit, the leaf in the new head, and that the new
 * head continues the one before. Returns the receipt and the head to remember. Throws `UPLINK_BAD_RECEIPT`.
 */
export function judgeReceipt(
  frame: ReceiptFrame,
  commit: { readonly header: CommitHeader; readonly hash: CommitHash },
  before: TreeHead,
  collector: CollectorCertificateBody,
): { readonly receipt: ReceiptBody; readonly head: TreeHead } {
  return asDoubt('UPLINK_BAD_RECEIPT', `the receipt for commit ${commit.header.sequence} proves nothing`, () => {
    const receipt = verifyReceipt(frame.receipt, collector);
    requireReceiptFor(receipt, commit.header, commit.hash);
    const { head } = verifyHead(frame.head, collector);
    verifyGrowth(before, head, frame.consistency);
    verifyReceiptInclusion(receipt, head, frame.inclusion);
    const sameSize = receipt.head.logEpoch === head.logEpoch && receipt.head.size === head.size;
    if (sameSize && !equalBytes(receipt.head.root, head.root)) {
      throw new LogError('LOG_CONTRADICTION', 'receipt and tree head tell two histories');
    }
    return { receipt, head };
  });
}

function asDoubt<T>(code: UplinkErrorCode, what: string, check: () => T): T {
  try {
    return check();
  } catch (cause) {
    const doubt = cause instanceof LogError || cause instanceof CertificateError || cause instanceof FormatError;
    if (!doubt) throw cause;
    throw new UplinkError(code, `${what}: ${cause.message}; nothing more is sent, tell central IT`, cause);
  }
}
