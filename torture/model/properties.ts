import { replay } from './history.ts';
import {
  at,
  has,
  itemsSaid,
  lineageSaid,
  queuedBytes,
  standing,
  unreadable,
  versionSaid,
} from './looks.ts';
import { allItems, closureOf, DROPPED, NONE, type State, type Told } from './state.ts';
import type { Protocol } from './steps.ts';

/** Says what is wrong in a state, if anything is. */
type Property = (state: State, steps: Protocol, base: Told) => string | undefined;

/** What a state must never show. */
export const properties = {
  kept: lacking,
  secret: told,
  replayed: otherwise,
  gone: left,
} satisfies Readonly<Record<string, Property>>;

export type PropertyName = keyof typeof properties;

/** No version that is kept, or was captured and is not kept yet, lacks anything. */
function lacking(state: State): string | undefined {
  for (const [index, version] of state.versions.entries()) {
    const stage = at(state.now.stages, index);
    if (stage === DROPPED) continue;
    const { lineage } = at(state.lines, version.line);
    const isKnown = has(state.now.lines, 1 << version.line);
    // What is said of a line that nobody knows: see `forgetUnknown`.
    if (stage === NONE && !isKnown) continue;
    const queued = stage === NONE ? queuedBytes(state, version.line) : 0;
    const needs = closureOf(version.content) & ~queued;
    const lost = (needs & ~at(state.now.owned, lineage)) | unreadable(state, needs);
    if (lost === 0) continue;
    const what = stage === NONE ? 'was captured' : 'is kept';
    return `${versionSaid(version)} ${what}, and ${itemsSaid(lost)} is gone`;
  }
  return undefined;
}

/** No answer tells what others have; and what a lineage has is answered. */
function told(state: State, steps: Protocol): string | undefined {
  for (const lineage of [0, 1])
    for (const item of allItems) {
      const own = at(state.now.owned, lineage) | at(state.pending, lineage);
      const isSaid = standing(state, steps, lineage, item) !== undefined;
      if (isSaid === has(own, item)) continue;
      return isSaid
        ? `${lineageSaid(lineage)} is told that ${itemsSaid(item)} is here, which only others have`
        : `${lineageSaid(lineage)} is told that ${itemsSaid(item)} is missing, which it has`;
    }
  return undefined;
}

/** A replay of the history, thinned or not, gives what the live catalog has. */
function otherwise(state: State, _steps: Protocol, base: Told): string | undefined {
  const said = replay(state.history, base, state.versions, ({ isThinned }) => isThinned);
  if (isAlike(said, state.now)) return undefined;
  return 'a replay of the history gives another catalog';
}

function isAlike(a: Told, b: Told): boolean {
  const lists = ['owned', 'walked', 'announced', 'swept', 'hasDropped', 'stages'] as const;
  const numbers = ['length', 'newest', 'logEpoch', 'reported', 'lines'] as const;
  return (
    numbers.every((name) => a[name] === b[name]) &&
    lists.every((name) => a[name].every((one, index) => one === b[name][index]))
  );
}

/** What is dropped goes: at the end of a sweep the set has what is reached, or came since. */
function left(state: State): string | undefined {
  for (const [lineage, run] of state.runs.entries()) {
    if (run === undefined || run.leaving !== 0 || run.unwalked !== 0) continue;
    const stays = at(state.now.owned, lineage) & ~(run.reached | run.fresh);
    if (stays === 0) continue;
    return `the sweep of ${lineageSaid(lineage)} is over, and has left ${itemsSaid(stays)}`;
  }
  return undefined;
}
