import { decodeSigned } from '@aliquot/proto';
import { formatInstant } from '@aliquot/shared/cli/format';
import { hex } from '@aliquot/shared/crypto/bytes';
import { fromBase64 } from '../api/base64.ts';
import { correctClockRequest } from '../api/log-messages.ts';
import type { ClockAnswer } from '../api/messages.ts';
import { RestError } from '../api/rest-error.ts';
import type { VaultWith } from '../store/vault-store.ts';
import type { RestContext } from './context.ts';

/**
 * An operator says that the machine's clock is right. Recorded in the log of every vault, with the
 * time that was held until then.
 */
export async function confirmClock(context: RestContext): Promise<ClockAnswer> {
  const hold = context.confirmClock?.();
  const timeMs = context.clock.nowMs();
  if (hold === undefined) return { timeMs };
  for (const { events } of context.store.vaults())
    await events.append({ type: 'clockConfirmed', timeMs, heldMs: hold.heldMs });
  context.log.warn({ held: formatInstant(hold.heldMs) }, 'an operator confirmed the clock');
  return { timeMs, hold };
}

/**
 * Times of a stretch of a vault's log were wrong. The event stands at the clock as it is now, and
 * nothing before it counts as later: so that must be right.
 */
export async function correctClock(
  context: RestContext,
  vault: VaultWith<'descriptor' | 'events'>,
  body: unknown,
): Promise<{ leafIndex: number }> {
  const correction = decodeSigned(fromBase64(correctClockRequest.parse(body).correction));
  const doubt = clockDoubt(context);
  if (doubt !== undefined) throw doubt;
  const timeMs = context.clock.nowMs();
  const answer = await vault.events.append({ type: 'clockCorrected', timeMs, correction });
  const { leafIndex } = answer;
  context.log.warn(
    { vault: hex(vault.descriptor.vaultId), leaf: leafIndex },
    'times of the log were corrected',
  );
  return answer;
}

/** Why nothing can be corrected now; undefined where it is known what time it is. */
export function clockDoubt({ health }: Pick<RestContext, 'health'>): RestError | undefined {
  if (health.hold === undefined) return undefined;
  return new RestError(
    'REST_CLOCK_HELD',
    "the collector's clock is held, so it is not known what time it is: set the machine's clock right, and run `aliquot collector clock --confirm` first",
  );
}
