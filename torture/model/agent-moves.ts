import { append } from './history.ts';
import {
  at,
  has,
  itemsSaid,
  lineSaid,
  queuedBytes,
  standing,
  versionSaid,
  walkFrom,
} from './looks.ts';
import { allItems, closureOf, copyState, type ModelVersion, NONE, type State } from './state.ts';
import type { Protocol, Take } from './steps.ts';

/** The copy of PC A. */
const COPY = 2;

/** What PCs can do now: each is offline for as long as it does nothing. */
export function agentMoves(state: State, steps: Protocol, take: Take): void {
  for (const [line, { exists }] of state.lines.entries()) {
    if (!exists) continue;
    capture(state, line, take);
    learn(state, steps, line, take);
    answer(state, steps, line, take);
    comeBack(state, steps, line, take);
  }
  for (const [index, version] of state.versions.entries()) {
    if (version.isReceipted) continue;
    if (at(state.lines, version.line).lostHead === 0) {
      upload(state, steps, index, take);
      commit(state, steps, index, take);
    }
    receipt(state, index, take);
  }
  fork(state, take);
}

/** What its cache knows is not kept: it counts on the collector for it. */
function capture(state: State, line: number, take: Take): void {
  const { lineage, cache } = at(state.lines, line);
  if (at(state.budgets.captures, lineage) === 0) return;
  for (const content of state.contents) {
    const next = copyState(state);
    next.budgets.captures[lineage] = at(state.budgets.captures, lineage) - 1;
    next.born += 1;
    const needs = closureOf(content);
    const version: ModelVersion = {
      id: state.born,
      ...{ line, content, bytes: needs & ~cache },
      ...{ isAwaited: false, isReceipted: false, isHeld: false },
      ...{ sight: 0, isThinned: false, wasThinned: false },
    };
    next.versions.push(version);
    for (const told of [next.now, next.disk.told]) told.stages.push(NONE);
    if (next.copy !== undefined) next.copy = { ...next.copy, told: withStage(next.copy.told) };
    at(next.lines, line).cache |= needs;
    take(next, () => {
      const brings = `its queue has ${itemsSaid(version.bytes)}`;
      return `${versionSaid(version)} is captured: ${brings}`;
    });
  }
}

const withStage = (told: State['now']): State['now'] => ({
  ...told,
  stages: [...told.stages, NONE],
});

/**
 * `have` is asked about an item that the queue has, one by one: a sweep may come between two. What
 * is missing goes into the newest pack, unless a pack has it already.
 */
function upload(state: State, steps: Protocol, index: number, take: Take): void {
  const { line, content } = at(state.versions, index);
  const { lineage } = at(state.lines, line);
  const { announced, swept } = state.now;
  const isWatched = at(announced, lineage) > at(swept, lineage);
  const mine = queuedBytes(state, line) & closureOf(content);
  for (const [place, item] of allItems.entries()) {
    if (!has(mine, item)) continue;
    const isMissing = standing(state, steps, lineage, item) === undefined;
    const isNew = isWatched && !has(at(state.touched, lineage), item);
    if (!isMissing && !isNew) continue;
    const next = copyState(state);
    if (isNew) next.touched[lineage] = at(next.touched, lineage) | item;
    if (isMissing) put(next, lineage, place);
    take(next, () => {
      const does = isMissing ? 'uploads' : 'hears that the collector has';
      return `${lineSaid(line)} ${does} ${itemsSaid(item)}`;
    });
  }
}

function put(state: State, lineage: number, place: number): void {
  const item = at(allItems, place);
  const newest = state.disk.packs.length - 1;
  if (at(state.places.places, place) === 0) {
    state.disk.packs[newest] = (state.disk.packs[newest] ?? 0) | item;
    state.places.places[place] = 1 << newest;
    state.places.known[newest] = (state.places.known[newest] ?? 0) | item;
  }
  state.pending[lineage] = at(state.pending, lineage) | item;
}

/**
 * A commit of one version. Its references may be walked beside the queue first: what that proved is
 * recorded, and the judgement relies on it as long as it holds.
 */
