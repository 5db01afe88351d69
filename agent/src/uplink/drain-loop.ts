import type { Queue } from '../queue/queue.ts';
import type { Drain } from './drain.ts';
import type { Session } from './session.ts';
import type { SweepAnswer } from './sweep-answer.ts';

export interface DrainLoopParts {
  readonly queue: Pick<Queue, 'subscribe'>;
  readonly drain: Drain;
  readonly sweep: SweepAnswer;
  readonly session: Session;
}

/**
 * Sends whatever is queued, and what comes to be queued, until the session is closed. `onRest` is
 * called each time that nothing is left to send. Rejects with what `Drain` met.
 */
export async function drainUntilClosed(parts: DrainLoopParts, onRest: () => void): Promise<void> {
  const { queue, drain, sweep, session } = parts;
  let open = true;
  // Whether there may be a commit to send. To look for one signs what is queued, so that is not
  // done for each mebibyte.
  let look = true;
  let wakeUp: () => void = () => undefined;
  const stopListening = queue.subscribe(({ type }) => {
    if (type === 'queued' || type === 'gcReady') look = true;
    if (look || type === 'fresh') wakeUp();
  });
  session.closed.then(() => {
    open = false;
    wakeUp();
  });
  try {
    while (open) {
      // Listening begins before looking, so that nothing queued in between is missed.
      const queued = new Promise<void>((resolve) => {
        wakeUp = resolve;
      });
      if (look) {
        look = false;
        look = (await drain.step()) || look;
        await sweep.answer();
      }
      if (look || (await drain.ahead())) continue;
      onRest();
      if (open) await queued;
    }
  } finally {
    stopListening();
  }
}
