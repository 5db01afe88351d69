import type { LineageId, PurgeId, TreeHead } from '@aliquot/proto';
import type { SeededRandom } from '@aliquot/shared/testing/random';
import { StoreError } from '../../collector/src/store/errors.ts';
import {
  concernedBy,
  operatorCalled,
  purgeApproval,
  purgeOrder,
  sealedAnew,
  type TestOperator,
} from '../../collector/testing/retention/purges.ts';
import type { StoreWorld } from '../../collector/testing/store/world.ts';
import type { Archive } from './archive.ts';
import { DAY_MS } from './book.ts';
import type { Keeping } from './keeping.ts';
import type { Pc } from './pc.ts';
import type { RecordedSubject, YearsRecord } from './record.ts';

const MOST_FILES = 3;
const TERM_MS = 7 * 365 * DAY_MS;

/** An order that waits for another operator. */
interface Ordered {
  readonly purgeId: PurgeId;
  readonly subjects: readonly RecordedSubject[];
  readonly head: TreeHead;
}

/**
 * What subjects ask for, as one operator orders it and another one approves it a day later; locks
 * and holds win, as the book knows them. Files that belong to a folder result stay out of it: what
 * its rows say of them is judged elsewhere.
 */
export class Purging {
  readonly #world: StoreWorld;
  readonly #archive: Archive;
  readonly #record: YearsRecord;
  readonly #keeping: Keeping;
  readonly #random: SeededRandom;
  readonly #orders: TestOperator;
  readonly #approves: TestOperator;
  readonly #open: Ordered[] = [];
  readonly counts = { ordered: 0, refused: 0, purged: 0 };

  constructor(
    world: StoreWorld,
    parts: { readonly archive: Archive; readonly record: YearsRecord; readonly keeping: Keeping },
    random: SeededRandom,
  ) {
    this.#world = world;
    this.#archive = parts.archive;
    this.#record = parts.record;
    this.#keeping = parts.keeping;
    this.#random = random;
    const operator = (name: string) => operatorCalled(world, name, ['retention'], TERM_MS);
    this.#orders = operator('maria');
    this.#approves = operator('ines');
  }

  /** One day: what was ordered before is approved; of `pc` some files are asked to go. */
  async day(pc: Pc | undefined): Promise<void> {
    const due = this.#open.splice(0);
    if (pc !== undefined) await this.#order(pc);
    // A day has passed since, by the log's time as well.
    this.#world.clock.now += 60_000;
    for (const ordered of due) await this.#approve(ordered);
  }

  async #order(pc: Pc): Promise<void> {
    const subjects = this.#some(pc.lineage);
    if (subjects.length === 0) return;
    const files = subjects.map(({ path }) => pc.agent.fileId(path));
    const head = this.#archive.vault.log.treeHead();
    const order = purgeOrder(this.#world, this.#orders, {
      lineageId: pc.agent.lineageId as LineageId,
      ...{ files, head },
    });
    const isDone = await this.#unlessKept({ subjects, head }, 'order', () =>
      this.#archive.risky('purge order', 0.2, (vault) => vault.purges.order(order)),
    );
    if (!isDone) return;
    this.counts.ordered += 1;
    this.#open.push({ purgeId: order.purgeId, subjects, head });
  }

  async #approve({ purgeId, subjects, head }: Ordered): Promise<void> {
    const isDone = await this.#unlessKept({ subjects, head }, 'approval', async () => {
      const concerned = await concernedBy(this.#archive.vault, purgeId);
      const forms = sealedAnew(this.#world, purgeId, concerned);
      const approval = purgeApproval(this.#world, this.#approves, purgeId, forms);
      await this.#archive.risky('purge', 0.5, (vault) => vault.purges.approve(approval, forms));
    });
    if (!isDone) return;
    for (const { versions } of subjects)
      for (const one of versions)
        if (one.leafIndex < head.size && !one.isDropped) {
          one.isDropped = true;
          this.counts.purged += 1;
        }
  }

  #some(lineage: string): RecordedSubject[] {
    const all = this.#record.subjects.filter(
      (one) =>
        one.lineage === lineage &&
        !one.isResult &&
        one.root === undefined &&
        one.versions.some(({ isDropped }) => !isDropped),
    );
    const some = new Set<RecordedSubject>();
    const count = all.length === 0 ? 0 : 1 + this.#random.below(MOST_FILES);
    for (let at = 0; at < count; at += 1) some.add(this.#random.pick(all));
    return [...some];
  }

  /** Whether it was done; that is compared with what the book says of locks and holds. */
  async #unlessKept(
    { subjects, head }: Pick<Ordered, 'subjects' | 'head'>,
    what: string,
    work: () => Promise<unknown>,
  ): Promise<boolean> {
    const book = this.#keeping.book();
    const kept = subjects.find((subject) =>
      subject.versions.some(
        (one, at) => one.leafIndex < head.size && !one.isDropped && book.isBound(subject, at),
      ),
    );
    try {
      await work();
    } catch (error) {
      if (!(error instanceof StoreError) || error.code !== 'STORE_BAD_EVENT') throw error;
      this.counts.refused += 1;
      if (kept === undefined) this.#keeping.say(`the ${what} of a purge: ${error.message}`);
      return false;
    }
    if (kept !== undefined)
      this.#keeping.say(`${kept.path} is purged though a lock or a hold covers it (${what})`);
    return true;
  }
}
