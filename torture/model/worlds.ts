import { allItems, BOOK, type Budgets, CHUNK, closureOf, KEPT, PAGE, type State } from './state.ts';

/** How much may happen in a world; what is not named may not. */
export interface ModelWorld {
  readonly name: string;
  readonly budgets: Partial<Budgets>;
  /** What the first version of lineages A and B names; undefined: the lineage has none. */
  readonly first: readonly [number, number | undefined];
  /** What later versions may name; all items, unless it is said. */
  readonly contents?: readonly number[];
  /** Both lineages may do the same, so their names do not count. */
  readonly isSymmetric?: boolean;
}

const nothing: Budgets = {
  captures: [0, 0],
  epochs: [0, 0],
  forks: 0,
  holds: 0,
  rewrites: 0,
  thinnings: 0,
  crashes: 0,
  copies: 0,
  rollbacks: 0,
};

/** PCs that have each sent a version, and have its receipt. */
export function worldStart({ budgets, first, contents = allItems }: ModelWorld): State {
  const versions = first.flatMap((content, line) =>
    content === undefined ? [] : [{ content, line }],
  );
  const held = first.map((content) => (content === undefined ? 0 : closureOf(content)));
  const inPack = held.reduce((all, items) => all | items, 0);
  const answers = [0, 1, 2].map(() => ({ epoch: 0, logEpoch: 0, isOfThisStart: false }));
  const now: State['now'] = {
    length: 0,
    owned: [...held],
    walked: held.map((items) => items & (PAGE | BOOK)),
    announced: [0, 0],
    swept: [0, 0],
    hasDropped: [false, false],
    newest: 0,
    logEpoch: 1,
    reported: 0,
    lines: 3,
    stages: versions.map(() => KEPT),
  };
  const places = [CHUNK, PAGE, BOOK].map((item) => ((inPack & item) === 0 ? 0 : 1));
  const known = { places, known: [inPack] };
  return {
    versions: versions.map(({ content, line }) => ({
      id: -1 - line,
      ...{ line, content, bytes: 0, isAwaited: false, isReceipted: true, isHeld: false },
      ...{ sight: 0, isThinned: false, wasThinned: false },
    })),
    lines: [0, 1, 0].map((lineage, line) => ({
      lineage,
      exists: first[line] !== undefined,
      cache: held[line] ?? 0,
      learned: 0,
      lostHead: 0,
    })),
    now,
    history: undefined,
    disk: {
      told: structuredClone(now),
      history: undefined,
      packs: [inPack],
      written: structuredClone(known),
      answers: structuredClone(answers),
    },
    copy: undefined,
    places: known,
    answers,
    pending: [0, 0],
    touched: [0, 0],
    runs: [undefined, undefined],
    rewriting: undefined,
    budgets: structuredClone({ ...nothing, ...budgets }),
    born: 1,
    contents,
  };
}

/** What `npm run model` explores whole: all that is needed for one of the dangers, and room. */
export const worlds: readonly ModelWorld[] = [
  {
    name: 'crashes and rewriting',
    budgets: { captures: [2, 0], epochs: [1, 0], crashes: 1, rewrites: 1 },
    first: [PAGE, undefined],
    contents: [CHUNK, PAGE],
  },
  {
    name: 'one sweep after the other, and holds',
    budgets: { captures: [2, 0], epochs: [2, 0], holds: 1 },
    first: [BOOK, undefined],
  },
  {
    name: 'two lineages that share all they have',
    budgets: { captures: [1, 1], epochs: [1, 1], rewrites: 1 },
    first: [PAGE, PAGE],
    contents: [PAGE],
    isSymmetric: true,
  },
  {
    name: 'a PC and its copy',
    budgets: { captures: [2, 0], epochs: [1, 0], forks: 1 },
    first: [PAGE, undefined],
    contents: [CHUNK, PAGE],
  },
  {
    name: 'a collector put back to a copy',
    budgets: { captures: [2, 0], epochs: [2, 0], copies: 1, rollbacks: 1 },
    first: [PAGE, undefined],
    contents: [CHUNK, PAGE],
  },
  {
    name: 'a collector put back, and a copied PC',
    budgets: { captures: [2, 0], epochs: [1, 0], forks: 1, copies: 1, rollbacks: 1 },
    first: [CHUNK, undefined],
    contents: [CHUNK],
  },
  {
    name: 'rewriting of packs and history, with crashes',
    budgets: { captures: [1, 0], epochs: [1, 0], rewrites: 2, crashes: 1, thinnings: 1 },
    first: [PAGE, CHUNK],
    contents: [CHUNK, PAGE],
  },
  {
    name: 'all of it, with one chunk',
    budgets: {
      ...{ captures: [1, 0], epochs: [1, 0], holds: 1, rewrites: 1, thinnings: 1 },
      ...{ crashes: 1, copies: 1, rollbacks: 1 },
    },
    first: [CHUNK, CHUNK],
    contents: [CHUNK],
  },
];

/** What `npm test` explores whole: the same dangers, with less room. */
export const smallWorlds: readonly ModelWorld[] = [
  {
    name: 'crashes and rewriting',
    budgets: { captures: [1, 0], epochs: [1, 0], crashes: 1, rewrites: 1 },
    first: [PAGE, CHUNK],
    contents: [PAGE],
  },
  {
    name: 'a PC and its copy',
    budgets: { captures: [1, 0], epochs: [1, 0], forks: 1 },
    first: [PAGE, undefined],
    contents: [PAGE],
  },
  {
    name: 'a collector put back to a copy',
    budgets: { captures: [1, 0], epochs: [1, 0], copies: 1, rollbacks: 1 },
    first: [PAGE, undefined],
    contents: [PAGE],
  },
];