function commit(state: State, steps: Protocol, index: number, take: Take): void {
  const version = at(state.versions, index);
  const { line, content, sight } = version;
  const { lineage } = at(state.lines, line);
  if (at(state.now.stages, index) !== NONE) return;
  const seen = { opening: 0, shrunk: 0 };
  const relies = sight > 0 && steps.stillHolds(seen, { opening: 0, shrunk: sight - 1 });
  const { missing, proved } = relies
    ? { missing: 0, proved: 0 }
    : walkFrom(state, steps, lineage, content);
  if (missing !== 0) return;
  const walked = copyState(state);
  recordUploads(walked, lineage);
  if (proved !== 0) append(walked, { type: 'references', lineage, items: proved });
  const run = walked.runs[lineage];
  if (run !== undefined && proved !== 0) run.unwalked |= closureOf(content);
  if (!relies) {
    const next = copyState(walked);
    at(next.versions, index).sight = 1;
    take(next, () => `the collector has walked through ${versionSaid(version)}, beside its queue`);
  }
  append(walked, { type: 'commit', version: version.id, line });
  at(walked.versions, index).sight = 0;
  if (run !== undefined) run.unwalked |= closureOf(content);
  take(walked, () => `the collector accepts ${versionSaid(version)}`);
}

/** What a lineage has uploaded is written down before anything that relies on it. */
function recordUploads(state: State, lineage: number): void {
  const items = at(state.pending, lineage);
  if (items === 0) return;
  append(state, { type: 'uploads', lineage, items });
  state.pending[lineage] = 0;
  const run = state.runs[lineage];
  if (run !== undefined) run.fresh |= items;
}

/** Only for what is on stable storage (I-C1). Then the bytes go, and the source may go too. */
function receipt(state: State, index: number, take: Take): void {
  if (at(state.disk.told.stages, index) === NONE) return;
  const next = copyState(state);
  const version = at(next.versions, index);
  version.isReceipted = true;
  version.isAwaited = false;
  version.bytes = 0;
  take(next, () => `${lineSaid(version.line)} has its receipt for ${versionSaid(version)}`);
}

/** From then on the cache is empty; everything captured before is waited for (I-A9). */
function learn(state: State, steps: Protocol, line: number, take: Take): void {
  const { lineage, learned, lostHead } = at(state.lines, line);
  const epoch = at(state.now.announced, lineage);
  const isTold = steps.isSettled(epoch, at(state.disk.told.announced, lineage));
  if (epoch <= learned || !isTold || lostHead !== 0) return;
  const next = copyState(state);
  const mine = at(next.lines, line);
  mine.learned = epoch;
  mine.cache = 0;
  for (const version of next.versions)
    if (version.line === line && !version.isReceipted) version.isAwaited = true;
  take(next, () => `${lineSaid(line)} learns epoch ${epoch}, and empties its cache`);
}

/** Noted of lines that the collector knows; an epoch above the announced one is not. */
function answer(state: State, steps: Protocol, line: number, take: Take): void {
  const { learned, lostHead } = at(state.lines, line);
  const { now } = state;
  if (learned === 0 || lostHead !== 0 || !has(now.lines, 1 << line) || learned > now.newest) return;
  if (state.versions.some((version) => version.line === line && version.isAwaited)) return;
  const before = at(state.answers, line);
  const known = steps.countedAnswer({ ...before, isOfLine: true }, now.logEpoch);
  if (learned <= known) return;
  const next = copyState(state);
  next.answers[line] = { epoch: learned, logEpoch: now.logEpoch, isOfThisStart: true };
  take(next, () => `${lineSaid(line)} answers epoch ${learned}`);
}

/**
 * A PC that has verified what the log has lost says so; once the log was reopened, it empties its
 * cache, sends again what is not there, and waits for all of it before it answers an epoch.
 */
function comeBack(state: State, steps: Protocol, line: number, take: Take): void {
  const { lostHead } = at(state.lines, line);
  if (lostHead === 1 && !has(state.now.reported, 1 << line)) {
    const next = copyState(state);
    append(next, { type: 'reported', line });
    take(next, () => `${lineSaid(line)} shows a head that the log has lost`);
  }
  if (lostHead !== 2) return;
  const next = copyState(state);
  at(next.lines, line).lostHead = 0;
  if (steps.emptiesCache()) at(next.lines, line).cache = 0;
  for (const [index, version] of next.versions.entries()) {
    if (version.line !== line || at(next.now.stages, index) !== NONE) continue;
    version.isReceipted = false;
    version.isAwaited = steps.waitsForAllAgain();
  }
  take(
    next,
    () => `${lineSaid(line)} comes back to the reopened log, and sends again what is not in it`,
  );
}

/** A snapshot of PC A is put back beside it, or its folder copied. */
function fork(state: State, take: Take): void {
  const original = at(state.lines, 0);
  if (state.budgets.forks === 0 || original.lostHead !== 0) return;
  if (state.versions.some(({ line, isReceipted }) => line === 0 && !isReceipted)) return;
  const next = copyState(state);
  next.budgets.forks -= 1;
  next.lines[COPY] = { ...original };
  take(next, () => 'the folder of PC A is copied: a second PC goes on with it');
}
