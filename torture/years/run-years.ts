import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SeededRandom } from '@aliquot/shared/testing/random';
import { StoreWorld, WorldAgent } from '../../collector/testing/store/world.ts';
import { Archive } from './archive.ts';
import { DAY_MS } from './book.ts';
import { Keeping } from './keeping.ts';
import { Lab } from './lab.ts';
import { Pc } from './pc.ts';
import { Purging } from './purging.ts';
import { YearsRecord } from './record.ts';
import { judgeRestores, type Restored } from './restores.ts';
import { type DiskFigures, judgeDisk, judgeGone, judgeListing, judgeWaits } from './verify.ts';

const START_MS = Date.UTC(2026, 0, 5, 8);
const PCS = 20;
export const DAYS = 5 * 365 + 1;
/** However short the time is: a policy acts, versions are dropped, swept and removed. */
const LEAST_DAYS = 45;
/** Collections of the end; a few do. */
const MOST_ROUNDS = 12;
/** The one in the cupboard. */
const CUPBOARD = 19;
/** Before anything of it can have been dropped: its set stays what it is then. */
const CUPBOARD_FROM_DAY = 30;
/**
 * Then it is asked, however little has been dropped of it: what goes later waits for its answer for
 * ever.
 */
const ASKED_ON_DAY = 48;
/** The one that another PC takes the place of. */
const REPLACED = 4;

export interface YearsResult {
  readonly disk: DiskFigures;
  readonly restored: Restored;
  /** What did not hold. */
  readonly wrong: readonly string[];
  readonly days: number;
  readonly whole: boolean;
  readonly crashes: number;
  readonly decided: number;
  readonly purged: number;
}

interface Bench {
  readonly lab: Lab;
  /** On which day it is on again; it is off until then. */
  offUntil: number;
  /** Whether its network cable lies beside it. */
  isOffline: boolean;
}

/** Five years of a lab, or as many months as there is time for, and everything judged at the end. */
export async function runYears(
  random: SeededRandom,
  over: () => boolean,
  log: (line: string) => void,
): Promise<YearsResult> {
  const root = await mkdtemp(join(tmpdir(), 'aliquot-years-'));
  const years = new Years(random, log);
  try {
    return await years.live(root, over);
  } finally {
    await years.close();
    await rm(root, { recursive: true, force: true });
  }
}

class Years {
  readonly #random: SeededRandom;
  readonly #log: (line: string) => void;
  readonly #world: StoreWorld;
  readonly #record = new YearsRecord();
  readonly #benches: Bench[] = [];
  /** Every one that there was, in the order in which they came. */
  readonly #pcs: Pc[] = [];
  #archive: Archive | undefined;
  #nextHolds = 30;

  constructor(random: SeededRandom, log: (line: string) => void) {
    this.#random = random;
    this.#log = log;
    this.#world = new StoreWorld(`years ${Buffer.from(random.bytes(8)).toString('hex')}`);
  }

  async close(): Promise<void> {
    await this.#archive?.close().catch(() => undefined);
  }

