import {
  decodeLogLeaf,
  type EpochOpeningBody,
  encodeEventBody,
  type Signed,
  type TreeHead,
  type VaultId,
} from '@aliquot/proto';
import { equalBytes } from '../crypto/primitives.ts';
import { verifyEpochOpening } from '../keys/certificates.ts';
import { LogError } from './errors.ts';
import { leafHash } from './hashing.ts';
import { eventLeaf } from './leaf.ts';
import { verifyConsistency, verifyGrowth, verifyInclusion } from './proofs.ts';

/*
 * What every witness demands before it believes a newer head: an agent on each connection, an
 * operator's command, a copy. Nothing here does I/O. The method is that of RFC 9162 §2.1.4; what is
 * our own is the way across a loss that the vault's authority approved.
 */

/** Whose word opens a new log epoch. */
export interface Authority {
  readonly authorityKey: Uint8Array;
  readonly vaultId: VaultId;
}

/** An epoch opening with its leaf and the proof that the log of the shown head contains it. */
export interface ShownOpening {
  readonly opening: Signed;
  readonly leaf: Uint8Array;
  readonly inclusion: readonly Uint8Array[];
}

/** What a collector shows to somebody who has seen an older head. */
export interface ShownLog {
  /** Its signature is verified already. */
  readonly head: TreeHead;
  /** From the older head; across a loss that names it, from the base of the first opening. */
  readonly consistency: readonly Uint8Array[];
  /**
   * Those after the epoch of the older head, oldest first; where it was lost, from the one on that
   * names it.
   */
  readonly openings: readonly ShownOpening[];
}

/**
 * Checks that the shown log continues everything that `seen` stands for: directly, or by way of
 * epoch openings that the authority signed and the log contains.
 *
 * @throws LogError `LOG_CONSISTENCY`, `LOG_EPOCH`, `LOG_INCLUSION`; CertificateError, FormatError
 * of an opening.
 */
export function verifyContinuation(
  seen: TreeHead,
  { head, consistency, openings }: ShownLog,
  authority: Authority,
): void {
  if (head.logEpoch <= seen.logEpoch) {
    verifyGrowth(seen, head, consistency);
    return;
  }
  let failure: unknown;
  for (const from of afterOpenings(seen, head, openings, authority)) {
    try {
      verifyConsistency(
        from.size,
        from.root,
        head.size,
        head.root,
        from.size === 0 ? [] : consistency,
      );
      return;
    } catch (error) {
      if (!(error instanceof LogError)) throw error;
      failure ??= error;
    }
  }
  throw failure;
}

/**
 * Checks all openings between two epochs; the answer are the heads that the consistency proof may
 * start from. What was seen comes first. If the first opening names it as lost, its base will do as
 * well: others may have gone on after the loss, so that the log is longer again than what was lost.
 */
function afterOpenings(
  seen: TreeHead,
  head: TreeHead,
  openings: readonly ShownOpening[],
  authority: Authority,
): TreeHead[] {
  let epoch = seen.logEpoch;
  let from: TreeHead[] | undefined;
  for (const { opening, leaf, inclusion } of openings) {
    const body = verifyEpochOpening(authority.authorityKey, authority.vaultId, opening);
    // A gap is an opening that was itself lost.
    if (body.logEpoch <= epoch)
      throw new LogError(
        'LOG_EPOCH',
        `an opening of log epoch ${body.logEpoch} follows epoch ${epoch}`,
      );
    epoch = body.logEpoch;
    checkOpeningLeaf(opening, leaf);
    verifyInclusion(leafHash(leaf), body.base.size, head.size, inclusion, head.root);
    if (from !== undefined) continue;
    const named = coversLoss(body, seen);
    from = [...(seen.size <= body.base.size ? [seen] : []), ...(named ? [body.base] : [])];
    if (from.length > 0) continue;
    throw new LogError(
      'LOG_EPOCH',
      `the opening of log epoch ${epoch} does not name the ${seen.size} leaves that were seen before`,
    );
  }
  if (from === undefined || epoch !== head.logEpoch)
    throw new LogError('LOG_EPOCH', `the openings up to log epoch ${head.logEpoch} are missing`);
  return from;
}

/**
 * Whether the authority approved the loss of this head: the opening names it, or a larger one of
 * its log epoch (which its signer vouched for; which heads lead to the named one can no longer be
 * proved, for that history is gone). Agents, operators and collectors all ask this: a looser rule
 * at one of them would call healed what another refuses.
 */
export function coversLoss(opening: EpochOpeningBody, head: TreeHead): boolean {
  return opening.lost.some(
    (lost) =>
      lost.logEpoch === head.logEpoch &&
      (lost.size > head.size || (lost.size === head.size && equalBytes(lost.root, head.root))),
  );
}

function checkOpeningLeaf(opening: Signed, leaf: Uint8Array): void {
  const { timeMs } = decodeLogLeaf(leaf);
  const expected = eventLeaf(encodeEventBody({ type: 'epochOpened', timeMs, opening }), timeMs);
  if (!equalBytes(expected, leaf))
    throw new LogError(
      'LOG_INCLUSION',
      'the leaf shown for an epoch opening is not that of the opening',
    );
}
