import { setTimeout as delay } from 'node:timers/promises';
import type { SeededRandom } from '@aliquot/shared/testing/random';
import type { JsonLine } from '../../demo/programs.ts';
import { faketimeLibrary } from './clocks.ts';
import type { Plant } from './plant.ts';
import type { Record } from './record.ts';

/** What stays so long after it was replaced, and so long after that it can be had back. */
export const RULE = '{keep: {within: 1d}, unsafe: true}';
const DAY_MS = 86_400_000;
const WITHIN_AND_GRACE_MS = 8 * DAY_MS;
/** A collection each minute, and before each so many days pass: it takes weeks until any goes. */
const EVERY_MS = 60_000;
const FIRST_MS = 5000;
const DAYS = 3;
/** Then a running program has seen that its clock was set. */
const CLOCK_MS = 1500;
/** Collections at the end until nothing is left to do; each waits for PCs that answer. */
const LAST_RUNS = 60;

/** How often each thing was done, and what came of it. */
export interface Collected {
  collections: number;
  /** Commands that were refused: the collector was killed, frozen, full or cut off. */
  refused: number;
  approved: number;
  undone: number;
  expired: number;
  dropped: number;
  items: number;
  freedBytes: number;
}

/** A person who looks after the vault's retention and collection while everything goes wrong. */
export class Collecting {
  readonly counts: Collected = {
    ...{ collections: 0, refused: 0, approved: 0, undone: 0 },
    ...{ expired: 0, dropped: 0, items: 0, freedBytes: 0 },
  };
  /** Faults of ours, by what a command said. */
  readonly wrong: string[] = [];
  readonly #plant: Plant;
  readonly #random: SeededRandom;
  readonly #record: Record;

  constructor(plant: Plant, random: SeededRandom, record: Record) {
    this.#plant = plant;
    this.#random = random;
    this.#record = record;
  }

  /** Collects each minute until `stopped`. */
  async keep(stopped: () => boolean): Promise<void> {
    for (let nextMs = Date.now() + FIRST_MS; ; nextMs += EVERY_MS) {
      while (Date.now() < nextMs && !stopped()) await delay(100);
      if (stopped()) return;
      await this.#turn();
    }
  }

  /** Everything is healed: collects until nothing is left to do; gives what keeps it from that. */
  async finish(): Promise<string[]> {
    let says = '';
    for (let run = 0; run < LAST_RUNS; run += 1) {
      const { code, stdout, stderr } = await this.#collect();
      if (code === 0) return this.wrong;
      says = `${stdout}${stderr}`.trim();
      await delay(1000); // how often we look; nothing depends on it
    }
    return [...this.wrong, `collection does not end: ${says}`];
  }

  async #turn(): Promise<void> {
    const { collector } = this.#plant;
    await collector.clock.hold(async () => {
      if (faketimeLibrary !== undefined) {
        await this.#plant.pass(DAYS * DAY_MS);
        await delay(CLOCK_MS);
      }
      // Days in a moment: nobody but a person says that this is right.
      await this.#try(['collector', 'clock', '--confirm']);
      const { code, lines } = await this.#try(['retention', 'run', '--json']);
      let run = runIn(lines);
      if (code === 3 && run !== undefined) {
        const approve = ['retention', 'approve', run, '--kit', this.#plant.kit, '--json'];
        const approved = await this.#try(approve);
        run = runIn(approved.lines);
        if (approved.code === 0) this.counts.approved += 1;
        this.counts.expired += sumOf(approved.lines, 'versions');
      } else if (code === 0) this.counts.expired += sumOf(lines, 'versions');
      if (run !== undefined && this.#random.chance(0.2)) {
        const { code: undone } = await this.#try(['retention', 'undo', run]);
        if (undone === 0) this.counts.undone += 1;
      }
      await this.#collect();
    });
  }

  async #collect(): Promise<{ code: number; stdout: string; stderr: string }> {
    this.#record.collects(WITHIN_AND_GRACE_MS);
    const finished = await this.#try(['gc', 'run', '--all', '--json']);
    this.counts.collections += 1;
    const summary = finished.lines.filter(({ event }) => event === 'summary');
    this.counts.dropped += sumOf(summary, 'versions');
    this.counts.items += sumOf(summary, 'items');
    this.counts.freedBytes += sumOf(summary, 'freedBytes');
    return finished;
  }

  async #try(args: readonly string[]) {
    const finished = await this.#plant.tryOperate(args);
    const { code, stderr } = finished;
    if (code !== 0 && code !== 3) this.counts.refused += 1;
    if (code !== 0 && !/\[[A-Z][A-Z0-9_]+\]$/m.test(stderr))
      this.wrong.push(`aliquot ${args.slice(0, 2).join(' ')} ended with ${code}: ${stderr.trim()}`);
    if (stderr.includes('[UNEXPECTED]')) this.wrong.push(stderr.trim());
    return finished;
  }
}

function runIn(lines: readonly JsonLine[]): string | undefined {
  const run = lines.find((line) => line['run'] !== undefined)?.['run'];
  return run === undefined || run === null ? undefined : String(run);
}

function sumOf(lines: readonly JsonLine[], key: string): number {
  return lines.reduce((sum, line) => sum + Number(line[key] ?? 0), 0);
}
