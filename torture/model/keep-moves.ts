import { append } from './history.ts';
import {
  at,
  has,
  itemsSaid,
  lineageSaid,
  progressOf,
  reached,
  refusalOf,
  versionSaid,
  waitsOf,
} from './looks.ts';
import {
  allItems,
  closureOf,
  copyState,
  DROPPED,
  depthOf,
  EXPIRED,
  KEPT,
  NONE,
  type State,
} from './state.ts';
import type { Protocol, Take } from './steps.ts';

/** What retention and collection can do now, for each lineage. */
export function keepMoves(state: State, steps: Protocol, take: Take): void {
  for (const index of state.versions.keys()) {
    expire(state, index, take);
    hold(state, index, take);
  }
  for (const lineage of [0, 1]) {
    drop(state, steps, lineage, take);
    announce(state, steps, lineage, take);
    mark(state, steps, lineage, take);
    walkSince(state, lineage, take);
    sweep(state, steps, lineage, take);
    end(state, steps, lineage, take);
  }
}

/** Whatever the rules are: they may let any version go that nobody holds. */
function expire(state: State, index: number, take: Take): void {
  const version = at(state.versions, index);
  if (at(state.now.stages, index) !== KEPT || version.isHeld) return;
  const next = copyState(state);
  append(next, { type: 'expired', version: version.id });
  take(next, () => `retention lets ${versionSaid(version)} expire`);
}

/** A hold, or a person's undoing: what is expired is kept again, and does not expire any more. */
function hold(state: State, index: number, take: Take): void {
  const version = at(state.versions, index);
  const stage = at(state.now.stages, index);
  if (state.budgets.holds === 0 || stage === NONE || stage === DROPPED) return;
  const next = copyState(state);
  next.budgets.holds -= 1;
  at(next.versions, index).isHeld = true;
  if (stage === EXPIRED) append(next, { type: 'undone', version: version.id });
  take(next, () => `somebody holds ${versionSaid(version)}`);
}

function drop(state: State, steps: Protocol, lineage: number, take: Take): void {
  if (!steps.mayDrop(progressOf(state.now, lineage))) return;
  const next = copyState(state);
  let count = 0;
  for (const [index, { id, line }] of state.versions.entries()) {
    const isOfIt = at(state.lines, line).lineage === lineage;
    if (!isOfIt || at(state.now.stages, index) !== EXPIRED) continue;
    append(next, { type: 'dropped', version: id, lineage });
    count += 1;
  }
  if (count > 0) take(next, () => `what has expired of ${lineageSaid(lineage)} is dropped`);
}

/** The clock goes on whatever becomes of the collector's folder. */
function announce(state: State, steps: Protocol, lineage: number, take: Take): void {
  if (at(state.budgets.epochs, lineage) === 0) return;
  if (!steps.mayAnnounce(progressOf(state.now, lineage))) return;
  const { newest } = state.now;
  const given = Math.max(newest, ...state.lines.map(({ learned }) => learned));
  const next = copyState(state);
  next.budgets.epochs[lineage] = at(state.budgets.epochs, lineage) - 1;
  const epoch = steps.nextSweepEpoch(newest, given + 1);
  append(next, { type: 'announced', lineage, epoch });
  take(next, () => `epoch ${epoch} is announced to ${lineageSaid(lineage)}`);
}

/** When all have answered: what nothing reaches that is not dropped. */
function mark(state: State, steps: Protocol, lineage: number, take: Take): void {
  const { announced, swept } = progressOf(state.now, lineage);
  if (announced <= swept || waitsOf(state, steps, lineage) > 0) return;
  const run = state.runs[lineage];
  if (run !== undefined && run.logEpoch === state.now.logEpoch) return;
  const next = copyState(state);
  const items = reached(state, steps, lineage);
  const leaving = at(state.now.owned, lineage) & ~items;
  next.runs[lineage] = {
    ...{ leaving, unwalked: 0, fresh: 0, reached: items },
    logEpoch: state.now.logEpoch,
  };
  take(
    next,
    () => `the mark of ${lineageSaid(lineage)}: ${itemsSaid(leaving)} is reached by nothing`,
  );
}

