/** Who needs the bytes of an item. */
export interface ItemNeed {
  /** Lineages in whose set it is, by the history as far as it is on stable storage. */
  readonly owners: number;
  /** Whether an agent has sent it, and no record says so yet. */
  readonly isPending: boolean;
}

/**
 * Whether the bytes of an item may go: nobody has it any more. Decided in the job that takes its
 * place out of the catalog, so nobody can come to rely on it in between.
 */
export function isDead({ owners, isPending }: ItemNeed): boolean {
  return owners === 0 && !isPending;
}

/** A pack that is to go. */
export interface LeavingPack {
  /** Items that the catalog reads from it. */
  readonly places: number;
  /** Whether the catalog without these places is on stable storage. */
  readonly isWritten: boolean;
  /** Readers that have it open. */
  readonly readers: number;
}

/**
 * Whether the file of a pack may go. Before the catalog is written, a crash would have it look for
 * items there.
 *
 * Seam: the rewriting of packs keeps to it by its order, and the model asks it.
 */
export function mayRemovePack({ places, isWritten, readers }: LeavingPack): boolean {
  return places === 0 && isWritten && readers === 0;
}

/**
 * Whether something may be done that cannot be taken back, for what a record of the history says:
 * only when that is on stable storage. `end`: where it ends, `synced`: how far the history is.
 *
 * Seam: the store keeps to it by syncing first, and the model asks it.
 */
export function isSettled(end: number, synced: number): boolean {
  return end <= synced;
}
