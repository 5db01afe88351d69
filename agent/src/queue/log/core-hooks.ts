import type { ChainKind } from './formats.ts';

/** A record for the chain log. */
export interface ChainRecord {
  readonly kind: ChainKind;
  readonly payload: Uint8Array;
}

export interface CoreHooks {
  /**
   * What goes into the chain log with the next flush, after the segments and before the index.
   * Asked again when a flush failed.
   */
  chainWith(): readonly ChainRecord[];
  /** A flush is done. */
  flushed(wrote: { readonly versions: number }): void;
  /** A chain record is durable and applied: it may have ended holds. */
  chained(): Promise<void>;
  /**
   * The files were opened again, after a full disk or for a damaged index: what was open in memory
   * has ended. `lost` versions were named as lost meanwhile.
   */
  reopened(lost: number): Promise<void>;
}
