import type { Agent } from '../folder/agent.ts';
import { AgentError } from '../socket/errors.ts';
import type { Emit } from '../socket/protocol.ts';
import type { BytePath } from '../source/paths.ts';
import { sendAll } from '../uplink/reach.ts';
import { addTally, type Tally } from '../watch/tally.ts';
import { captureWaiting } from './waiting.ts';

/** What became of the sending at the end of a backup. */
export interface Sending {
  readonly error?: unknown;
  /** Why nothing more was tried; an error only when something is queued. */
  readonly gaveUp?: AgentError;
}

/**
 * Sends what is queued; with nothing to send it still connects, which finds a collector that lost
 * something. What had no space meanwhile is captured then, and sent, until nothing more finds
 * space. Errors come back, after the summary.
 */
export async function sendAndFill(
  agent: Agent,
  where: (path: BytePath) => boolean,
  tally: Tally,
  emit: Emit,
  signal: AbortSignal,
): Promise<Sending> {
  for (;;) {
    const sending = await send(agent, emit, signal);
    if (sending.error !== undefined || sending.gaveUp !== undefined || agent.references.files === 0)
      return sending;
    const more = await captureWaiting(agent, { where, all: true, onChanged: undefined }, signal);
    if (signal.aborted) return { error: interrupted() };
    more.failed = 0; // what waits on is named at the end
    addTally(tally, more);
    if (more.versions === 0) return sending;
  }
}

async function send({ uplink, queue }: Agent, emit: Emit, signal: AbortSignal): Promise<Sending> {
  try {
    const gaveUp = await sendAll(uplink, signal);
    if (gaveUp === undefined) return {};
    // While something is queued the last line says it.
    if (queue.intake.pending().entries === 0)
      await emit({ event: 'note', message: gaveUp.message });
    return { gaveUp };
  } catch (error) {
    return { error };
  }
}

export function interrupted(): AgentError {
  return new AgentError(
    'AGENT_INTERRUPTED',
    'ended before everything was captured; what was captured is kept',
  );
}
