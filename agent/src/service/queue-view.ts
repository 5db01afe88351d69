import { formatBytes, formatInstant } from '@aliquot/shared/cli/format';
import type { FileProblem, FileReference, Queue, Room } from '../queue/queue.ts';

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
    ...(budget === undefined ? {} : { maxBytes: budget.maxBytes, minFreeBytes: budget.minFreeBytes }),
    // The alarm: results that are complete and that nobody but their source holds.
    full: waiting.files > 0,
    waiting: { files: waiting.files, bytes: waiting.bytes },
  };
}

/** What waits at its source for room, each as a problem with what to do: not protected, and shown until it is (P6). */
export async function* waitingProblems(queue: Queue): AsyncGenerator<FileProblem, void, void> {
  if (queue.referenceTotals().files === 0) return;
  const { budget } = await queue.usage();
  const rooms = new Map<string, Room>();
  const messages = new Map<string, string>();
  for await (const reference of queue.references()) {
    const { class: name, path, settledAtMs } = reference;
    const room = rooms.get(name) ?? (await queue.room(name));
    rooms.set(name, room);
    const maxBytes = budget === undefined ? undefined : budget.maxBytes * (budget.classes[name] ?? 1);
    const says = waitsBecause(reference, room, maxBytes);
    // One text for all: there may be many.
    const message = messages.get(says) ?? says;
    messages.set(says, message);
    yield { path, code: 'queue-full', message, sinceMs: settledAtMs };
  }
}

/** One line: why a result waits, and what ends that. `maxBytes` is what its class may fill. */
function waitsBecause({ size }: Pick<FileReference, 'size'>, room: Room, maxBytes: number | undefined): string {
  const limit = maxBytes === undefined ? '' : ` (${formatBytes(maxBytes)})`;
  if (maxBytes !== undefined && size > maxBytes)
    return `is only at its source: it may be larger than all that the queue can hold${limit}; raise queue.maxBytes in agent.yaml`;
  if (room.why === 'disk')
    return 'is only at its source: the disk of the agent’s folder is nearly full; free some space, and it is captured by itself';
  if (room.why === 'budget' || room.bytes < size)
    return `is only at its source: the queue is full${limit}; it is captured by itself when the collector has taken some of it`;
  return 'is only at its source: the queue was full; it is captured next';
}
