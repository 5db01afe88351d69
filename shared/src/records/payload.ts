import { equalBytes } from '../crypto/primitives.ts';
import { hashHere } from '../hashing/hasher.ts';
import type { KindLimits, ProofPlan, RecordHeader } from './format.ts';

/** What proves a payload of this kind; `undefined` when no such payload looks like these bytes. */
export function planOf({ plan }: KindLimits, payload: Uint8Array): ProofPlan | undefined {
  return plan === undefined ? wholePlan(payload.length) : plan(payload);
}

/** The digest is the SHA-256 of all of it. */
function wholePlan(length: number): ProofPlan {
  return {
    spans: [{ offset: 0, length }],
    holds: (_payload, digest, hashes) => equalBytes(hashes, digest),
  };
}

/** Whether a payload is the one that its header names; hashed on the spot. */
export function payloadMatches(
  kind: KindLimits,
  { length, digest }: Pick<RecordHeader<string>, 'length' | 'digest'>,
  payload: Uint8Array,
): boolean {
  if (payload.length !== length) return false;
  const plan = planOf(kind, payload);
  return plan?.holds(payload, digest, hashHere(payload, plan.spans).digests) === true;
}
