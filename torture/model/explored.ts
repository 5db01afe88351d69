import { type Exploration, explore } from './explore.ts';
import { type Mutant, mutants } from './mutants.ts';
import { protocol } from './steps.ts';
import { type ModelWorld, worlds } from './worlds.ts';

/** What one of the explorations came to. */
export interface Explored {
  readonly name: string;
  readonly isMutant: boolean;
  /** Nothing was found in a world, or a mutant was. */
  readonly isGood: boolean;
  readonly seconds: number;
  readonly found: Exploration;
}

/** Every state of a world, and no fault in any. */
export function exploreWorld(world: ModelWorld): Exploration {
  return explore(world, protocol, 'depth');
}

/** States of a mutant's world up to the first that shows what it breaks. */
export function findMutant(mutant: Mutant): Exploration {
  return explore(mutant, { ...protocol, ...mutant.steps }, 'breadth', [mutant.breaks ?? 'kept']);
}

/** All that `npm run model` does, what takes longest first. */
export const explorations: readonly (() => Explored)[] = [
  ...worlds.map((world) => () => timed(world.name, false, () => exploreWorld(world))),
  ...mutants.map((mutant) => () => timed(mutant.name, true, () => findMutant(mutant))),
];

function timed(name: string, isMutant: boolean, run: () => Exploration): Explored {
  const startedMs = performance.now();
  const found = run();
  const seconds = (performance.now() - startedMs) / 1000;
  return { name, isMutant, isGood: (found.fault !== undefined) === isMutant, seconds, found };
}

/** What was found, for people: a line, and below it the trace where there is one. */
export function saidOf({ name, isMutant, found, seconds }: Explored): string {
  const { states, moves, depth, fault } = found;
  const count = (number: number): string => number.toLocaleString('en-US');
  const counts = `${count(states)} states, ${count(moves)} moves, up to ${depth} deep`;
  const head = `${name}: ${counts}, ${seconds.toFixed(1)} s`;
  if (fault === undefined) return isMutant ? `NOT FOUND  ${head}` : `nothing lost  ${head}`;
  const trace = fault.trace.map((says, index) => `  ${index + 1}. ${says}`);
  return [`${isMutant ? 'found' : 'FAULT'}  ${head}`, ...trace, `  => ${fault.says}`].join('\n');
}
