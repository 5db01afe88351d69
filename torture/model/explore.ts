import { agentMoves } from './agent-moves.ts';
import { diskMoves } from './disk-moves.ts';
import { StateBytes } from './encode.ts';
import { forget, keepMoves } from './keep-moves.ts';
import { type PropertyName, properties } from './properties.ts';
import { SeenStates } from './seen.ts';
import { copyTold, DROPPED, type State } from './state.ts';
import type { Protocol } from './steps.ts';
import { type ModelWorld, worldStart } from './worlds.ts';

export interface Exploration {
  readonly states: number;
  readonly moves: number;
  /** Moves that a trace would show at most. */
  readonly depth: number;
  readonly fault: { readonly says: string; readonly trace: readonly string[] } | undefined;
}

interface Reached {
  readonly state: State;
  readonly number: number;
  readonly depth: number;
}

/**
 * Every state that can be reached in a world, each once. `breadth` finds a shortest trace, and
 * keeps all states of one depth in memory; `depth` keeps few.
 */
export function explore(
  world: ModelWorld,
  steps: Protocol,
  order: 'breadth' | 'depth',
  asked: readonly PropertyName[] = ['kept', 'secret', 'replayed', 'gone'],
): Exploration {
  const seen = new SeenStates();
  const bytes = new StateBytes();
  const start = worldStart(world);
  const base = copyTold(start.now);
  let [moves, depth] = [0, 0];
  let open: Reached[] = [];
  let ahead: Reached[] = [];
  let failed: { readonly number: number; readonly says: string } | undefined;
  const enter = (state: State, parent: number, move: number, at: number): void => {
    const number = seen.add(bytes.of(state, world.isSymmetric === true), parent, move);
    if (number === undefined) return;
    depth = Math.max(depth, at);
    for (const name of asked) {
      const says = properties[name](state, steps, base);
      if (says !== undefined) failed ??= { number, says };
    }
    ahead.push({ state, number, depth: at });
  };
  enter(start, 0, 0, 0);
  while (failed === undefined) {
    const next = order === 'depth' ? ahead.pop() : open.pop();
    if (next === undefined) {
      if (order === 'depth' || ahead.length === 0) break;
      [open, ahead] = [ahead.reverse(), []];
      continue;
    }
    let move = 0;
    allMoves(next.state, steps, base, (state) => {
      enter(settled(state), next.number, move, next.depth + 1);
      move += 1;
      moves += 1;
    });
  }
  const fault = failed && {
    says: failed.says,
    trace: traceOf(world, steps, seen.pathTo(failed.number)),
  };
  return { states: seen.count, moves, depth, fault };
}

function allMoves(
  state: State,
  steps: Protocol,
  base: State['now'],
  take: (next: State, says: () => string) => void,
): void {
  agentMoves(state, steps, take);
  keepMoves(state, steps, take);
  diskMoves(state, steps, base, take);
}

/** Without what changes nothing any more, so that such states are one. */
function settled(state: State): State {
  if (state.budgets.rollbacks === 0) state.copy = undefined;
  forget(
    state,
    ({ isReceipted }, index) =>
      isReceipted &&
      state.now.stages[index] === DROPPED &&
      state.disk.told.stages[index] === DROPPED &&
      (state.copy?.told.stages[index] ?? DROPPED) === DROPPED,
  );
  return state;
}

/** What happened, told again from the first state on. */
function traceOf(world: ModelWorld, steps: Protocol, path: readonly number[]): string[] {
  let state = worldStart(world);
  const base = copyTold(state.now);
  return path.map((wanted) => {
    let move = 0;
    let said = '';
    let taken = state;
    allMoves(state, steps, base, (next, says) => {
      if (move === wanted) [said, taken] = [says(), next];
      move += 1;
    });
    state = settled(taken);
    return said;
  });
}
