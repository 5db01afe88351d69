import { append, replay } from './history.ts';
import { forget } from './keep-moves.ts';
import { at, has, itemsSaid, queuedBytes, unreadable } from './looks.ts';
import {
  allItems,
  closureOf,
  copyAnswers,
  copyDisk,
  copyPlaces,
  copyState,
  DROPPED,
  type ModelPlaces,
  NONE,
  type OnDisk,
  type State,
  type Told,
} from './state.ts';
import type { Protocol, Take } from './steps.ts';

/** What the collector's disk can do, and what can become of it. */
export function diskMoves(state: State, steps: Protocol, base: Told, take: Take): void {
  sync(state, take);
  beginRewriting(state, steps, take);
  goOnRewriting(state, steps, take);
  thin(state, steps, take);
  crash(state, base, take);
  copyFolder(state, take);
  rollBack(state, base, take);
  reopenLog(state, take);
}

/** The history, and the catalog's notes: more than a sync of the history promises. */
function sync(state: State, take: Take): void {
  const isNew = state.now.length !== state.disk.told.length;
  const isNoted = state.answers.some((answer, line) => {
    const { epoch, logEpoch } = at(state.disk.answers, line);
    return answer.epoch !== epoch || answer.logEpoch !== logEpoch;
  });
  if (!isNew && !isNoted) return;
  const next = copyState(state);
  next.disk.told = copyState(state).now;
  next.disk.history = state.history;
  next.disk.answers = copyAnswers(state.answers);
  take(next, () => 'the history is synced');
}

/** Whether nobody needs an item's bytes. */
function isDeadNow(state: State, steps: Protocol, item: number): boolean {
  const owners = state.now.owned.filter((owned) => has(owned, item)).length;
  const isPending = state.pending.some((pending) => has(pending, item));
  return steps.isDead({ owners, isPending });
}

/** Items of a pack that are read from it. */
function itemsFrom({ places }: ModelPlaces, pack: number): number[] {
  return allItems.filter((_, index) => has(at(places, index), 1 << pack));
}

/** What lives in a pack of which something is dead goes into the newest one, as a second copy. */
function beginRewriting(state: State, steps: Protocol, take: Take): void {
  if (state.rewriting !== undefined || state.budgets.rewrites === 0) return;
  for (const [pack, items] of state.disk.packs.entries()) {
    if (items === undefined) continue;
    const here = itemsFrom(state.places, pack);
    const dead = here.filter((item) => isDeadNow(state, steps, item));
    if (dead.length === 0) continue;
    const next = copyState(state);
    next.budgets.rewrites -= 1;
    if (pack === next.disk.packs.length - 1) {
      next.disk.packs.push(0);
      next.places.known.push(0);
    }
    const into = next.disk.packs.length - 1;
    const copied = here.filter((item) => !dead.includes(item)).reduce((all, one) => all | one, 0);
    next.rewriting = { pack, into, copied, step: 'copied' };
    take(next, () => `of pack ${pack} ${itemsSaid(copied)} is copied into pack ${into}`);
  }
}

function goOnRewriting(state: State, steps: Protocol, take: Take): void {
  const { rewriting } = state;
  if (rewriting === undefined) return;
  const { pack } = rewriting;
  if (rewriting.step === 'copied') {
    const next = copyState(state);
    next.disk.packs[rewriting.into] = (next.disk.packs[rewriting.into] ?? 0) | rewriting.copied;
    if (next.rewriting !== undefined) next.rewriting.step = 'synced';
    take(next, () => `pack ${rewriting.into} is synced, and read back`);
    return;
  }
  if (rewriting.step === 'synced') movePlaces(state, steps, take);
  const places = itemsFrom(state.places, pack).length;
  const isWritten = rewriting.step === 'written';
  if (!steps.mayRemovePack({ places, isWritten, readers: 0 })) return;
  const next = copyState(state);
  next.disk.packs[pack] = undefined;
  next.rewriting = undefined;
  take(next, () => `pack ${pack} is removed`);
}

/**
 * One batch of the catalog: what was copied is read from its new place, what is dead from none.
 * What came to be needed meanwhile is copied first. It is written synced, the history before it.
 */
function movePlaces(state: State, steps: Protocol, take: Take): void {
  const { rewriting, now, disk } = state;
  if (rewriting === undefined || !steps.isSettled(now.length, disk.told.length)) return;
  const { pack, into, copied } = rewriting;
  const next = copyState(state);
  if (next.rewriting === undefined) return;
  const late = itemsFrom(state.places, pack).filter(
    (item) => !has(copied, item) && !isDeadNow(state, steps, item),
  );
  if (late.length > 0) {
    next.rewriting.copied = late.reduce((all, item) => all | item, copied);
    next.rewriting.step = 'copied';
    take(next, () => `what of pack ${pack} was sent again meanwhile is copied too`);
    return;
  }
  for (const item of itemsFrom(state.places, pack)) {
    const index = allItems.indexOf(item as 1);
    const others = at(next.places.places, index) & ~(1 << pack);
    next.places.places[index] = has(copied, item) ? others | (1 << into) : others;
  }
  next.places.known[pack] = undefined;
  next.places.known[into] = (next.places.known[into] ?? 0) | copied;
  next.rewriting.step = 'written';
  next.disk.written = copyPlaces(next.places);
  next.disk.answers = copyAnswers(next.answers);
  take(next, () => `the catalog is written without the places in pack ${pack}`);
}

