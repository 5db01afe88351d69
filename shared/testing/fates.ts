import type { Step } from './faulty-files.ts';
import type { SeededRandom } from './random.ts';
import type { DiskFate, Survival } from './simulated-disk.ts';

/** A way for one step to go wrong. */
export interface FatePlan {
  readonly name: string;
  readonly fate: DiskFate;
  /**
   * What the power failure leaves that comes with it; undefined: only the process ends, if anything
   * does.
   */
  readonly survival?: (random: SeededRandom) => Survival;
  /** Leaves damage that repair is for: holes among what was not flushed, or altered bytes. */
  readonly damages?: boolean;
}

const before: DiskFate = { crash: 'before' };
const after: DiskFate = { crash: 'after' };

/** The calls by what can go wrong with them. */
type StepKind = 'read' | 'write' | 'name' | 'flush' | 'levelRead' | 'levelWrite';

/**
 * Content of which only the first bytes survive, while every name does: the order that journaling
 * file systems make likely.
 */
const torn = (first: number) => (): Survival => ({
  content: { first },
  names: 'all',
  level: 'all',
});

const lost: FatePlan[] = [
  {
    name: 'power off before',
    fate: before,
    survival: () => ({ content: 'none', names: 'none', level: 'none' }),
  },
  {
    name: 'power off after',
    fate: after,
    survival: () => ({ content: 'none', names: 'none', level: 'none' }),
  },
  {
    name: 'power off after, names kept',
    fate: after,
    survival: () => ({ content: 'none', names: 'all', level: 'none' }),
  },
  {
    name: 'power off after, content kept',
    fate: after,
    survival: () => ({ content: 'all', names: 'none', level: 'all' }),
  },
  {
    name: 'power off after, half of the names kept',
    fate: after,
    survival: () => ({ content: 'none', names: { first: 0.5 }, level: 'none' }),
  },
  {
    name: 'power off after, some blocks kept',
    fate: after,
    survival: (random) => ({ content: { blocks: random }, names: 'all', level: { holes: random } }),
    damages: true,
  },
];

const tears: FatePlan[] = [1, 30, 100, 1000].map((first) => ({
  name: `power off after, ${first} unflushed bytes kept`,
  fate: after,
  survival: torn(first),
}));

const errors: FatePlan[] = ['EIO', 'ENOSPC'].map((errno) => ({
  name: errno,
  fate: { fail: errno },
}));
const kills: FatePlan[] = [
  { name: 'killed before', fate: before },
  { name: 'killed after', fate: after },
];

const plans: Readonly<Record<StepKind, readonly FatePlan[]>> = {
  read: [
    { name: 'EIO', fate: { fail: 'EIO' } },
    { name: 'killed before', fate: before },
  ],
  write: [
    ...errors,
    ...kills,
    { name: 'short', fate: { half: 'well' } },
    { name: 'short, then ENOSPC', fate: { half: { fail: 'ENOSPC' } } },
    { name: 'short, then killed', fate: { half: 'crash' } },
    ...lost,
    ...tears,
  ],
  name: [...errors, { name: 'EIO although done', fate: { failAfter: 'EIO' } }, ...kills, ...lost],
  flush: [
    ...errors,
    { name: 'EIO, cache dropped', fate: { dropped: { visible: false } } },
    { name: 'EIO, cache taken for clean', fate: { dropped: { visible: true } } },
    {
      name: 'EIO, cache taken for clean, then power off',
      fate: { dropped: { visible: true } },
      survival: () => nothing,
    },
    ...kills,
    ...lost,
    ...tears,
  ],
  levelRead: [
    { name: 'EIO', fate: { fail: 'EIO' } },
    { name: 'killed before', fate: before },
  ],
  levelWrite: [
    ...errors,
    { name: 'fails although done', fate: { failAfter: 'EIO' } },
    ...kills,
    ...lost,
    {
      name: 'power off after, some pages of its log kept',
      fate: after,
      survival: (random) => ({ content: 'none', names: 'none', level: { holes: random } }),
    },
    {
      name: 'killed, its newest log torn',
      fate: after,
      survival: () => ({ content: 'all', names: 'all', level: 'torn' }),
    },
    {
      name: 'killed, its folder gone',
      fate: after,
      survival: () => ({ content: 'all', names: 'all', level: 'missing' }),
      damages: true,
    },
    {
      name: 'killed, its files altered',
      fate: after,
      survival: (random) => ({ content: 'all', names: 'all', level: { corrupted: random } }),
      damages: true,
    },
  ],
};

const nothing: Survival = { content: 'none', names: 'none', level: 'none' };

function kindOf({ operation }: Step): StepKind {
  if (operation === 'write') return 'write';
  if (/^(sync|datasync|syncDirectory)$/.test(operation)) return 'flush';
  if (/^level:(open|batch|clear|close)/.test(operation)) return 'levelWrite';
  if (operation.startsWith('level:')) return 'levelRead';
  if (
    /^(open:createNew|open:updateOrCreate|rename|link|symlink|unlink|mkdir|rmdir|truncate|chmod|fchmod|setTimes|setLinkTimes)$/.test(
      operation,
    )
  )
    return 'name';
  return 'read';
}

/** Every way in which this step is made to go wrong. */
export function fatesOf(step: Step): readonly FatePlan[] {
  return plans[kindOf(step)];
}
