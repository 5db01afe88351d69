import { keys } from './catalog-keys.ts';
import type { CatalogStore } from './catalog-store.ts';
import { RowReader, RowWriter } from './row.ts';

/** What a collector does by itself, as often as `maintenance.yaml` says. */
export type OwnWork = 'retention' | 'collection';

/** How such work failed, and has not come to a good end since. */
export interface FailedWork {
  /** The first time. */
  readonly sinceMs: number;
  /** The last time. */
  readonly atMs: number;
  /** Of the error. */
  readonly code: string;
  readonly message: string;
}

const numbers = { retention: 1, collection: 2 } as const satisfies Record<OwnWork, number>;
const works: readonly OwnWork[] = ['retention', 'collection'];
/** What a message is cut to: it is one line for a person. */
const MOST_CHARS = 1000;

/** What failed of it: kept over starts, as notes. */
export class FailedWorks {
  readonly #failed = new Map<OwnWork, FailedWork>();

  async load(catalog: CatalogStore): Promise<void> {
    for (const work of works) {
      const row = await catalog.get(keys.failedWork(numbers[work]));
      if (row === undefined) this.#failed.delete(work);
      else this.#failed.set(work, decode(row));
    }
  }

  of(work: OwnWork): FailedWork | undefined {
    return this.#failed.get(work);
  }

  /** Notes how work came to its end: without a failure, well. */
  note(
    catalog: Pick<CatalogStore, 'note'>,
    work: OwnWork,
    failure: Omit<FailedWork, 'sinceMs'> | undefined,
  ): void {
    const before = this.#failed.get(work);
    const key = keys.failedWork(numbers[work]);
    if (failure === undefined) {
      if (before !== undefined) catalog.note(key, undefined);
      this.#failed.delete(work);
      return;
    }
    const message = failure.message.slice(0, MOST_CHARS);
    const failed = { ...failure, message, sinceMs: before?.sinceMs ?? failure.atMs };
    catalog.note(key, encode(failed));
    this.#failed.set(work, failed);
  }
}

function encode({ sinceMs, atMs, code, message }: FailedWork): Buffer {
  return new RowWriter().u64(sinceMs).u64(atMs).text(code).text(message).finish();
}

/** Throws `STORE_CATALOG`. */
function decode(bytes: Uint8Array): FailedWork {
  const reader = new RowReader(bytes);
  const [sinceMs, atMs] = [reader.u64(), reader.u64()];
  return { sinceMs, atMs, code: reader.text(), message: reader.text() };
}
