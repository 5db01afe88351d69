import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AliquotError } from '@aliquot/proto';
import type { DiskPort } from '../src/derived/level-port.ts';
import { nodeDisk } from '../src/derived/node-level.ts';
import { type FatePlan, fatesOf } from './fates.ts';
import type { Step } from './faulty-files.ts';
import { type SeededRandom, seededSource } from './random.ts';
import type { PromiseId, TortureContext, TortureCounts, TortureScenario } from './scenario.ts';
import { nothingSurvives, SimulatedDisk, type SimulatedProcess } from './simulated-disk.ts';

/**
 * One thing that the life does; done again after a crash or an error if it did not end well, so it
 * must bear repetition.
 */
export interface LifeStep<Session> {
  readonly name: string;
  run(session: Session): Promise<void>;
}

/** What a test case does with the system, and what it remembers of the system's promises. */
export interface Life<Session> {
  /** Starts the system; also after each crash. */
  open(files: DiskPort): Promise<Session>;
  readonly steps: readonly LifeStep<Session>[];
  close(session: Session): Promise<void>;
  /**
   * Nothing is open. Throws unless fsck finds nothing wrong and everything that was promised so far
   * is there, byte for byte.
   */
  judge(files: DiskPort, state: JudgedState): Promise<void>;
  /**
   * An error with which the step may be tried again at once; what `AliquotError` says of itself by
   * default.
   */
  retryable?(error: unknown): boolean;
}

export interface JudgedState {
  /** The life came to its end: everything is there, not only what was promised. */
  readonly whole: boolean;
  /**
   * Bytes were altered that had been written, as no crash does: fsck may find that and repair it,
   * and nothing may be lost.
   */
  readonly damaged: boolean;
}

export interface CrashScenario {
  readonly name: string;
  readonly about: string;
  readonly proves: readonly PromiseId[];
  /** Only these steps are struck; all by default. */
  readonly strikes?: (step: Step) => boolean;
  /**
   * A new life in an empty folder. What it writes here by itself is durable; randomness must come
   * from what is given.
   */
  // biome-ignore lint/suspicious/noExplicitAny: each life knows its own session, nobody else looks at it
  begin(root: string, random: SeededRandom): Promise<Life<any>>;
}

export interface EnumerateOptions {
  readonly seed: number;
  readonly over?: () => boolean;
  readonly log?: (line: string) => void;
  /** Whether the case of this number, as its failure names it, is run; all by default. */
  readonly mine?: (number: number) => boolean;
}

export interface EnumerationCounts extends TortureCounts {
  /** Calls that the life makes when nothing goes wrong. */
  readonly operations: number;
}

/** Processes that one case may need; more means that it never recovers. */
const MAX_STARTS = 6;
const MAX_TRIES = 3;
/** Ends what hangs; no case takes a hundredth of it. */
const HANG_MS = 120_000;

/**
 * Runs a life once counting its calls, then once for each call and each way in which that call can
 * go wrong. After the fault the life goes on (in the same process when the error says that it may,
 * else in a new one), is judged, comes to its end, is judged, loses power, and is judged again.
 */
export async function enumerate(
  scenario: CrashScenario,
  options: EnumerateOptions,
): Promise<EnumerationCounts> {
  const failed: string[] = [];
  const steps = await new Case(scenario, options.seed).run(undefined).catch((error: unknown) => {
    failed.push(`case 0: no fault but the last power failure: ${says(error)}`);
    return [];
  });
  const cases = steps.flatMap((step) =>
    scenario.strikes?.(step) === false ? [] : fatesOf(step).map((plan) => ({ step, plan })),
  );
  const mine = inAnyOrder(
    cases.map((_, index) => index + 1).filter((number) => options.mine?.(number) !== false),
    seededSource(options.seed).derive('order'),
  );
  let [injected, passed, whole] = [0, 0, true];
  for (const number of mine) {
    const one = cases[number - 1];
    if (one === undefined) continue;
    if (options.over?.() === true) {
      whole = false;
      break;
    }
    injected += 1;
    const { step, plan } = one;
    try {
      await new Case(scenario, options.seed).run({ at: step.index, plan });
      passed += 1;
    } catch (error) {
      const where = step.path.split('/').slice(-2).join('/');
      const line = `case ${number}: operation ${step.index} (${step.operation} ${where}), ${plan.name}: ${says(error)}`;
      failed.push(line);
      options.log?.(line);
    }
  }
  options.log?.(`${steps.length} operations, ${cases.length} faults, ${injected} of them here`);
  return { operations: steps.length, injected, passed, failed, whole };
}

