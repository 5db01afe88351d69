import { formatBytes, formatInstant } from '@aliquot/shared/cli/format';
import { passingBytes } from '../queue/intake/budget.ts';
import type { FileProblem, FileReference, Queue, QueueUsage, RoomLeft } from '../queue/queue.ts';

/** The queue in a `status` event. */
export async function queueView(queue: Queue): Promise<object> {
  const { entries, bytes, oldestMs } = queue.pending();
  const { usedBytes, keptBytes, freeBytes, budget } = await queue.usage();
  const waiting = queue.referenceTotals();
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
 * What waits at its source for room, each as a problem with what to do: not protected, and shown
 * until it is (P6).
 */
export async function* waitingProblems(queue: Queue): AsyncGenerator<FileProblem, void, void> {
  if (queue.referenceTotals().files === 0) return;
  const usage = await queue.usage();
  const rooms = new Map<string, RoomLeft>();
  const messages = new Map<string, string>();
  for await (const reference of queue.references()) {
    const { class: name, path, settledAtMs } = reference;
    const room = rooms.get(name) ?? (await queue.room(name));
    rooms.set(name, room);
    const says = waitsBecause(reference, room, usage);
    // One text for all: there may be many.
    const message = messages.get(says) ?? says;
    messages.set(says, message);
    yield { path, code: 'queue-full', message, sinceMs: settledAtMs };
  }
}

/** One line: why a result waits, and what ends that. */
function waitsBecause(
  { size, class: name }: FileReference,
  room: RoomLeft,
  { budget, freeBytes, usedBytes }: QueueUsage,
): string {
  const here = 'is only at its source';
  if (budget === undefined) return `${here}: the queue was full; it is captured next`;
  const { minFreeBytes } = budget;
  const maxBytes = budget.maxBytes * (budget.classes[name] ?? 1);
  if (size > maxBytes)
    return `${here}: it may be larger than all that the queue can hold (${formatBytes(maxBytes)}); raise queue.maxBytes in agent.yaml`;
  if (room.why === 'disk' || freeBytes < minFreeBytes) {
    const full = `${here}: the disk of the agent’s folder is nearly full (${fullBecause({ ...budget, freeBytes })})`;
    const most = passingBytes(freeBytes, usedBytes);
    return size > most
      ? `${full}; free some space, for it may be larger than what is let through meanwhile (${formatBytes(most)})`
      : `${full}; it is sent through in its turn while the collector answers, or free some space`;
  }
  if (room.why === 'budget' || room.bytes < size)
    return `${here}: the queue is full (${formatBytes(maxBytes)}); it is captured by itself when the collector has taken some of it`;
  return `${here}: the queue was full; it is captured next`;
}
