import { hex } from '@aliquot/shared/crypto/bytes';
import type { SeededRandom } from '@aliquot/shared/testing/random';
import type { VaultStore } from '../../collector/src/store/vault-store.ts';
import { runApproval } from '../../collector/testing/retention/signed.ts';
import type { StoreWorld } from '../../collector/testing/store/world.ts';
import type { Archive } from './archive.ts';
import { Book, DAY_MS } from './book.ts';
import { Decisions, type HoldablePc } from './decisions.ts';
import type { RecordedSubject, RecordedVersion, YearsRecord } from './record.ts';

/** As the policies of these scenarios have it, which say nothing of it. */
const GRACE_MS = 7 * DAY_MS;

/**
 * Runs, holds, undos and collections, as people and the maintenance of a collector order them; what
 * each may do is worked out by the book, before it is asked what it did.
 */
export class Keeping {
  readonly #world: StoreWorld;
  readonly #archive: Archive;
  readonly #record: YearsRecord;
  readonly #random: SeededRandom;
  readonly decisions: Decisions;
  /** What did not hold. */
  readonly wrong: string[] = [];
  readonly counts = { runs: 0, waited: 0, expired: 0, undone: 0, holds: 0, released: 0 };
  readonly collected = { collections: 0, dropped: 0, swept: 0, packs: 0, freed: 0, copied: 0 };
  /** Lineages that PCs have been asked about and have not all answered. */
  readonly #asked = new Set<string>();

  constructor(world: StoreWorld, archive: Archive, record: YearsRecord, random: SeededRandom) {
    this.#world = world;
    this.#archive = archive;
    this.#record = record;
    this.#random = random;
    this.decisions = new Decisions(world, random.derive('decisions'));
  }

  get nowMs(): number {
    return this.#world.clock.now;
  }

  book(): Book {
    return new Book(this.decisions.decided, this.nowMs);
  }