/** A closed file of the history is rewritten without versions that were dropped. */
function thin(state: State, steps: Protocol, take: Take): void {
  if (state.budgets.thinnings === 0) return;
  if (!steps.isSettled(state.now.length, state.disk.told.length)) return;
  const dropped = [...state.versions.keys()].filter(
    (index) =>
      at(state.now.stages, index) === DROPPED && at(state.disk.told.stages, index) !== NONE,
  );
  if (dropped.length === 0) return;
  const next = copyState(state);
  next.budgets.thinnings -= 1;
  for (const index of dropped) at(next.versions, index).isThinned = true;
  take(next, () => 'the history is rewritten without what was dropped');
}

/** What a start finds: places as the catalog has them, and what packs hold beside. */
function recovered({ written, packs }: OnDisk): ModelPlaces {
  const isMissing = written.known.some(
    (known, pack) => known !== undefined && packs[pack] === undefined,
  );
  const found = isMissing ? { places: allItems.map(() => 0), known: [] } : copyPlaces(written);
  for (const [pack, items] of packs.entries()) {
    const fresh = (items ?? 0) & ~(found.known[pack] ?? 0);
    for (const [index, item] of allItems.entries())
      if (has(fresh, item)) found.places[index] = at(found.places, index) | (1 << pack);
    found.known[pack] = items === undefined ? undefined : (found.known[pack] ?? 0) | fresh;
  }
  return found;
}

/** Opens the vault from what is on the disk. */
function start(state: State, base: Told): void {
  const { disk } = state;
  state.history = disk.history;
  state.now = replay(disk.history, base, state.versions, ({ isThinned }) => isThinned);
  disk.told = replay(disk.history, base, state.versions, ({ isThinned }) => isThinned);
  state.places = recovered(disk);
  state.answers = disk.answers.map((answer) => ({ ...answer, isOfThisStart: false }));
  disk.answers = copyAnswers(state.answers);
  state.pending = state.pending.map(() => 0);
  state.touched = state.touched.map(() => 0);
  state.runs = state.runs.map(() => undefined);
  state.rewriting = undefined;
  for (const version of state.versions) version.sight = 0;
}

function crash(state: State, base: Told, take: Take): void {
  if (state.budgets.crashes === 0) return;
  const next = copyState(state);
  next.budgets.crashes -= 1;
  start(next, base);
  take(next, () => 'the collector crashes, and starts again');
}

function copyFolder(state: State, take: Take): void {
  if (state.budgets.copies === 0) return;
  const next = copyState(state);
  next.budgets.copies -= 1;
  next.copy = copyDisk(state.disk);
  for (const version of next.versions) version.wasThinned = version.isThinned;
  take(next, () => "the collector's folder is copied");
}

/**
 * What went with the lost tail and is nowhere else is the rollback's doing, and leaves the world:
 * agents name it as lost. What the copy still has must not be lost any more.
 */
function rollBack(state: State, base: Told, take: Take): void {
  const { copy } = state;
  if (state.budgets.rollbacks === 0 || copy === undefined) return;
  const next = copyState(state);
  next.budgets.rollbacks -= 1;
  next.disk = copyDisk(copy);
  next.copy = undefined;
  for (const version of next.versions) version.isThinned = version.wasThinned;
  start(next, base);
  const kept = next.lines.map(({ lineage }, line) => {
    const owned = at(next.now.owned, lineage);
    return (owned & ~unreadable(next, owned)) | queuedBytes(next, line);
  });
  for (const [line, one] of next.lines.entries()) one.cache &= at(kept, line);
  for (const [index, { line, isReceipted }] of next.versions.entries())
    if (isReceipted && at(next.now.stages, index) === NONE) at(next.lines, line).lostHead = 1;
  forget(
    next,
    ({ line, content }, index) =>
      at(next.now.stages, index) === NONE && (closureOf(content) & ~at(kept, line)) !== 0,
  );
  take(next, () => "the collector's folder is put back to its copy");
}

function reopenLog(state: State, take: Take): void {
  if (state.now.reported === 0) return;
  const next = copyState(state);
  append(next, { type: 'reopened' });
  for (const line of next.lines) if (line.lostHead === 1) line.lostHead = 2;
  take(next, () => 'the log is reopened');
}
