import { UplinkError, type UplinkErrorCode } from '../uplink/errors.ts';
import type { Uplink } from '../uplink/uplink.ts';
import { AgentError } from './errors.ts';

/** A command gives up after this many failed attempts in a row; the service goes on trying for ever. */
const attemptsBeforeGivingUp = 3;

/** Runs work that needs the collector; `unreachable` after some failed attempts to connect. */
async function reaching(
  uplink: Uplink,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<void>,
): Promise<'done' | 'unreachable'> {
  const giveUp = new AbortController();
  let failures = 0;
  /** Sessions that ended because somebody alters what passes: those get ready, and would begin anew for ever. */
  let altered = 0;
  const unsubscribe = uplink.subscribe((event) => {
    if (event.type === 'receipt') altered = 0;
    if (event.type === 'receipt' || (event.type === 'state' && event.status.state === 'ready')) failures = 0;
    if (event.type !== 'state' || event.status.state !== 'offline') return;
    failures += 1;
    if (event.status.problem?.code === 'UPLINK_TAMPERED') altered += 1;
    if (failures >= attemptsBeforeGivingUp || altered >= attemptsBeforeGivingUp) giveUp.abort();
  });
  try {
    await work(AbortSignal.any([signal, giveUp.signal]));
    return 'done';
  } catch (error) {
    if (signal.aborted) throw new AgentError('AGENT_INTERRUPTED', 'ended before everything was sent; what was captured stays queued');
    if (giveUp.signal.aborted) return 'unreachable';
    throw error;
  } finally {
    unsubscribe();
  }
}

/** Sends everything that is queued now. Rejects with the uplink's error when waiting does not help (revoked, rolled back …). */
export function sendAll(uplink: Uplink, signal: AbortSignal): Promise<'done' | 'unreachable'> {
  return reaching(uplink, signal, async (both) => {
    uplink.start();
    uplink.nudge();
    await uplink.drained(both);
  });
}

/** Waits for a session. Rejects with `AGENT_UNREACHABLE`, or the reason that waiting does not mend. */
export async function connected(uplink: Uplink, signal: AbortSignal): Promise<void> {
  const outcome = await reaching(uplink, signal, (both) => {
    uplink.start();
    uplink.nudge();
    return untilReady(uplink, both);
  });
  if (outcome === 'unreachable') throw unreachable(uplink);
}

/** The error for a collector that does not answer. */
export function unreachable(uplink: Uplink): AgentError {
  const { url, problem } = uplink.status();
  // The uplink's own words say why, and end with what it does about it, which a command that gives up does not.
  const says = problem?.message.replace(/; (trying|connect) again.*$/, '') ?? `the collector at ${url} cannot be reached`;
  return new AgentError('AGENT_UNREACHABLE', `${says}; check the network, and try again`, { retryable: true });
}

function untilReady(uplink: Uplink, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const check = () => {
      const { state, problem } = uplink.status();
      if (state === 'ready') done(resolve);
      else if (signal.aborted) done(() => reject(signal.reason as Error));
      else if (state === 'refused' || state === 'rolled-back') {
        const code = (problem?.code ?? 'UPLINK_REFUSED') as UplinkErrorCode;
        done(() => reject(new UplinkError(code, problem?.message ?? 'the collector refuses this agent')));
      }
    };
    const unsubscribe = uplink.subscribe(check);
    signal.addEventListener('abort', check);
    const done = (settle: () => void) => {
      unsubscribe();
      signal.removeEventListener('abort', check);
      settle();
    };
    check();
  });
}
