import { PartialError } from '@aliquot/shared/cli/errors';
import type { Agent } from '../folder/agent.ts';
import type { AgentError } from '../socket/errors.ts';
import type { Emit } from '../socket/protocol.ts';
import { tellCentral } from '../status/heartbeat.ts';
import { pendingResults, type ServiceView } from '../status/stock.ts';
import { sendAll, stillQueued, unreachable } from '../uplink/reach.ts';
import { lossesOf } from './losses.ts';

/**
 * `flush`: sends what is queued and waits for the receipts. With nothing queued it still connects,
 * for only then is a collector found out that lost what it had confirmed. Ends with one `summary`,
 * whose `failed` counts versions that were lost since a command last said so, and `lost` all that
 * nobody has acknowledged. Throws `PartialError` while there are any, and while something stays
 * queued because the collector cannot be reached, and the uplink's error when it refuses for good.
 */
export async function flush(
  agent: Agent,
  view: ServiceView | undefined,
  emit: Emit,
  signal: AbortSignal,
): Promise<void> {
  const { queue, uplink, clock } = agent;
  const startedMs = clock.nowMs();
  const sentBefore = uplink.status().sentBytes;
  let commits = 0;
  let receipted = 0;
  const unsubscribe = uplink.subscribe((event) => {
    if (event.type !== 'receipt') return;
    commits += 1;
    receipted += event.entries;
    const { entries, bytes } = queue.intake.pending();
    void emit({ event: 'sending', receipted, queued: entries, queuedBytes: bytes });
  });
  let error: unknown;
  let gaveUp: AgentError | undefined;
  try {
    gaveUp = await sendAll(uplink, signal);
    if (gaveUp !== undefined && queue.intake.pending().entries === 0)
      await emit({ event: 'note', message: gaveUp.message });
  } catch (caught) {
    error = caught;
  } finally {
    unsubscribe();
  }
  const heartbeat = !signal.aborted && (await tellCentral(agent, view, undefined));
  const { queued, queuedBytes, capturedMeanwhile } = stillQueued(
    queue,
    error === undefined && gaveUp === undefined,
  );
  // What a flush cannot send, for it is not captured: nobody should take the end of a flush for the
  // end of all worries.
  const unprotected = agent.problems.size + agent.references.files;
  const pending = pendingResults(agent, view);
  const losses = await lossesOf(queue.losses);
  const sentBytes = uplink.status().sentBytes - sentBefore;
  const seconds = Math.max(0, clock.nowMs() - startedMs) / 1000;
  await emit({
    event: 'summary',
    versions: receipted,
    commits,
    sentBytes,
    queued,
    queuedBytes,
    ...capturedMeanwhile,
    failed: losses.lost,
    lost: losses.listed,
    unprotected,
    pending,
    heartbeat,
    seconds,
  });
  if (error !== undefined) throw error;
  if (losses.says !== undefined) throw new PartialError('PARTIAL', losses.says);
  if (queued > 0) {
    const { message } = gaveUp ?? unreachable(uplink);
    throw new PartialError(
      'PARTIAL',
      `${queued} ${queued === 1 ? 'version is' : 'versions are'} still queued, not yet safe: ${message}`,
    );
  }
}
