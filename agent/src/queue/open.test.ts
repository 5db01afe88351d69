import { queueConformance } from '../../testing/queue/conformance.ts';
import { openQueue, temporaryFolder } from '../../testing/queue/support.ts';
import type { Queue } from './queue.ts';

const folders = new Map<Queue, ReturnType<typeof temporaryFolder>>();

queueConformance('DurableQueue', {
  async make() {
    const folder = temporaryFolder();
    const queue = await openQueue(folder.dir);
    folders.set(queue, folder);
    return queue;
  },
  async reopen(queue) {
    const folder = folders.get(queue);
    if (folder === undefined) throw new Error('no such queue');
    await queue.close();
    const again = await openQueue(folder.dir);
    folders.set(again, folder);
    return again;
  },
  async dispose(queue) {
    await queue.close();
    folders.get(queue)?.remove();
  },
});
