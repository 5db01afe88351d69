import type { HashNode } from '@aliquot/shared/log/merkle';
import type { Registry } from '../catalog/registry.ts';
import type { HistoryPlace } from '../history/history-log.ts';

/** What a record of the history changes in the registry, once its change of the catalog is made. */
export type Effect = (registry: Registry) => void;

/** Where a leaf of the log stands, and its nodes. */
export interface LeafPlace {
  readonly leafIndex: number;
  readonly timeMs: number;
  readonly nodes: readonly HashNode[];
  readonly place: HistoryPlace;
}
