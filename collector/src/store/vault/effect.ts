import type { HashNode } from '@aliquot/shared/log/merkle';
import type { Registry } from '../catalog/registry.ts';
import type { HistoryPlace, HistoryRecord } from '../history/history-log.ts';

/** What a record of the history changes in the registry, once its change of the catalog is made. */
export type Effect = (registry: Registry) => void;

/** Of what changes nothing in memory. */
export const IDLE: Effect = () => undefined;

/** Where a leaf of the log stands, and its nodes. */
export interface LeafPlace {
  readonly leafIndex: number;
  readonly timeMs: number;
  /** As it is hashed. */
  readonly bytes: Uint8Array;
  readonly nodes: readonly HashNode[];
  readonly place: HistoryPlace;
}

/** The record that holds a leaf, and those that stand right before and behind it. */
export interface LeafRecords {
  readonly before?: readonly HistoryRecord[];
  readonly own: HistoryRecord;
  readonly after?: readonly HistoryRecord[];
}
