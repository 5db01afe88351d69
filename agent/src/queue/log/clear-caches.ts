import { familyRange } from './index-keys.ts';
import type { IndexStore } from './index-store.ts';

/**
 * Forgets everything that names chunks which the queue does not hold: they may be nowhere any more.
 */
export async function clearCaches(index: IndexStore): Promise<void> {
  await index.clear(familyRange('x'));
  await index.clear(familyRange('g'));
}
