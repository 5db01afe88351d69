import type { LoggedCorrection } from '@aliquot/shared/log/log-times';
import { keys } from '../catalog/catalog-keys.ts';
import type { CatalogChange, CatalogStore } from '../catalog/catalog-store.ts';
import type { Registry } from '../catalog/registry.ts';
import { values } from '../catalog/row-codec.ts';
import type { Effect, LeafPlace } from './effect.ts';

/*
 * Corrections of the collector's clock. Times in the catalog are corrected ones, so a correction
 * changes rows of records before it: the catalog is made again then, by a replay that knows it from
 * the beginning. Which ones a catalog follows stands in its notes; they change with its being
 * emptied, in one write.
 */

/** Notes the correction; times follow it once the catalog is made again. */
export function applyCorrection(
  change: CatalogChange,
  body: LoggedCorrection['body'],
  { leafIndex, timeMs }: Pick<LeafPlace, 'leafIndex' | 'timeMs'>,
): Effect {
  const logged = { leafIndex, timeMs, body };
  change.put(keys.correction(leafIndex), values.correction(logged));
  return (registry) => {
    registry.corrections = [...registry.corrections, logged];
  };
}

/** Whether the times of the catalog follow the corrections that the log has, and no others. */
export function followsCorrections({ corrections, times }: Registry): boolean {
  return (
    corrections.length === times.corrections.length &&
    corrections.every((one, at) => {
      const followed = times.corrections[at];
      return (
        followed?.leafIndex === one.leafIndex &&
        values.correction(followed).equals(values.correction(one))
      );
    })
  );
}

/**
 * Has the next making of the catalog follow the corrections that the log has. It must be emptied
 * next: its rows follow others.
 */
export function followCorrections(catalog: CatalogStore, { corrections, times }: Registry): void {
  for (const { leafIndex } of times.corrections) catalog.note(keys.followed(leafIndex), undefined);
  for (const one of corrections) catalog.note(keys.followed(one.leafIndex), values.correction(one));
}
