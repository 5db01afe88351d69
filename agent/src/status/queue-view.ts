import { formatBytes, formatInstant } from '@aliquot/shared/cli/format';
import type { QueueIntake, QueueUsage, SpaceLeft } from '../queue/intake/intake.ts';
import type { FileProblem, FileReferences } from '../queue/ledger/ledger.ts';
import type { FileReference } from '../queue/log/facts.ts';

/** What people are told of the queue. */
interface QueueFigures {
  readonly intake: Pick<QueueIntake, 'pending' | 'usage' | 'space'>;
  readonly references: Pick<FileReferences, 'list' | 'totals'>;
}

/** The queue in a `status` event. */
export async function queueView(queue: QueueFigures): Promise<object> {
  const { entries, bytes, oldestMs } = queue.intake.pending();
  const { usedBytes, keptBytes, freeBytes, budget } = await queue.intake.usage();
  const waiting = queue.references.totals();
  return {
    entries,
    bytes,
    ...(oldestMs === undefined ? {} : { oldest: formatInstant(oldestMs) }),
    usedBytes,
    keptBytes,
    freeBytes,
    ...(budget === undefined
      ? {}
      : { maxBytes: budget.maxBytes, minFreeBytes: budget.minFreeBytes }),
    // The alarm: results that are complete and that nobody but their source holds.
    full: waiting.files > 0,
    waiting: { files: waiting.files, bytes: waiting.bytes },
  };
}

/** Why the queue takes nothing more, with the number and the setting that say so. */
export function fullBecause(usage: {
  readonly freeBytes: number;
  readonly maxBytes: number;
  readonly minFreeBytes: number;
}): string {
  const { freeBytes, maxBytes, minFreeBytes } = usage;
  if (freeBytes < minFreeBytes)
    return `queue.minFreeBytes: ${minFreeBytes}, ${formatBytes(freeBytes)} free`;
  return `queue.maxBytes: ${maxBytes}, which is ${formatBytes(maxBytes)}`;
}

/**
 * What waits at its source for space, each as a problem with what to do: not protected, and shown
 * until it is (P6).
 */
export async function* waitingProblems(
  queue: QueueFigures,
): AsyncGenerator<FileProblem, void, void> {
  if (queue.references.totals().files === 0) return;
  const usage = await queue.intake.usage();
  const spaces = new Map<string, SpaceLeft>();
  const messages = new Map<string, string>();
  for await (const reference of queue.references.list()) {
    const { class: name, path, settledAtMs } = reference;
    const space = spaces.get(name) ?? (await queue.intake.space(name));
    spaces.set(name, space);
    const says = waitsBecause(reference, space, usage);
    // One text for all: there may be many.
    const message = messages.get(says) ?? says;
    messages.set(says, message);
    yield { path, code: 'queue-full', message, sinceMs: settledAtMs };
  }
}

/** One line: why a result waits, and what ends that. */
function waitsBecause(
  { size, class: name }: FileReference,
  space: SpaceLeft,
  { budget, freeBytes, passingBytes: most }: QueueUsage,
): string {
  const here = 'is only at its source';
  if (budget === undefined) return `${here}: the queue was full; it is captured next`;
  const { minFreeBytes } = budget;
  const maxBytes = budget.maxBytes * (budget.classes[name] ?? 1);
  if (size > maxBytes)
    return `${here}: it may be larger than all that the queue can hold (${formatBytes(maxBytes)}); raise queue.maxBytes in agent.yaml`;
  if (space.why === 'disk' || freeBytes < minFreeBytes) {
    const full = `${here}: the disk of the agent’s folder is nearly full (${fullBecause({ ...budget, freeBytes })})`;
    return size > most
      ? `${full}; free some space, for it may be larger than what is let through meanwhile (${formatBytes(most)})`
      : `${full}; it is sent through in its turn while the collector answers, or free some space`;
  }
  if (space.why === 'budget' || space.bytes < size)
    return `${here}: the queue is full (${formatBytes(maxBytes)}); it is captured by itself when the collector has taken some of it`;
  return `${here}: the queue was full; it is captured next`;
}