/** So that a run cut by time is a fair sample. */
function inAnyOrder(numbers: number[], random: SeededRandom): number[] {
  const order: number[] = [];
  while (numbers.length > 0) order.push(...numbers.splice(random.below(numbers.length), 1));
  return order;
}

/** The whole enumeration as a torture scenario. */
export function tortureOf(scenario: CrashScenario): TortureScenario {
  const { name, about, proves } = scenario;
  const run = ({ seed, over, log, mine }: TortureContext) =>
    enumerate(scenario, { seed, over, log, mine });
  return { name, about, proves, run };
}

class Case {
  readonly #scenario: CrashScenario;
  readonly #seed: number;

  constructor(scenario: CrashScenario, seed: number) {
    this.#scenario = scenario;
    this.#seed = seed;
  }

  /** Gives the steps of the first process. Throws what a promise was broken by. */
  async run(
    fault: { readonly at: number; readonly plan: FatePlan } | undefined,
  ): Promise<readonly Step[]> {
    // In memory where the system has it: flushes cost nothing there, and the simulated disk knows
    // what a real one would have.
    const root = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'aliquot-case-'));
    const random = seededSource(this.#seed);
    let timer: NodeJS.Timeout | undefined;
    const hangs = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error('hangs')), HANG_MS);
    });
    try {
      return await Promise.race([this.#live(root, random, fault), hangs]);
    } catch (cause) {
      throw new Error(says(cause).replaceAll(root, 'DIR'), { cause });
    } finally {
      clearTimeout(timer);
      rmSync(root, { recursive: true, force: true });
    }
  }

  async #live(
    root: string,
    random: SeededRandom,
    fault: { at: number; plan: FatePlan } | undefined,
  ): Promise<readonly Step[]> {
    const life: Life<unknown> = await this.#scenario.begin(root, random.derive('life'));
    const disk = new SimulatedDisk(root, nodeDisk);
    const first = disk.process((step) => (step.index === fault?.at ? fault.plan.fate : undefined));
    let process: SimulatedProcess = first;
    let done = 0;
    try {
      for (let start = 1; ; start += 1) {
        try {
          const session = await life.open(process.files);
          for (; done < life.steps.length; done += 1)
            await this.#step(life, session, done, process);
          await life.close(session);
          break;
        } catch (error) {
          if (fault === undefined || !first.struck || start === MAX_STARTS) throw error;
          await process.end();
          if (start === 1 && fault.plan.survival !== undefined)
            await disk.powerFails(fault.plan.survival(random.derive('survival')));
          // Every other time the system starts again before anybody has looked.
          const { damages = false } = fault.plan;
          if (damages || fault.at % 2 === 0)
            await judged(`after the fault (${says(error)})`, life, disk, {
              whole: false,
              damaged: damages,
            });
          process = disk.process();
        }
      }
      await process.end();
      await judged('at the end', life, disk, { whole: true, damaged: false });
      await disk.powerFails(nothingSurvives);
      await judged('after a last power failure', life, disk, { whole: true, damaged: false });
      return first.steps.map((step) => ({ ...step, path: step.path.replaceAll(root, 'DIR') }));
    } finally {
      await process.end();
    }
  }

  async #step(
    life: Life<unknown>,
    session: unknown,
    at: number,
    process: SimulatedProcess,
  ): Promise<void> {
    const step = life.steps[at];
    for (let tried = 1; ; tried += 1) {
      try {
        return await step?.run(session);
      } catch (error) {
        const again = life.retryable?.(error) ?? (error instanceof AliquotError && error.retryable);
        if (process.crashed || !again || tried === MAX_TRIES) throw error;
      }
    }
  }
}

async function judged(
  when: string,
  life: Life<unknown>,
  disk: SimulatedDisk,
  state: JudgedState,
): Promise<void> {
  const process = disk.process();
  try {
    await life.judge(process.files, state);
  } catch (cause) {
    throw new Error(`${when}: ${says(cause)}`, { cause });
  } finally {
    await process.end();
  }
}

function says(error: unknown): string {
  return error instanceof Error
    ? error.message.split('\n').slice(0, 12).join(' | ')
    : String(error);
}