function walkSince(state: State, lineage: number, take: Take): void {
  const run = state.runs[lineage];
  if (run === undefined || run.unwalked === 0) return;
  const next = copyState(state);
  next.runs[lineage] = {
    ...run,
    leaving: run.leaving & ~run.unwalked,
    unwalked: 0,
    fresh: run.fresh | run.unwalked,
  };
  take(next, () => `what was committed to ${lineageSaid(lineage)} since the mark is walked`);
}

/** One record. In truth it has thousands of ids; where one can end, all can. */
function sweep(state: State, steps: Protocol, lineage: number, take: Take): void {
  const run = state.runs[lineage];
  if (run === undefined || run.leaving === 0) return;
  if (refusalOf(state, steps, lineage) !== undefined) return;
  const [first] = allItems
    .filter((item) => has(run.leaving, item))
    .toSorted((a, b) => steps.compareLeaving({ depth: depthOf(a) }, { depth: depthOf(b) }));
  if (first === undefined) return;
  const next = copyState(state);
  const isTouched = has(at(state.touched, lineage), first);
  const fate = steps.fateOf({ depth: depthOf(first), isReached: false }, isTouched);
  next.runs[lineage] = { ...run, leaving: run.leaving & ~first };
  if (fate !== 'leaves') {
    next.runs[lineage] = { ...run, leaving: run.leaving & ~first, fresh: run.fresh | first };
    if (fate === 'unwalked') append(next, { type: 'swept', lineage, items: 0, unwalked: first });
    take(next, () => `${itemsSaid(first)} is spared, for it was just asked for`);
    return;
  }
  append(next, { type: 'swept', lineage, items: first, unwalked: 0 });
  for (const version of next.versions)
    if (at(state.lines, version.line).lineage === lineage && version.sight > 0) version.sight = 2;
  forgetUnknown(next, lineage, first);
  take(next, () => `${itemsSaid(first)} leaves the set of ${lineageSaid(lineage)}`);
}

/**
 * A copy of a PC that never sent a commit of its own cannot be waited for: nobody knows of it. What
 * it relies on and loses by that is not counted against the protocol.
 */
function forgetUnknown(state: State, lineage: number, items: number): void {
  for (const [line, one] of state.lines.entries()) {
    if (!one.exists || one.lineage !== lineage || has(state.now.lines, 1 << line)) continue;
    one.cache &= ~items;
    forget(
      state,
      (version) => version.line === line && has(closureOf(version.content) & ~version.bytes, items),
    );
  }
}

/** Takes versions out of the world, of which nobody asks any more. */
export function forget(
  state: State,
  isGone: (version: State['versions'][number], index: number) => boolean,
): void {
  const left = state.versions.map((version, index) => !isGone(version, index));
  if (left.every(Boolean)) return;
  const stay = <T>(list: readonly T[]): T[] => list.filter((_, index) => left[index]);
  state.versions = stay(state.versions);
  state.now.stages = stay(state.now.stages);
  state.disk.told.stages = stay(state.disk.told.stages);
  const { copy } = state;
  if (copy !== undefined)
    state.copy = { ...copy, told: { ...copy.told, stages: stay(copy.told.stages) } };
}

function end(state: State, steps: Protocol, lineage: number, take: Take): void {
  const run = state.runs[lineage];
  if (run === undefined || run.leaving !== 0) return;
  if (refusalOf(state, steps, lineage) !== undefined) return;
  const next = copyState(state);
  append(next, { type: 'ended', lineage, epoch: at(state.now.announced, lineage) });
  next.runs[lineage] = undefined;
  next.touched[lineage] = 0;
  take(next, () => `the sweep of ${lineageSaid(lineage)} is at its end`);
}
