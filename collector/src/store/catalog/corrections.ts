import type { LoggedCorrection } from '@aliquot/shared/log/log-times';
import { type Range, ranges, readKey } from './catalog-keys.ts';
import type { CatalogStore } from './catalog-store.ts';
import { read } from './row-codec.ts';

/** Corrections of the clock that a catalog knows, or (`followed`) that its times follow. */
export async function correctionsIn(
  catalog: CatalogStore,
  range: Range,
): Promise<LoggedCorrection[]> {
  const corrections: LoggedCorrection[] = [];
  for await (const [key, value] of catalog.scan(range)) {
    const leafIndex = range === ranges.followed ? readKey.noteNumber(key) : readKey.number(key);
    corrections.push(read.correction(leafIndex, value));
  }
  return corrections;
}
