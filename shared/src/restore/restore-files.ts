import { type OrdersRequest, type OrdersSummary, restoreOrders } from './orders.ts';
import { Placing, type RestoreItem } from './placing.ts';
import type { RestoreTarget } from './restore-target.ts';

export interface RestoreRequest extends OrdersRequest {
  readonly writer: RestoreTarget;
}

export interface RestoreSummary extends OrdersSummary {
  readonly directories: number;
  readonly links: number;
}

/**
 * Gives files, folders and links back, all in this thread.
 *
 * A name that cannot be given back goes to `onFailure`, and the rest goes on. A full disk, an error
 * of `fetchItems` and anything unexpected end the restore: unfinished files are taken away, but for
 * large ones with which a later restore goes on, and finished ones stay.
 *
 * @param items Drawn as they are needed, so a million files are never held at once.
 */
export async function restoreFiles(
  items: AsyncIterable<RestoreItem> | Iterable<RestoreItem>,
  request: RestoreRequest,
): Promise<RestoreSummary> {
  const placing = new Placing(request.writer, request.onFailure);
  const done = await restoreOrders(placing.orders(items), request);
  const { directories, links, failed } = placing.counts;
  return { ...done, directories, links, failed: done.failed + failed };
}
