import { Holds } from './intake/capture.ts';
import { DurableIntake } from './intake/durable-intake.ts';
import { DurableResults } from './intake/durable-results.ts';
import { segmentBytesFor } from './intake/space.ts';
import { DurableLedger } from './ledger/durable-ledger.ts';
import { DurableLosses } from './ledger/durable-losses.ts';
import { DurableReferences } from './ledger/durable-references.ts';
import { QueueCore } from './log/core.ts';
import { isIndexDamaged } from './log/errors.ts';
import { QueueEvents } from './log/events.ts';
import { closeQueueFiles, damagedFiles, openQueueFiles, SEGMENT_BYTES } from './log/open-queue.ts';
import { DurableOutbox } from './outbox/durable-outbox.ts';
import type { Queue, QueueOptions } from './queue.ts';

/**
 * Opens or makes the queue of a data folder, and composes its rooms: each has one class, which
 * knows the rooms below it, and of those above only the few calls that it is given here. Recovery
 * is `openQueueFiles`'s.
 */
export async function openQueue(options: QueueOptions): Promise<Queue> {
  const { port, dataDir, random, clock, chainId, budget } = options;
  const segmentBytes = segmentBytesFor(options.segmentBytes ?? SEGMENT_BYTES, budget);
  const filesOptions = { port, dataDir, random, segmentBytes };
  const files = await openQueueFiles(filesOptions);
  try {
    const damage = await damagedFiles(port, dataDir);
    const events = new QueueEvents();
    const holds = new Holds();
    const core = new QueueCore(filesOptions, files, {
      chainWith: () => references.records(),
      flushed: ({ versions }) => {
        references.written();
        if (versions > 0) events.tell({ type: 'queued' });
      },
      chained: () => holds.refresh(core.files),
      reopened: (lost) => {
        losses.found(lost);
        return begin();
      },
    });
    const ledger = new DurableLedger(core, damage);
    const losses = new DurableLosses(core, events, files.lost);
    const references = new DurableReferences(core, losses);
    const outbox = new DurableOutbox({
      ...{ core, losses, events, clock, chainId },
      openCaptures: () => holds.captures,
      released: () => intake.released(),
      heldAgain: () => intake.heldAgain(),
    });
    const intake = new DurableIntake({ core, holds, references, events, onward: outbox, options });
    const results = new DurableResults({ core, append: (draft) => intake.putResult(draft) });
    // What every start does, also the one after a full disk: earlier captures have ended.
    const begin = async (): Promise<void> => {
      intake.endAll();
      await outbox.begin();
      references.begin();
      await core.flush();
      await intake.begin();
    };
    await core.change(begin).catch(async (error: unknown) => {
      // The index is made again before the next step, which begins by itself.
      if (!isIndexDamaged(error)) throw error;
      await core.change(async () => undefined);
    });
    return {
      ...{ intake, results, ledger, references, losses, outbox },
      ...{ items: outbox.items, chain: outbox.chain, epochs: outbox.epochs },
      rebuilt: files.rebuilt,
      sync: () =>
        core.change(async () => {
          const { flushes } = core;
          await core.flush();
          if (core.flushes === flushes) outbox.remind();
        }),
      subscribe: (listener) => events.subscribe(listener),
      close: () => core.close(),
    };
  } catch (error) {
    await closeQueueFiles(files);
    throw error;
  }
}
