import type { QueueCore } from './core.ts';
import { indexAnew } from './errors.ts';
import type { IndexStore } from './index-store.ts';

/*
 * Questions to the index outside of the queue's turn. One that is found damaged is made again from
 * segments and chain log, and asked once more. Never inside a turn: it would wait for itself.
 */

export async function askIndex<T>(
  core: QueueCore,
  question: (index: IndexStore) => Promise<T>,
): Promise<T> {
  const index = await core.indexToAsk();
  try {
    return await question(index);
  } catch (error) {
    await core.replace(index, error);
    return question(core.files.index);
  }
}

/**
 * For many answers. Error: `QUEUE_INDEX` (retryable) when the damage shows behind the first of
 * them.
 */
export async function* askIndexForMany<T>(
  core: QueueCore,
  question: (index: IndexStore) => AsyncIterable<T>,
): AsyncGenerator<T, void, void> {
  for (let isFirst = true; ; isFirst = false) {
    const index = await core.indexToAsk();
    let answered = false;
    try {
      for await (const answer of question(index)) {
        answered = true;
        yield answer;
      }
      return;
    } catch (error) {
      await core.replace(index, error);
      if (!isFirst || answered) throw indexAnew(error);
    }
  }
}
