import type { BlockRow } from '@aliquot/proto';

/** A version in the chain of its file, as it bears on whether it may be dropped. */
export interface ChainedVersion {
  readonly kind: BlockRow['kind'];
  /** Whether retention lets it go. */
  readonly isLetGo: boolean;
}

/**
 * Of the versions of one file or result, the newest first: which may be dropped. What is there is
 * never, whatever anybody says. That a file is gone is said as long as anything is left of it, and
 * beside the trunk for ever: there it also says that what the trunk has is not this history's.
 */
export function droppable(
  versions: readonly ChainedVersion[],
  { isTrunk }: { readonly isTrunk: boolean },
): boolean[] {
  const earlier = versions.slice(1);
  const isNothingLeft = earlier.every(({ isLetGo }) => isLetGo);
  return versions.map(({ kind, isLetGo }, at) => {
    if (at > 0) return isLetGo;
    return isLetGo && kind === 'gone' && isTrunk && isNothingLeft;
  });
}
