import { AliquotError } from '@aliquot/proto';
import type { Agent } from '../folder/agent.ts';
import type { FileProblem } from '../queue/ledger/ledger.ts';
import type { Queue } from '../queue/queue.ts';
import type { Excluded } from '../source/excludes.ts';
import type { BytePath } from '../source/paths.ts';
import { waitingProblems } from './queue-view.ts';

/** A watched folder as the running service knows it. */
export interface SourceView {
  readonly root: BytePath;
  /** A symbolic link: what it leads to is a source of its own. */
  readonly isLink?: boolean | undefined;
  readonly eventsMissing?: string | undefined;
  /** What the exclude patterns took in the last scan. */
  readonly excluded?: Excluded | undefined;
}

/** What only the running service knows. */
export interface ServiceView {
  /**
   * When the last scan that looked at everything ended, and when it began: what was there before it
   * began has been seen.
   */
  readonly lastScan: { readonly beganMs: number; readonly endedMs: number } | undefined;
  /** Whether that is so short ago that the next one is not overdue. */
  readonly isFresh: boolean;
  readonly scanning: boolean;
  /** What the last scan met. */
  readonly found: { readonly files: number; readonly bytes: number };
  /** Results that have not come to rest yet. */
  settling(): Iterable<BytePath>;
  /** Results that are complete, and are read next. */
  ready(): Iterable<BytePath>;
  /** Results in the making beyond those that can be listed. */
  readonly unlisted: number;
  /** Since when the longest of them has been in the making. */
  readonly settlingSinceMs: number | undefined;
  /** Each source with, if its events do not come, the reason. */
  readonly sources: readonly SourceView[];
  /** The end of the log. */
  log?(): Promise<string>;
  /** What the service could not do (a failed scan, a full disk). */
  readonly trouble: string | undefined;
}

/** Every result that is not simply known: what `results` needs beside the known files. */
export interface Stock {
  readonly problems: readonly FileProblem[];
  readonly settling: readonly BytePath[];
  /** Seen, complete, and not in the queue yet: being read, or about to be. */
  readonly capturing: readonly BytePath[];
  readonly unlisted: number;
}

/**
 * Takes down what is not safe at this moment (P6). Known files that are read after this show
 * everything that is not in it: a result leaves the list of what is being captured when its version
 * is handed over, and shows itself as known from the next sync on.
 */
export async function takeStock(agent: Agent, view: ServiceView | undefined): Promise<Stock> {
  const making = inTheMaking(agent, view);
  await syncIfPossible(agent.queue);
  const problems: FileProblem[] = [];
  for await (const problem of agent.queue.ledger.problems()) problems.push(problem);
  for await (const problem of waitingProblems(agent.queue)) problems.push(problem);
  return { ...making, problems };
}

/** How many results were seen and are not in the queue yet. */
export function pendingResults(agent: Agent, view: ServiceView | undefined): number {
  const { settling, capturing, unlisted } = inTheMaking(agent, view);
  return new Set([...settling, ...capturing]).size + unlisted;
}

function inTheMaking(agent: Agent, view: ServiceView | undefined): Omit<Stock, 'problems'> {
  const settling = [...(view?.settling() ?? [])];
  const capturing = [...new Set([...agent.underWay.results(), ...(view?.ready() ?? [])])];
  return { settling, capturing, unlisted: view?.unlisted ?? 0 };
}

/**
 * A queue that takes nothing more is named elsewhere; what it says of earlier is still worth
 * showing.
 */
export async function syncIfPossible(queue: Pick<Queue, 'sync'>): Promise<void> {
  try {
    await queue.sync();
  } catch (error) {
    if (!(error instanceof AliquotError)) throw error;
  }
}
