import type { Random, Timers } from '@aliquot/shared/ports';
import { between } from './backoff.ts';
import { UplinkError } from './errors.ts';
import type { Session } from './session.ts';

/**
 * At a random moment within this time, so that a fleet that learns of it at once does not move in
 * step; and again while the session is of use.
 */
const WITHIN_MS = 3_000;

/**
 * Ends a session as soon as nobody uses it, so that the next one begins with the first of the
 * addresses that were just learnt. So a mistake in them shows while the old address is still there.
 * `rests` says whether all that was queued is sent.
 */
export function moveSoon(
  session: Session,
  random: Random,
  timers: Timers,
  rests: () => boolean,
): void {
  let cancel = (): void => undefined;
  const look = (): void => {
    cancel = timers.after(between(random, 0, WITHIN_MS), () => {
      if (!session.idle || !rests()) return look();
      session.end(
        new UplinkError('UPLINK_MOVED', 'the collector has newer addresses; trying them'),
      );
    });
  };
  session.closed.then(() => cancel());
  look();
}
