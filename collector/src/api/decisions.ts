import type { EventBody } from '@aliquot/proto';
import { z } from 'zod';

/**
 * What people decide about a vault, and who is in it: kept by operators' PCs, and applied again
 * when a log has lost it.
 */
const decisionTypes = [
  'agentExpected',
  'agentEnrolled',
  'agentPending',
  'agentApproved',
  'agentRevoked',
  'groupAdded',
  'groupEnded',
  'forkDecided',
  'problemsAcknowledged',
  'filesGone',
  'addressesSet',
  'clockCorrected',
  'policySet',
  'settingsSet',
  'settingsPromoted',
  'holdSet',
  'holdResolved',
  'holdReleased',
] as const satisfies readonly EventBody['type'][];

export type Decision = Extract<EventBody, { type: (typeof decisionTypes)[number] }>;

export function isDecision(event: EventBody): event is Decision {
  return decisionTypes.some((type) => type === event.type);
}

/** Decisions in one request, and the bytes of all of them as text. */
export const MAX_DECISIONS = 256;
export const MAX_DECISIONS_BYTES: number = 8 * 1024 * 1024;

/** Encoded `EventBody`s, in the order in which they were decided. */
export const applyRequest = z.strictObject({
  events: z.array(z.base64()).min(1).max(MAX_DECISIONS),
});

/** For each: that it stands in the log now, or why it cannot. */
export const applyAnswer = z.object({
  outcomes: z.array(
    z.object({ applied: z.boolean(), code: z.string().optional(), message: z.string().optional() }),
  ),
});
export type ApplyAnswer = z.infer<typeof applyAnswer>;

/** In front of an event's bytes in the answer that has many: the number of its leaf. */
export const EVENT_PLACE_BYTES = 8;
