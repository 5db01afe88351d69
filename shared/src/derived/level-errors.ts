import { DerivedError } from './errors.ts';
import { levelTrouble, levelWords } from './level-trouble.ts';

/** The error that an index must be made again; `what` it is called, and why. */
export function rebuild(what: string, why: string): DerivedError {
  return new DerivedError('DERIVED_REBUILD', `${what} is damaged: ${why}`);
}

/** What LevelDB met, in our words; other errors as they are. */
export function told(error: unknown, what: string): unknown {
  if (error instanceof DerivedError) return error;
  const cause = { cause: error };
  switch (levelTrouble(error)) {
    case undefined:
      return error;
    case 'damaged':
      return new DerivedError('DERIVED_REBUILD', `${what} is damaged: ${levelWords(error)}`, cause);
    case 'locked':
      return new DerivedError('DERIVED_LOCKED', `${what} is in use by a living process`, cause);
    case 'no-space':
      return new DerivedError('DERIVED_NO_SPACE', `${what}: the disk is full`, cause);
    case 'disk':
      return new DerivedError('DERIVED_STORAGE', `${what}: ${levelWords(error)}`, cause);
  }
}
