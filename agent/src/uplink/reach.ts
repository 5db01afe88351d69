import type { QueueIntake } from '../queue/intake/intake.ts';
import { AgentError } from '../socket/errors.ts';
import { UplinkError, type UplinkErrorCode } from './errors.ts';
import type { Uplink } from './uplink.ts';

/**
 * A command gives up after this many failed attempts in a row; the service goes on trying for ever.
 */
const ATTEMPTS_BEFORE_GIVING_UP = 3;

/** Runs work that needs the collector; the answer is why it gave up, after some failed attempts. */
async function reaching(
  uplink: Uplink,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<void>,
): Promise<AgentError | undefined> {
  const giveUp = new AbortController();
  let failures = 0;
  let why: AgentError | undefined;
  const unsubscribe = uplink.subscribe((event) => {
    // Only a receipt is progress: with a full disk, or somebody who alters what passes, every
    // session gets ready and ends for nothing.
    if (event.type === 'receipt') failures = 0;
    if (event.type !== 'state' || event.status.state !== 'offline') return;
    failures += 1;
    if (failures < ATTEMPTS_BEFORE_GIVING_UP || why !== undefined) return;
    // Taken down now: the next attempt may wipe the problem before anybody asks.
    why = unreachable(uplink);
    giveUp.abort();
  });
  try {
    await work(AbortSignal.any([signal, giveUp.signal]));
    return undefined;
  } catch (error) {
    if (signal.aborted)
      throw new AgentError(
        'AGENT_INTERRUPTED',
        'ended before everything was sent; what was captured is kept',
      );
    if (why !== undefined) return why;
    throw error;
  } finally {
    unsubscribe();
  }
}

/**
 * Sends everything that is queued now; the answer is why not, when it gave up. Rejects with the
 * uplink's error when waiting does not help (revoked, rolled back …).
 */
export function sendAll(uplink: Uplink, signal: AbortSignal): Promise<AgentError | undefined> {
  return reaching(uplink, signal, async (both) => {
    await uplink.start();
    uplink.nudge();
    await uplink.drained(both);
  });
}

/**
 * What a command that sends leaves behind. Once all that was queued has its receipt (`wentOut`),
 * what is queued now was captured since, by the service: that is no failure of the command, and it
 * is reported separately.
 */
export function stillQueued(
  queue: { readonly intake: Pick<QueueIntake, 'pending'> },
  wentOut: boolean,
): {
  readonly queued: number;
  readonly queuedBytes: number;
  readonly capturedMeanwhile: { readonly capturedMeanwhile?: number };
} {
  const { entries, bytes } = queue.intake.pending();
  if (!wentOut) return { queued: entries, queuedBytes: bytes, capturedMeanwhile: {} };
  return {
    queued: 0,
    queuedBytes: 0,
    capturedMeanwhile: entries === 0 ? {} : { capturedMeanwhile: entries },
  };
}

/**
 * Waits for a session. Rejects with `AGENT_UNREACHABLE`, or the reason that waiting does not mend.
 */
export async function connected(uplink: Uplink, signal: AbortSignal): Promise<void> {
  const gaveUp = await reaching(uplink, signal, async (both) => {
    await uplink.start();
    uplink.nudge();
    await untilReady(uplink, both);
  });
  if (gaveUp !== undefined) throw gaveUp;
}

/** The error for a collector that does not answer, or takes nothing now. */
export function unreachable(uplink: Uplink): AgentError {
  const { url, problem } = uplink.status();
  const says = problem?.message ?? `the collector at ${url} cannot be reached`;
  // Who is short of room, or broken, was reached well enough.
  const wayOut =
    problem?.code === 'UPLINK_COLLECTOR_STORAGE'
      ? 'try again later'
      : 'check the network, and try again';
  return new AgentError('AGENT_UNREACHABLE', `${says}; ${wayOut}`);
}

function untilReady(uplink: Uplink, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const check = () => {
      const { state, problem } = uplink.status();
      if (state === 'ready') done(resolve);
      else if (signal.aborted) done(() => reject(signal.reason as Error));
      else if (state === 'refused' || state === 'rolled-back' || state === 'pending') {
        const code = (problem?.code ?? 'UPLINK_REFUSED') as UplinkErrorCode;
        done(() =>
          reject(new UplinkError(code, problem?.message ?? 'the collector refuses this agent')),
        );
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
