import type { SourceId } from '@aliquot/proto';
import { sourceIdFor } from '@aliquot/shared/keys/derive';
import { type BytePath, pathBytes } from './paths.ts';
import type { Patience } from './patience.ts';
import type { Problem } from './problem.ts';
import type { CompletionProof } from './proof.ts';
import type { WalkRules } from './rules.ts';

/** A watched folder, or a path that a person named, with how its files are treated. */
export interface Source {
  readonly root: BytePath;
  readonly sourceId: SourceId;
  /** Policy class of everything in it. */
  readonly class: string;
  readonly rules: WalkRules;
  /** When a result counts as complete; undefined: at once (a person asked for it now). */
  readonly proof: CompletionProof | undefined;
  /** What happens to what never comes to rest; undefined: nothing, for nothing waits. */
  readonly patience?: Patience;
  /**
   * The root is a symbolic link: itself is captured, and nothing is watched by its name. What it
   * leads to is a source of its own.
   */
  readonly isLink?: boolean;
  /** What is wrong with the root itself, found when it was looked where it leads. */
  readonly trouble?: Problem | undefined;
}

/** A source of this agent. */
export function sourceOf(pathKey: Uint8Array, source: Omit<Source, 'sourceId'>): Source {
  return { ...source, sourceId: sourceIdFor(pathKey, pathBytes(source.root)) };
}
