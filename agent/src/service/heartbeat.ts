import type { ProblemCount } from '@aliquot/proto';
import type { Queue } from '../queue/queue.ts';
import type { HeartbeatCounts } from '../uplink/uplink.ts';

/** What a scan, a backup or a flush found, for the heartbeat at its end. */
export interface Found {
  readonly files: number;
  readonly bytes: number;
  /** Results that were seen and are not in the queue yet. */
  readonly pending: number;
}

/** What central IT is told: what was found, and everything that is not protected, by the code of its problem (P6). */
export async function heartbeatCounts(queue: Queue, { files, bytes, pending }: Found): Promise<HeartbeatCounts> {
  const problems = await problemCounts(queue);
  const paths = problems.reduce((sum, { count }) => sum + count, 0);
  const unsettled = problems.find(({ code }) => code === 'unsettled')?.count ?? 0;
  return { files, bytes, pending, unprotected: paths - unsettled, unsettled, problems };
}

async function problemCounts(queue: Queue): Promise<ProblemCount[]> {
  const byCode = new Map<string, { count: number; sinceMs: number }>();
  const count = (code: string, sinceMs: number): void => {
    const known = byCode.get(code);
    if (known === undefined) byCode.set(code, { count: 1, sinceMs });
    else {
      known.count += 1;
      known.sinceMs = Math.min(known.sinceMs, sinceMs);
    }
  };
  for await (const { code, sinceMs } of queue.problems()) count(code, sinceMs);
  for await (const { settledAtMs } of queue.references()) count('queue-full', settledAtMs);
  // By code units, which is the order of the bytes: codes are ASCII.
  return [...byCode].map(([code, rest]) => ({ code, ...rest })).sort((a, b) => (a.code < b.code ? -1 : 1));
}
