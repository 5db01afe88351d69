import {
  allItems,
  BOOK,
  belowOf,
  CHUNK,
  closureOf,
  DROPPED,
  EXPIRED,
  type ModelVersion,
  NONE,
  PAGE,
  type State,
} from './state.ts';
import type { Protocol } from './steps.ts';

/*
 * What can be seen in a state; nothing here changes one. The names are those of a trace.
 */

const names = new Map([
  [CHUNK, 'the chunk'],
  [PAGE, 'the page'],
  [BOOK, 'the page of pages'],
]);

export function itemsSaid(items: number): string {
  const said = allItems.filter((item) => (items & item) !== 0).map((item) => names.get(item));
  return said.length === 0 ? 'nothing' : said.join(' and ');
}

export const lineSaid = (line: number): string => ['PC A', 'PC B', 'a copy of PC A'][line] ?? '';
export const lineageSaid = (lineage: number): string => `lineage ${'AB'[lineage]}`;
export const versionSaid = ({ id, line, content }: ModelVersion): string =>
  `version ${id < 0 ? 0 : id} of ${lineSaid(line)} (${names.get(content)})`;

export function at<T>(list: readonly T[], index: number): T {
  const one = list[index];
  if (one === undefined) throw new TypeError(`nothing stands at ${index}`);
  return one;
}

export const has = (items: number, item: number): boolean => (items & item) !== 0;

/** Bytes that lie in a PC's queue. */
export function queuedBytes({ versions }: State, line: number): number {
  let bytes = 0;
  for (const version of versions)
    if (version.line === line && !version.isReceipted) bytes |= version.bytes;
  return bytes;
}

/** The packs in which an item lies. */
export function packsWith({ disk }: State, item: number): number {
  let packs = 0;
  for (const [pack, items] of disk.packs.entries())
    if (items !== undefined && has(items, item)) packs |= 1 << pack;
  return packs;
}

/** Whether each of these can be read where the catalog says. */
export function unreadable(state: State, items: number): number {
  let lost = 0;
  for (const [index, item] of allItems.entries())
    if (has(items, item) && (at(state.places.places, index) & packsWith(state, item)) === 0)
      lost |= item;
  return lost;
}

/** What a lineage's set says of an item, as the gate and `have` ask it. */
export function standing(state: State, steps: Protocol, lineage: number, item: number) {
  const { owned, walked } = state.now;
  const row = !has(at(owned, lineage), item)
    ? undefined
    : has(at(walked, lineage), item)
      ? ('referenced' as const)
      : ('uploaded' as const);
  // As long as nothing was found lost, the rows alone are asked.
  const stands = steps.standingOf(row, true, false);
  if (stands !== undefined) return stands;
  return has(at(state.pending, lineage), item) ? ('uploaded' as const) : undefined;
}

/**
 * What a walk from an item finds missing, and the pages that it proves. A page that was proved
 * before is not opened.
 */
export function walkFrom(
  state: State,
  steps: Protocol,
  lineage: number,
  content: number,
): { readonly missing: number; readonly proved: number } {
  let [missing, proved] = [0, 0];
  for (let item = content; item !== 0; item = belowOf(item)) {
    const stands = standing(state, steps, lineage, item);
    if (stands === 'referenced') break;
    if (stands === undefined) {
      missing |= item;
      break;
    }
    if (item !== CHUNK) proved |= item;
  }
  return { missing, proved: missing === 0 ? proved : 0 };
}

/** What the versions of a lineage reach that a mark begins from. */
export function reached(state: State, steps: Protocol, lineage: number): number {
  let items = 0;
  for (const [index, { line, content }] of state.versions.entries()) {
    const stage = at(state.now.stages, index);
    if (at(state.lines, line).lineage !== lineage || stage === NONE) continue;
    if (steps.isRoot(stage === DROPPED ? 'dropped' : stage === EXPIRED ? 'expired' : 'kept'))
      items |= closureOf(content);
  }
  return items;
}

/** How many lines a lineage's newest epoch waits for. */
export function waitsOf(state: State, steps: Protocol, lineage: number): number {
  const { now } = state;
  const answered = (line: number) => {
    const { epoch, logEpoch, isOfThisStart } = at(state.answers, line);
    const answer = { epoch, logEpoch, isOfLine: true, isOfThisStart };
    return { hasOwnChain: true, answered: steps.countedAnswer(answer, now.logEpoch) };
  };
  // The copy of PC A is the same agent.
  const apart = lineage === 0 && has(now.lines, 1 << 2) ? [answered(2)] : [];
  const agent = {
    hasEnded: false,
    holdsLostHead: has(now.reported, 1 << lineage) || (lineage === 0 && has(now.reported, 1 << 2)),
    trunk: answered(lineage),
    apart,
    wasKnownAtReopening: false,
    tookOver: false,
  };
  return steps.awaitedOf(agent, at(now.announced, lineage)).length;
}

/** Why the next record of a lineage's sweep may not be appended now. */
export function refusalOf(state: State, steps: Protocol, lineage: number) {
  const run = state.runs[lineage];
  if (run === undefined) return 'unmarked' as const;
  const announced = at(state.now.announced, lineage);
  const mark = { opening: 0, logEpoch: run.logEpoch, walked: 0 };
  return steps.sweepRefusal(mark, {
    opening: 0,
    logEpoch: state.now.logEpoch,
    came: run.unwalked === 0 ? 0 : 1,
    isAnnounced: steps.isSettled(announced, at(state.disk.told.announced, lineage)),
    waits: waitsOf(state, steps, lineage),
  });
}

/** How far a lineage's collection is. */
export function progressOf({ announced, swept, hasDropped }: State['now'], lineage: number) {
  return {
    announced: at(announced, lineage),
    swept: at(swept, lineage),
    hasDropped: at(hasDropped, lineage),
  };
}
