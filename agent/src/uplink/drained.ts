import type { QueueIntake } from '../queue/intake/intake.ts';
import type { Queue } from '../queue/queue.ts';

/** Whether the uplink has nothing more to send, is at it, or why it has given up. */
export type SendingState = 'caught-up' | 'going-on' | Error | undefined;

/**
 * Resolves once everything that is queued now has its receipt, or nothing is queued at all. Rejects
 * with why the uplink gave up, or with the reason of `signal`.
 */
export function whenDrained(
  queue: { readonly intake: Pick<QueueIntake, 'pending'> } & Pick<Queue, 'subscribe'>,
  subscribe: (listener: () => void) => () => void,
  sending: () => SendingState,
  signal?: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let remaining = queue.intake.pending().entries;
    const finish = (settle: () => void): void => {
      unsubscribe();
      unqueue();
      signal?.removeEventListener('abort', check);
      settle();
    };
    const check = (): void => {
      const now = sending();
      const sent = remaining <= 0 || queue.intake.pending().entries === 0;
      if (signal?.aborted === true) finish(() => reject(signal.reason));
      else if (now === 'caught-up' && sent) finish(resolve);
      else if (now !== 'caught-up' && now !== 'going-on') finish(() => reject(now));
    };
    const unqueue = queue.subscribe((event) => {
      if (event.type === 'receipted') remaining -= event.entries;
    });
    const unsubscribe = subscribe(check);
    signal?.addEventListener('abort', check);
    check();
  });
}
