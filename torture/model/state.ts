/*
 * The small world that is explored: two lineages, three items, some PCs, one collector. All of it
 * is small numbers, sets are bit masks; the state of the world is a plain value.
 */

/** A chunk, the page that names it, and the page that names that page. */
export const CHUNK = 1;
export const PAGE = 2;
export const BOOK = 4;
export const allItems = [CHUNK, PAGE, BOOK] as const;
/** By item: of what a page's references name, 0 for chunks. */
const depths = new Map([
  [PAGE, 0],
  [BOOK, 1],
]);

export const depthOf = (item: number): number | undefined => depths.get(item);

/** An item, and everything below it. */
export function closureOf(item: number): number {
  return item === BOOK ? CHUNK | PAGE | BOOK : item === PAGE ? CHUNK | PAGE : item;
}

/** The item just below. */
export function belowOf(item: number): number {
  return item >> 1;
}

/** Of a version, as a history has it; `NONE`: it is not in it. */
export const NONE = 0;
export const KEPT = 1;
export const EXPIRED = 2;
export const DROPPED = 3;

/** What a history says, up to some point: the catalog, but for places. */
export interface Told {
  /** Records so far. */
  length: number;
  /** By lineage: what is in its set, and the pages of it that were proved. */
  owned: number[];
  walked: number[];
  /** By lineage: see `LineageProgress`. */
  announced: number[];
  swept: number[];
  hasDropped: boolean[];
  /** The newest epoch of any lineage. */
  newest: number;
  logEpoch: number;
  /** Lines that showed a head which the log has lost, since it was last reopened. */
  reported: number;
  /** Lines of which a commit is here. */
  lines: number;
  /** By version. */
  stages: number[];
}

/** One captured state of a file. */
export interface ModelVersion {
  /** For the history alone: two versions that are alike in all else are alike. */
  readonly id: number;
  readonly line: number;
  readonly content: number;
  /** What of it lies in the PC's queue; the rest its cache knew to be at the collector. */
  bytes: number;
  /** The answer to the epoch waits for its receipt. */
  isAwaited: boolean;
  isReceipted: boolean;
  isHeld: boolean;
  /** 0: no walk through it is under way; 1: one has ended; 2: and its set has shrunk since. */
  sight: number;
  /** The record of its commit was rewritten without it. */
  isThinned: boolean;
  /** Whether it is thinned in the copy. */
  wasThinned: boolean;
}

/** One installation of an agent. */
export interface ModelLine {
  readonly lineage: number;
  exists: boolean;
  /** What its chunk cache knows. */
  cache: number;
  /** The newest epoch that it has learnt. */
  learned: number;
  /** 0: its head is in the log; 1: the log has lost it; 2: and was reopened since. */
  lostHead: number;
}

/** What the collector noted of a line's answer. */
export interface NotedAnswer {
  epoch: number;
  logEpoch: number;
  isOfThisStart: boolean;
}

/** What the catalog knows of packs. */
export interface ModelPlaces {
  /** By item: packs that it is read from. */
  places: number[];
  /** By pack: the items in it that were taken in; undefined: the pack is not known. */
  known: (number | undefined)[];
}

/** A sweep under way: in memory. */
export interface SweepRun {
  /** What is to leave the set. */
  leaving: number;
  /** What commits and proved pages reach that came since the mark. */
  unwalked: number;
  /** What was uploaded since the mark, or was walked since. */
  fresh: number;
  /** What was reached. */
  readonly reached: number;
  readonly logEpoch: number;
}

/** Where the rewriting of a pack has come to: in memory. */
export interface Rewriting {
  readonly pack: number;
  readonly into: number;
  copied: number;
  step: 'copied' | 'synced' | 'written';
}

/** What is on the collector's disk, and what a copy of it would have. */
export interface OnDisk {
  told: Told;
  history: HistoryNode | undefined;
  /** By pack: the items in it; undefined: it was removed. */
  packs: (number | undefined)[];
  written: ModelPlaces;
  answers: NotedAnswer[];
}

/** A record of the history, and those before it. */
export interface HistoryNode {
  readonly record: HistoryStep;
  readonly before: HistoryNode | undefined;
}

export type HistoryStep =
  | { readonly type: 'uploads' | 'references'; lineage: number; items: number }
  | { readonly type: 'swept'; lineage: number; items: number; unwalked: number }
  | { readonly type: 'commit'; version: number; line: number }
  | { readonly type: 'expired' | 'undone'; version: number }
  | { readonly type: 'dropped'; version: number; lineage: number }
  | { readonly type: 'announced' | 'ended'; lineage: number; epoch: number }
  | { readonly type: 'reported'; line: number }
  | { readonly type: 'reopened' };

/** How often what may still happen. */
export interface Budgets {
  /** By lineage. */
  captures: number[];
  epochs: number[];
  forks: number;
  holds: number;
  rewrites: number;
  thinnings: number;
  crashes: number;
  copies: number;
  rollbacks: number;
}

export interface State {
  versions: ModelVersion[];
  lines: ModelLine[];
  /** The history as it is in memory. */
  now: Told;
  history: HistoryNode | undefined;
  /** What a crash would leave; `told` is as much of the history as is synced. */
  disk: OnDisk;
  copy: OnDisk | undefined;
  /** The newest places; what of them is on the disk is `disk.written`. */
  places: ModelPlaces;
  answers: NotedAnswer[];
  /** By lineage: uploaded, and in no record yet. */
  pending: number[];
  /** By lineage: what agents sent, or heard that it is here, since an epoch was announced. */
  touched: number[];
  runs: (SweepRun | undefined)[];
  rewriting: Rewriting | undefined;
  budgets: Budgets;
  /** How many versions there were: what the next one is called. */
  born: number;
  /** What can be captured: a version names one of these items, and needs all that is below. */
  readonly contents: readonly number[];
}

const copyTold = (told: Told): Told => ({
  ...told,
  owned: [...told.owned],
  walked: [...told.walked],
  announced: [...told.announced],
  swept: [...told.swept],
  hasDropped: [...told.hasDropped],
  stages: [...told.stages],
});

export const copyPlaces = ({ places, known }: ModelPlaces): ModelPlaces => ({
  places: [...places],
  known: [...known],
});

export const copyAnswers = (answers: readonly NotedAnswer[]): NotedAnswer[] =>
  answers.map((answer) => ({ ...answer }));

export function copyDisk({ told, history, packs, written, answers }: OnDisk): OnDisk {
  return {
    told: copyTold(told),
    history,
    packs: [...packs],
    written: copyPlaces(written),
    answers: copyAnswers(answers),
  };
}

export function copyState(state: State): State {
  const { budgets, copy, rewriting } = state;
  return {
    versions: state.versions.map((version) => ({ ...version })),
    lines: state.lines.map((line) => ({ ...line })),
    now: copyTold(state.now),
    history: state.history,
    born: state.born,
    contents: state.contents,
    disk: copyDisk(state.disk),
    // Nothing changes a copy once it is made.
    copy,
    places: copyPlaces(state.places),
    answers: copyAnswers(state.answers),
    pending: [...state.pending],
    touched: [...state.touched],
    runs: state.runs.map((run) => run && { ...run }),
    rewriting: rewriting && { ...rewriting },
    budgets: { ...budgets, captures: [...budgets.captures], epochs: [...budgets.epochs] },
  };
}

export { copyTold };
