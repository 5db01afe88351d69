import {
  type EventBody,
  encodeClockCorrectionBody,
  type VaultDescriptorBody,
} from '@aliquot/proto';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { verifyClockCorrection } from '@aliquot/shared/keys/clock-correction';
import { collides, type LoggedCorrection } from '@aliquot/shared/log/log-times';
import { StoreError } from '../errors.ts';
import type { VaultCore } from './core.ts';
import { judgeHead } from './judge-head.ts';

type ClockCorrected = Extract<EventBody, { type: 'clockCorrected' }>;

/** More than that, and the clock wants mending, not its log. */
const MAX_CORRECTIONS = 256;

/**
 * The leaf of the same correction, where the log has it. Throws unless the authority signed this
 * one for leaves that the log has, and it shares none with another stretch that was corrected.
 */
export async function admitCorrection(
  core: VaultCore,
  { authorityKey, vaultId }: VaultDescriptorBody,
  { correction }: ClockCorrected,
): Promise<number | undefined> {
  const body = verifyClockCorrection(authorityKey, vaultId, correction);
  const { corrections } = core.registry;
  const newest = corrections.findLast(
    (known) => known.body.fromLeaf === body.fromLeaf && known.body.head.size === body.head.size,
  );
  if (newest !== undefined && isSame(newest, correction.body)) return newest.leafIndex;
  const other = corrections.find((known) => collides(body, known));
  if (other !== undefined)
    throw bad(
      `leaf ${other.leafIndex} of the log corrected times of leaves ${other.body.fromLeaf} to ${other.body.head.size - 1}: correct that very stretch again, or one beside it and beside that leaf`,
    );
  if (corrections.length >= MAX_CORRECTIONS)
    throw bad(`times of this log were corrected ${MAX_CORRECTIONS} times, and that is the most`);
  if ((await judgeHead(core, body.head)) !== 'consistent')
    throw bad(
      'the correction is for leaves that this log does not have: commits that it lost get new receipts, at new times, when they come again',
    );
  return undefined;
}

function isSame({ body }: LoggedCorrection, bytes: Uint8Array): boolean {
  return equalBytes(encodeClockCorrectionBody(body), bytes);
}

function bad(why: string): StoreError {
  return new StoreError('STORE_BAD_EVENT', why);
}