  async live(root: string, over: () => boolean): Promise<YearsResult> {
    const random = this.#random;
    this.#world.clock.now = START_MS;
    const archive = await Archive.begin(root, this.#world, random.derive('crashes'));
    this.#archive = archive;
    for (let index = 0; index < PCS; index += 1) await this.#addPc(archive, index);
    const keeping = new Keeping(this.#world, archive, this.#record, random.derive('keeping'));
    const parts = { archive, record: this.#record, keeping };
    const purging = new Purging(this.#world, parts, random.derive('purging'));
    let day = 0;
    for (; day < DAYS && (day < LEAST_DAYS || !over()); day += 1) {
      this.#world.clock.now = START_MS + day * DAY_MS;
      await this.#purges(purging);
      await this.#day(archive, keeping, day);
      if (day % 91 === 90) this.#tell(keeping, day);
    }
    await this.#settle(archive, keeping, day);
    this.#tell(keeping, day);
    const judged = await this.#judge(root, archive, keeping, over);
    return { ...judged, purged: purging.counts.purged, days: day, whole: day === DAYS };
  }

  async #judge(
    root: string,
    archive: Archive,
    keeping: Keeping,
    over: () => boolean,
  ): Promise<Omit<YearsResult, 'days' | 'whole' | 'purged'>> {
    const cupboard = this.#benches[CUPBOARD]?.lab.pc;
    if (cupboard === undefined) throw new Error('no PC is in the cupboard');
    const parts = { archive, keeping, record: this.#record, pcs: this.#pcs, cupboard };
    const disk = await judgeDisk(parts);
    const wrong = [
      ...keeping.wrong,
      ...judgeWaits(parts),
      ...judgeGone(parts),
      ...(await judgeListing(parts)),
      ...disk.wrong,
      ...(await archive.findings()),
      ...(await archive.replayed()),
    ];
    const random = this.#random.derive('restores');
    const room = { world: this.#world, random, root, isShort: over() };
    const restored = await judgeRestores(parts, room);
    const { holds, released, undone } = keeping.counts;
    return {
      ...{ disk: disk.figures, restored, wrong: [...wrong, ...restored.wrong] },
      crashes: archive.crashed,
      decided: holds + released + undone + keeping.decisions.policies,
    };
  }

  async #addPc(archive: Archive, index: number): Promise<void> {
    const kinds = ['hplc', 'ms', 'gc'] as const;
    const name = `${kinds[index % kinds.length] ?? 'pc'}-${index}`;
    const agent = new WorldAgent(this.#world, name);
    await this.#enrol(archive, agent);
    const skew = index === 7 ? 2 : index === 8 ? -3 : 0;
    const pc = new Pc(agent, this.#record, skew * 3_600_000);
    this.#pcs.push(pc);
    const habits = { large: index % 3 === 1 || index === 0, unruled: index % 9 === 2 };
    const lab = new Lab(pc, habits, this.#random.derive(`lab ${index}`));
    this.#benches.push({ lab, offUntil: 0, isOffline: false });
  }

  async #enrol(archive: Archive, agent: WorldAgent): Promise<void> {
    const timeMs = this.#world.clock.now;
    const { enrolment, binding } = agent;
    await archive.vault.events.append({ type: 'agentExpected', timeMs, enrolment });
    await archive.vault.events.append({ type: 'agentEnrolled', timeMs, enrolment, binding });
  }

  /** PCs work; at night it is decided what goes. */
  async #day(archive: Archive, keeping: Keeping, day: number): Promise<void> {
    const random = this.#random;
    for (const [index, bench] of this.#benches.entries()) {
      this.#world.clock.now += 60_000;
      await this.#atPc(archive, bench, index, day);
    }
    if (day === 730) await this.#replace(archive);
    this.#world.clock.now = START_MS + day * DAY_MS + 12 * 3_600_000;
    const since = [10, 420, 800, 1200];
    if (since[keeping.decisions.policies] === day && keeping.decisions.policies < 4)
      await keeping.setPolicy();
    if (day >= this.#nextHolds) {
      this.#nextHolds = day + 20 + random.below(90);
      await keeping.hold(
        this.#benches.map(({ lab: { pc } }) => ({ name: pc.agent.name, lineage: pc.lineage })),
      );
    }
    if (random.chance(0.02)) await keeping.release();
    this.#world.clock.now += 3_600_000;
    if (day % 14 === 0 || random.chance(0.02)) await keeping.run();
    if (random.chance(0.03)) await keeping.undo();
    this.#world.clock.now += 3_600_000;
    // The one asks PCs, the next one sweeps where they have answered.
    if (day % 28 === 20 || day % 28 === 23)
      await keeping.collect(day === ASKED_ON_DAY || random.chance(0.2));
  }

  /** Now and then somebody asks that files be forgotten. */
  async #purges(purging: Purging): Promise<void> {
    const random = this.#random;
    const benches = this.#benches.filter((_, index) => index !== CUPBOARD);
    await purging.day(random.chance(0.04) ? random.pick(benches).lab.pc : undefined);
  }

  async #atPc(archive: Archive, bench: Bench, index: number, day: number): Promise<void> {
    const random = this.#random;
    const { lab } = bench;
    if (index === CUPBOARD && day >= CUPBOARD_FROM_DAY) return;
    if (day < bench.offUntil) return;
    if (random.chance(0.0008)) {
      // Off for weeks or months; what it had not sent stays in it.
      bench.offUntil = day + 10 + random.below(200);
      return;
    }
    // Some work without a network for days.
    if (random.chance(bench.isOffline ? 0.1 : 0.01)) bench.isOffline = !bench.isOffline;
    if (random.chance(0.45)) lab.day(day);
    if (bench.isOffline || (!lab.pc.waits && random.chance(0.8))) return;
    await archive.risky('session', 0.004, (vault) => lab.pc.session(vault, random));
  }

  /** A PC is replaced, with its disk: the next one has its history and none of its memory. */
  async #replace(archive: Archive): Promise<void> {
    const bench = this.#benches[REPLACED];
    if (bench === undefined) return;
    await archive.risky('session', 0, (vault) => bench.lab.pc.session(vault, this.#random));
    const agent = new WorldAgent(this.#world, 'hplc-new', bench.lab.pc.agent);
    await this.#enrol(archive, agent);
    const pc = new Pc(agent, this.#record, 0, bench.lab.pc);
    this.#pcs.push(pc);
    const lab = bench.lab.movedTo(pc);
    lab.captureAll();
    this.#benches[REPLACED] = { lab, offUntil: 0, isOffline: false };
  }

  /**
   * The end: everybody but the PC in the cupboard comes once more, what goes has its grace, and
   * what nobody needs is removed.
   */
  async #settle(archive: Archive, keeping: Keeping, lastDay: number): Promise<void> {
    const allCome = async (): Promise<void> => {
      for (const [index, { lab }] of this.#benches.entries()) {
        this.#world.clock.now += 60_000;
        if (index !== CUPBOARD)
          await archive.risky('session', 0.02, (vault) => lab.pc.session(vault, this.#random));
      }
    };
    // What was dropped is asked for, answered and swept; only then more is dropped.
    const collected = async (): Promise<void> => {
      for (let round = 0; round < MOST_ROUNDS; round += 1) {
        await allCome();
        const before = keeping.collected.dropped;
        await keeping.collect(true);
        const isDone = this.#pcs.every(
          ({ lineage }, at) => at === CUPBOARD || !keeping.isAsked(lineage),
        );
        if (isDone && keeping.collected.dropped === before && round > 0) return;
      }
    };
    this.#world.clock.now = START_MS + lastDay * DAY_MS;
    await collected();
    await keeping.run(true);
    this.#world.clock.now += 8 * DAY_MS;
    await keeping.run(true);
    await collected();
  }

  #tell(keeping: Keeping, day: number): void {
    const { counts, collected } = keeping;
    const versions = this.#benches.reduce((sum, { lab }) => sum + lab.pc.versions, 0);
    this.#log(
      `day ${day}: ${versions} versions, ${counts.expired} expired, ${collected.dropped} dropped, ${collected.packs} packs removed, ${this.#archive?.crashed ?? 0} crashes`,
    );
    for (const line of keeping.wrong) this.#log(line);
  }
}
