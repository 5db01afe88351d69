import {
  asHoldId,
  type EventBody,
  type HoldBody,
  MAX_TIME_MS,
  type RetentionRules,
} from '@aliquot/proto';
import { issueHoldRelease, sealHoldPaths } from '@aliquot/shared/keys/hold';
import type { SeededRandom } from '@aliquot/shared/testing/random';
import { policySet, rulesOf } from '../../collector/testing/retention/signed.ts';
import type { StoreWorld } from '../../collector/testing/store/world.ts';
import { type BookHold, DAY_MS, type Decided } from './book.ts';

/** Policies of five years: each keeps more of some things and less of others than the one before. */
const policies: readonly (readonly string[])[] = [
  [
    '{match: {class: [raw], agent: [hplc-*]}, lock: 30d, keep: {within: 30d, daily: 14, weekly: 8, monthly: 12, yearly: 5, last: 2}, gone: forever}',
    '{match: {class: [raw]}, keep: {within: 30d, monthly: 6}, gone: 6mo}',
    '{match: {class: [working]}, keep: {within: 14d, daily: 30, monthly: 6}, gone: 3mo}',
    '{match: {class: [temporary]}, keep: {within: 7d}, gone: 10d}',
    '{match: {class: [method]}, keep: all}',
  ],
  // Less of nearly everything.
  [
    '{match: {class: [raw], agent: [hplc-*]}, keep: {within: 20d, daily: 7, weekly: 4, monthly: 6, yearly: 5}, gone: 2y}',
    '{match: {class: [raw], agent: [gc-*]}, keep: {within: 15d, weekly: 6}, gone: 2mo}',
    '{match: {class: [raw]}, keep: {within: 30d, monthly: 6}, gone: 6mo}',
    '{match: {class: [working, method]}, keep: {within: 10d, daily: 10, monthly: 4, last: 3}, gone: 3mo}',
    '{match: {class: [temporary]}, keep: {within: 7d}, gone: 8d}',
  ],
  // More again; a lock that reaches back.
  [
    '{match: {class: [raw]}, lock: 90d, keep: {within: 45d, daily: 30, weekly: 12, monthly: 24, yearly: 10}, gone: 3y}',
    '{match: {class: [working]}, keep: {within: 30d, daily: 20, weekly: 10, monthly: 12, last: 5}, gone: 1y}',
    '{match: {class: [temporary], agent: [ms-1*]}, keep: {within: 60d}, gone: 60d}',
    '{match: {class: [temporary]}, keep: {within: 7d}, gone: 9d}',
    '{match: {class: [method]}, keep: {within: 90d, yearly: 5, last: 4}, gone: forever}',
  ],
  // Less for good: by this one everything is judged at the end.
  [
    '{match: {class: [raw], agent: [hplc-*]}, lock: 60d, keep: {within: 30d, daily: 30, weekly: 12, monthly: 24, yearly: 4, last: 2}, gone: 2y}',
    '{match: {class: [raw]}, keep: {within: 30d, daily: 7, monthly: 12}, gone: 4mo}',
    '{match: {class: [working]}, keep: {within: 14d, daily: 14, weekly: 8, monthly: 12, yearly: 3}, gone: 6mo}',
    '{match: {class: [temporary]}, keep: {within: 7d}, gone: 10d}',
    '{match: {class: [method]}, keep: {within: 60d, last: 2}, gone: 1y}',
  ],
];

export interface HoldablePc {
  readonly name: string;
  readonly lineage: string;
}

/** A hold in force, and the word that ends it. */
export interface SetHold {
  readonly book: BookHold;
  over(): EventBody;
}

/** What people have decided, as they know it themselves. */
export class Decisions {
  readonly #world: StoreWorld;
  readonly #random: SeededRandom;
  readonly #policies: { setMs: number; rules: RetentionRules['rules'] }[] = [];
  #holds: readonly SetHold[] = [];
  #holdCount = 0;

  constructor(world: StoreWorld, random: SeededRandom) {
    this.#world = world;
    this.#random = random;
  }

  get decided(): Decided {
    return { policies: this.#policies, holds: this.#holds.map(({ book }) => book) };
  }

  get policies(): number {
    return this.#policies.length;
  }

  get holds(): readonly SetHold[] {
    return this.#holds;
  }

  static readonly policies = policies.length;

  /** The next policy, to be logged; then `wasSet`. */
  nextPolicy(): { readonly event: EventBody; wasSet(): void } {
    const rules = rulesOf(...(policies[this.#policies.length % policies.length] ?? []));
    const setMs = this.#world.clock.now;
    const event = policySet(this.#world, this.#policies.length + 1, rules);
    return { event, wasSet: () => void this.#policies.push({ setMs, rules: rules.rules }) };
  }

  /** A hold on something, at random. */
  nextHold(pcs: readonly HoldablePc[]): { readonly event: EventBody; wasSet(): void } {
    const { descriptor, clock, authority, random } = this.#world;
    const { vaultId } = descriptor;
    const mine = this.#random;
    this.#holdCount += 1;
    const name = `case-${this.#holdCount}`;
    const some = mine.chance(0.8) ? [...new Set([mine.pick(pcs), mine.pick(pcs)])] : [];
    // One over everything would leave nothing to see.
    const folder =
      some.length === 0 || mine.chance(0.3)
        ? mine.pick(['/data/runs', '/data/day', '/data/large', '/data/tmp'])
        : undefined;
    const className = mine.chance(0.3) ? mine.pick(['raw', 'working', 'temporary']) : undefined;
    const hasSpan = mine.chance(0.4);
    const fromMs = hasSpan ? clock.now - mine.below(200) * DAY_MS : 0;
    const toMs = hasSpan ? fromMs + mine.below(60) * DAY_MS : MAX_TIME_MS;
    const holdId = asHoldId(mine.bytes(16));
    const paths =
      folder === undefined
        ? undefined
        : sealHoldPaths(descriptor, { holdId }, [`${folder}/**`], random);
    const hold: HoldBody = {
      ...{ version: 1, vaultId, holdId, name, reason: 'audit', owner: 'QA' },
      ...{
        agents: some.map((pc) => pc.name).sort(),
        lineageIds: [],
        classes: className === undefined ? [] : [className],
      },
      ...{ fromMs, toMs, paths },
    };
    const book: BookHold = {
      ...{ name, folder, fromMs, toMs },
      lineages: some.length === 0 ? undefined : new Set(some.map(({ lineage }) => lineage)),
      classes: className === undefined ? undefined : new Set([className]),
    };
    const over = (): EventBody => {
      const releasedAtMs = clock.now;
      const body = { version: 1, vaultId, holdId, releasedAtMs, reason: 'over' } as const;
      const release = issueHoldRelease(authority, body);
      return { type: 'holdReleased', timeMs: releasedAtMs, release, operator: undefined };
    };
    return {
      event: { type: 'holdSet', timeMs: clock.now, hold },
      wasSet: () => {
        this.#holds = [...this.#holds, { book, over }];
      },
    };
  }

  wasReleased(hold: SetHold): void {
    this.#holds = this.#holds.filter((one) => one !== hold);
  }
}
