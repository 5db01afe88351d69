import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** V8's collector, which it hands out under a flag. */
type Collect = (options: {
  readonly type: 'major';
  readonly execution: 'sync';
  readonly flavor: 'last-resort';
}) => void;

/**
 * Gives back what work left behind: V8 leaves garbage alone while nothing new comes, so that a
 * service at rest would hold it for days. For the end of work only: it is the thorough kind, which
 * looks at everything several times.
 */
export function giveMemoryBack(): void {
  // The flag counts for new contexts only; it shows the collector to one that is gone at once, and
  // to no other code.
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as Collect;
  setFlagsFromString('--no-expose-gc');
  collect({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}
