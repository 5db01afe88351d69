import type { ProblemCount } from '@aliquot/proto';
import type { Agent } from '../folder/agent.ts';
import type { FileReferences, KnownFiles, Losses, ProblemList } from '../queue/ledger/ledger.ts';
import { KnownCursor } from '../queue/log/known-block.ts';
import type { Problem } from '../source/problem.ts';
import { UplinkError } from '../uplink/errors.ts';
import type { HeartbeatCounts } from '../uplink/uplink.ts';
import { pendingResults, type ServiceView, syncIfPossible } from './stock.ts';

/** What a backup met, for its heartbeat: a running service knows better. */
export interface Met {
  readonly files: number;
  readonly bytes: number;
  /**
   * Problems that stand in no list, for nobody watches their paths: a path that was named and is
   * not there.
   */
  readonly problems: readonly Problem[];
}

/**
 * Tells central IT how things are here: what was found, what is not in the queue yet, and
 * everything that is not protected, by the code of its problem (P6). False when there is no
 * session, or it ended before the answer; anyone who sends the next one says it all again.
 */
export async function tellCentral(
  agent: Agent,
  view: ServiceView | undefined,
  met: Met | undefined,
): Promise<boolean> {
  const { uplink } = agent;
  if (uplink.status().state !== 'ready') return false;
  const counts = await heartbeatCounts(agent, view, met);
  try {
    await uplink.heartbeat(counts);
    return true;
  } catch (error) {
    if (error instanceof UplinkError) return false;
    throw error;
  }
}

/** How things are here, in the numbers of a heartbeat. */
export async function heartbeatCounts(
  agent: Agent,
  view: ServiceView | undefined,
  met: Met | undefined,
): Promise<HeartbeatCounts> {
  await syncIfPossible(agent.queue);
  const { files, bytes } =
    view?.lastScan !== undefined ? view.found : (met ?? (await knownTotals(agent.queue.ledger)));
  const problems = await problemCounts(agent.queue, met?.problems ?? [], agent.clock.nowMs());
  const paths = problems.reduce((sum, { count }) => sum + count, 0);
  const unsettled = problems.find(({ code }) => code === 'unsettled')?.count ?? 0;
  return {
    files,
    bytes,
    pending: pendingResults(agent, view),
    unprotected: paths - unsettled,
    unsettled,
    problems,
  };
}

async function knownTotals(
  known: Pick<KnownFiles, 'knownBlocks'>,
): Promise<{ files: number; bytes: number }> {
  const totals = { files: 0, bytes: 0 };
  for await (const block of known.knownBlocks(new Uint8Array(0), new Uint8Array(0))) {
    for (const file = new KnownCursor(block); file.next(); ) {
      if (file.kind !== 'file') continue;
      totals.files += 1;
      totals.bytes += file.size;
    }
  }
  return totals;
}

/** What the queue lists as not protected. */
interface ProblemFigures {
  readonly ledger: Pick<ProblemList, 'problems'>;
  readonly references: Pick<FileReferences, 'list'>;
  readonly losses: Pick<Losses, 'list'>;
}

async function problemCounts(
  queue: ProblemFigures,
  unlisted: readonly Problem[],
  nowMs: number,
): Promise<ProblemCount[]> {
  const byCode = new Map<string, { count: number; sinceMs: number }>();
  const count = (code: string, sinceMs: number): void => {
    const known = byCode.get(code);
    if (known === undefined) byCode.set(code, { count: 1, sinceMs });
    else {
      known.count += 1;
      known.sinceMs = Math.min(known.sinceMs, sinceMs);
    }
  };
  for await (const { code, sinceMs } of queue.ledger.problems()) count(code, sinceMs);
  for await (const { settledAtMs } of queue.references.list()) count('queue-full', settledAtMs);
  for await (const _ of queue.losses.list()) count('lost', 0);
  for (const { code } of unlisted) count(code, Math.max(0, Math.trunc(nowMs)));
  // By code units, which is the order of the bytes: codes are ASCII.
  return [...byCode]
    .map(([code, rest]) => ({ code, ...rest }))
    .sort((a, b) => (a.code < b.code ? -1 : 1));
}
