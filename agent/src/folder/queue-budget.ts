import type { QueueBudget } from '../queue/intake/space.ts';

const GIBIBYTE = 2 ** 30;

/** What may wait for the collector unless the configuration says otherwise. */
export const defaultQueueBudget: QueueBudget = {
  maxBytes: 50 * GIBIBYTE,
  minFreeBytes: GIBIBYTE,
  classes: {},
};
