import {
  type CollectorCertificateBody,
  type CommitHash,
  type CommitHeader,
  FormatError,
  type ReceiptBody,
  type ServerFrame,
  type TreeHead,
} from '@aliquot/proto';
import { hasSlots, lossHash } from '@aliquot/shared/commit/loss';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { CertificateError } from '@aliquot/shared/keys/certificates';
import { type Authority, verifyContinuation } from '@aliquot/shared/log/continuation';
import { LogError } from '@aliquot/shared/log/errors';
import { verifyGrowth } from '@aliquot/shared/log/proofs';
import {
  requireReceiptFor,
  verifyHead,
  verifyReceipt,
  verifyReceiptInclusion,
} from '@aliquot/shared/log/receipt';
import { UplinkError, type UplinkErrorCode } from './errors.ts';

/*
 * What the agent demands before it believes a collector. Nothing here does I/O; every doubt is an
 * `UplinkError`.
 */

type Ready = Extract<ServerFrame, { type: 'ready' }>;
type ReceiptFrame = Extract<ServerFrame, { type: 'receipt' }>;

/**
 * The head of a `ready`, when it continues everything that this agent has seen: directly, or by way
 * of epoch openings that the authority signed and the log contains. Throws `UPLINK_ROLLED_BACK`
 * when the collector admits a loss that no opening explains yet, `UPLINK_LOG_FORKED` when it shows
 * another history.
 */
export function judgeReady(
  ready: Ready,
  seen: TreeHead | undefined,
  collector: CollectorCertificateBody,
  authority: Authority,
): TreeHead {
  return asDoubt(
    'UPLINK_LOG_FORKED',
    'the collector shows a log that does not continue the one it signed before',
    () => {
      const { head } = verifyHead(ready.head, collector);
      if (ready.rolledBack) throw rolledBack(seen, head);
      if (seen === undefined) return head;
      // Fewer leaves in the same epoch, without saying so: the collector was put back and does not
      // know.
      if (head.logEpoch === seen.logEpoch && head.size < seen.size) throw rolledBack(seen, head);
      if (head.logEpoch < seen.logEpoch) throw rolledBack(seen, head);
      verifyContinuation(
        seen,
        { head, consistency: ready.consistency, openings: ready.openings },
        authority,
      );
      return head;
    },
  );
}

function rolledBack(seen: TreeHead | undefined, head: TreeHead): UplinkError {
  // Put back and gone on since, it may have as many entries as before, or more: others than those
  // that were signed.
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
 * Checks a receipt completely: the certified collector's signature, our commit, what it came
 * without, the leaf in the new head, and that the new head continues the one before. Returns the
 * receipt, the head to remember, and the slots that have no version at the collector. Throws
 * `UPLINK_BAD_RECEIPT`.
 */
export function judgeReceipt(
  frame: ReceiptFrame,
  { header, hash }: { readonly header: CommitHeader; readonly hash: CommitHash },
  before: TreeHead,
  collector: CollectorCertificateBody,
): {
  readonly receipt: ReceiptBody;
  readonly head: TreeHead;
  readonly lacking: readonly number[];
} {
  return asDoubt(
    'UPLINK_BAD_RECEIPT',
    `the receipt for commit ${header.sequence} proves nothing`,
    () => {
      const receipt = verifyReceipt(frame.receipt, collector);
      const isLost = receipt.lossHash !== undefined;
      if (!hasSlots(header, frame.lacking))
        throw new LogError(
          'LOG_OTHER_COMMIT',
          'it names versions as lost that the commit does not have',
        );
      const said = isLost || frame.lacking.length > 0 ? lossHash(hash, frame.lacking) : undefined;
      requireReceiptFor(receipt, { header, hash, lossHash: said });
      const { head } = verifyHead(frame.head, collector);
      verifyGrowth(before, head, frame.consistency);
      verifyReceiptInclusion(receipt, head, frame.inclusion);
      const sameSize = receipt.head.logEpoch === head.logEpoch && receipt.head.size === head.size;
      if (sameSize && !equalBytes(receipt.head.root, head.root)) {
        throw new LogError('LOG_CONTRADICTION', 'receipt and tree head tell two histories');
      }
      const isWhole = isLost && frame.lacking.length === 0;
      const lacking = isWhole ? everySlot(header) : frame.lacking;
      return { receipt, head, lacking };
    },
  );
}

function everySlot({ entryCount }: CommitHeader): number[] {
  return Array.from({ length: entryCount }, (_, slot) => slot);
}

function asDoubt<T>(code: UplinkErrorCode, what: string, check: () => T): T {
  try {
    return check();
  } catch (cause) {
    const doubt =
      cause instanceof LogError ||
      cause instanceof CertificateError ||
      cause instanceof FormatError;
    if (!doubt) throw cause;
    throw new UplinkError(
      code,
      `${what}: ${cause.message}; nothing more is sent, tell central IT`,
      { cause },
    );
  }
}