  async setPolicy(): Promise<void> {
    const { event, wasSet } = this.decisions.nextPolicy();
    const revision = this.decisions.policies + 1;
    await this.#archive.risky('policy', 0.2, async (vault) => {
      // A second one of a number is refused, also to whoever did not hear the answer to the first.
      if ((await vault.desk.policy(revision)) === undefined) await vault.events.append(event);
    });
    wasSet();
    this.#record.forgetExpired(true);
  }

  async hold(pcs: readonly HoldablePc[]): Promise<void> {
    const { event, wasSet } = this.decisions.nextHold(pcs);
    await this.#archive.risky('hold', 0.2, (vault) => vault.events.append(event));
    wasSet();
    this.counts.holds += 1;
  }

  async release(): Promise<void> {
    const { holds } = this.decisions;
    if (holds.length === 0) return;
    const hold = this.#random.pick(holds);
    const event = hold.over();
    await this.#archive.risky('release', 0.2, (vault) => vault.events.append(event));
    this.decisions.wasReleased(hold);
    this.#record.forgetExpired(false);
    this.counts.released += 1;
  }

  /** A run, and others until nothing is to go; what waits is approved, or left waiting. */
  async run(approve = this.#random.chance(0.85)): Promise<void> {
    const before = this.#archive.vault.retention.runs().at(-1)?.run ?? 0;
    this.counts.runs += 1;
    for (;;) {
      const { type, run, isMore } = await this.#archive.risky('run', 0.1, (vault) =>
        vault.retention.run(this.nowMs),
      );
      if (type === 'nothing') break;
      if (type === 'expired' && isMore) continue;
      if (type === 'expired') break;
      this.counts.waited += 1;
      if (!approve) break;
      const approval = runApproval(this.#world, run, ['retention']);
      await this.#archive.risky('approve', 0.1, (vault) => vault.events.append(approval));
    }
    const { vault } = this.#archive;
    const done = vault.retention
      .runs()
      .filter(({ run, undoUntilMs }) => run > before && undoUntilMs > 0);
    const [first] = done;
    const versions = done.reduce((sum, row) => sum + row.versions, 0);
    const going = this.#going();
    if (first === undefined) {
      const isLeft = vault.retention.runs().at(-1)?.brakes.length !== 0;
      if (going.length > 0 && !isLeft) this.say(`a run expired none of ${going.length} versions`);
      return;
    }
    this.counts.expired += versions;
    if (going.length !== versions)
      this.say(`by the book ${going.length} versions go, the run expired ${versions}`);
    for (const one of going) {
      one.expired = { run: first.run, timeMs: first.timeMs };
      one.letGoBy.push(first.run);
    }
  }

  #going(): RecordedVersion[] {
    const book = this.book();
    return this.#each(book, ({ expired }, stays) => !stays && expired === undefined);
  }

  #each(
    book: Book,
    wanted: (one: RecordedVersion, stays: boolean, subject: RecordedSubject) => boolean,
  ): RecordedVersion[] {
    const found: RecordedVersion[] = [];
    for (const subject of this.#record.subjects) {
      const stays = book.stays(this.#record, subject);
      for (const [at, one] of subject.versions.entries())
        if (!one.isDropped && wanted(one, stays[at] === true, subject)) found.push(one);
    }
    return found;
  }

  /** Whether a version was let go so long ago that it cannot be had back. */
  isOverdue({ expired }: RecordedVersion): boolean {
    return expired !== undefined && expired.timeMs + GRACE_MS <= this.nowMs;
  }

  /** Whether PCs of a lineage were asked for an answer that is not there yet. */
  isAsked(lineage: string): boolean {
    return this.#asked.has(lineage);
  }

  /** A run that may still be undone is undone. */
  async undo(): Promise<void> {
    const { nowMs } = this;
    const runs = this.#archive.vault.retention
      .runs()
      .filter(({ undone, undoUntilMs }) => undone === undefined && undoUntilMs > nowMs);
    if (runs.length === 0) return;
    const { run } = this.#random.pick(runs);
    const event = { type: 'retentionUndone', timeMs: nowMs, run } as const;
    await this.#archive.risky('undo', 0.2, (vault) => vault.events.append(event));
    for (const { versions } of this.#record.subjects)
      for (const one of versions)
        if (!one.isDropped && one.letGoBy.includes(run)) {
          one.expired = undefined;
          one.isUndone = true;
          this.counts.undone += 1;
        }
  }

  /** One collection, as `gc run` does it. */
  async collect(all = false): Promise<void> {
    const book = this.book();
    const { nowMs } = this;
    const droppable = this.#each(
      book,
      (one, stays, { lineage }) => !stays && this.isOverdue(one) && !this.#asked.has(lineage),
    );
    this.collected.collections += 1;
    let tries = 0;
    let dropped = 0;
    const swept = new Set<string>();
    await this.#archive.risky('collect', 0.5, async (vault) => {
      tries += 1;
      dropped = 0;
      for await (const step of vault.sweep.collect({ nowMs, all })) {
        if (step.type === 'dropped') {
          if (step.heldBy !== undefined) throw new Error(`nothing is dropped: ${step.heldBy}`);
          dropped = step.versions;
        }
        if (step.type === 'lineage' && step.outcome.type === 'unreadable')
          throw new Error(`the set of ${step.agent} cannot be swept: ${step.outcome.what}`);
        if (step.type === 'lineage' && step.outcome.type === 'swept') swept.add(step.agent);
        if (step.type !== 'rewritten') continue;
        const { removedPacks, freedBytes, copiedBytes, kept, unprovedAt } = step.report;
        if (kept.length > 0 || unprovedAt !== undefined)
          throw new Error(`packs stay: ${JSON.stringify({ kept, unprovedAt })}`);
        this.collected.packs += removedPacks;
        this.collected.freed += freedBytes;
        this.collected.copied += copiedBytes;
      }
    });
    if (tries === 1 && dropped !== droppable.length)
      this.say(
        `by the book ${droppable.length} versions are dropped, the collection dropped ${dropped}`,
      );
    for (const one of droppable) one.isDropped = true;
    this.collected.dropped += droppable.length;
    this.collected.swept += swept.size;
    this.#noteAsked(this.#archive.vault);
  }

  #noteAsked(vault: VaultStore): void {
    this.#asked.clear();
    for (const { lineageId } of vault.register.agents()) {
      const { announced, swept } = vault.sweep.progress(lineageId);
      if (announced > swept) this.#asked.add(hex(lineageId));
    }
  }

  /** Something did not hold. */
  say(what: string): void {
    this.wrong.push(`${new Date(this.nowMs).toISOString()}: ${what}`);
  }
}
