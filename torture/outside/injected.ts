import { rm } from 'node:fs/promises';
import type {
  TortureContext,
  TortureCounts,
  TortureScenario,
} from '@aliquot/shared/testing/scenario';
import { must, Stage, StageUnmet, type Start } from './stage.ts';
import {
  counting,
  describeInjection,
  finishedTrace,
  type Injection,
  injecting,
  injectionsAt,
  pointsOf,
  wasHit,
  whyNoStrace,
} from './strace.ts';

/**
 * One thing that a program does while its system calls fail, or while it is killed at one of them.
 */
export interface InjectedWork<Told> {
  readonly name: string;
  readonly about: string;
  readonly proves: TortureScenario['proves'];
  /** Brings a new stage to where every case begins; nothing may run afterwards. */
  prepare(stage: Stage): Promise<void>;
  /** False where only the agent is: then the collector keeps running, in this process. */
  readonly collectorUnderTest: boolean;
  /** The sources are known when a case begins, and nothing changes them: they are not copied. */
  readonly sourceStays?: boolean;
  /** The folders whose calls are failed. */
  folders(stage: Stage): readonly string[];
  /**
   * The work, with one program started as `start` says; gives what was told, for the judge. Must
   * leave nothing running.
   */
  act(stage: Stage, start: Start): Promise<Told>;
  /**
   * Without faults again: restarts, proves both sides, restores and compares. Throws `StageUnmet`.
   */
  judge(stage: Stage, told: Told): Promise<void>;
}

/** Cases that are tried beside each other, each on a stage of its own. */
const STAGES = 2;

/** A stage at which every case of the work can begin. */
async function preparedStage<Told>(work: InjectedWork<Told>): Promise<Stage> {
  const { collectorUnderTest, sourceStays = false } = work;
  const stage = await Stage.open({ collectorInside: !collectorUnderTest, sourceStays });
  await work.prepare(stage);
  await stage.unserve();
  await stage.keep();
  return stage;
}

/**
 * Every fault that can happen to the calls that the work makes on its folders, found by one run
 * that counts them.
 */
async function enumerate<Told>(stage: Stage, work: InjectedWork<Told>): Promise<Injection[]> {
  await stage.putBack();
  const trace = stage.beside('trace');
  await rm(trace, { force: true });
  const told = await work.act(stage, counting(trace));
  if (work.collectorUnderTest) await stage.unserve();
  await work.judge(stage, told);
  await stage.unserve();
  const injections = injectionsAt(
    pointsOf(await finishedTrace(trace), stage.root, work.folders(stage)),
  );
  must(injections.length > 0, 'the run that counts saw no call on the data');
  return injections;
}

/** One fault; gives false when the program made fewer calls this time, so that nothing was hit. */
async function tryOne<Told>(
  stage: Stage,
  work: InjectedWork<Told>,
  injection: Injection,
): Promise<boolean> {
  await stage.putBack();
  const trace = stage.beside('trace');
  await rm(trace, { force: true });
  try {
    const told = await work.act(stage, injecting(injection, stage.root, trace));
    if (work.collectorUnderTest) await stage.unserve();
    const hit = wasHit(await finishedTrace(trace), work.folders(stage), injection.effect);
    await work.judge(stage, told);
    return hit;
  } finally {
    await stage.unserve('SIGKILL');
  }
}

/** Runs the cases that `choose` takes from the enumeration, until time is over. */
async function runCases<Told>(
  work: InjectedWork<Told>,
  { over, log, mine }: Pick<TortureContext, 'over' | 'log' | 'mine'>,
  choose: (injections: readonly Injection[]) => readonly number[],
): Promise<TortureCounts> {
  const unable = await whyNoStrace();
  if (unable !== undefined) {
    log(`not run: ${unable}`);
    return { injected: 0, passed: 0, failed: [], whole: false };
  }
  const stages: Stage[] = [];
  try {
    stages.push(await preparedStage(work));
    const injections = await enumerate(stages[0] as Stage, work);
    const order = choose(injections).filter(mine);
    log(`${injections.length} faults, ${order.length} of them here`);
    const left = [...order];
    const failed: string[] = [];
    let injected = 0;
    let missed = 0;
    let whole = true;
    const tryInTurn = async (stage: Stage): Promise<void> => {
      for (let number = left.shift(); number !== undefined; number = left.shift()) {
        if (over()) {
          whole = false;
          return;
        }
        const injection = injections[number];
        must(injection !== undefined, `there is no case ${number}: there are ${injections.length}`);
        try {
          if (await tryOne(stage, work, injection)) injected += 1;
          else missed += 1;
        } catch (error) {
          injected += 1;
          const says =
            error instanceof StageUnmet
              ? error.message
              : error instanceof Error
                ? (error.stack ?? error.message)
                : String(error);
          failed.push(`case ${number}: ${describeInjection(injection)}: ${says}`);
          log(failed.at(-1) ?? '');
        }
        if ((order.length - left.length) % 25 === 0)
          log(`${order.length - left.length} of ${order.length}, ${failed.length} failed`);
      }
    };
    const tryOnAnother = async (): Promise<void> => {
      if (left.length === 0 || over()) return;
      const stage = await preparedStage(work);
      stages.push(stage);
      await tryInTurn(stage);
    };
    // The first begins at once, so that a short share of time does a case and not only
    // preparations.
    await Promise.all([
      tryInTurn(stages[0] as Stage),
      ...Array.from({ length: STAGES - 1 }, tryOnAnother),
    ]);
    // A program that makes fewer calls than when they were counted is not hit by the last ones;
    // when many miss, nothing was proved.
    log(
      `${missed} of ${injected + missed} faults did not happen, because the program made fewer calls`,
    );
    if (missed > 3 + injected / 4)
      failed.push(`${missed} faults of ${injected + missed} did not happen`);
    return { injected, passed: Math.max(0, injected - failed.length), failed, whole };
  } finally {
    for (const stage of stages) await stage.close();
  }
}

/** All faults, in an order that the seed draws: a run cut by time is a fair sample. */
export function injectedScenario<Told>(work: InjectedWork<Told>): TortureScenario {
  const { name, about, proves } = work;
  return {
    name,
    about,
    proves,
    run: (context) =>
      runCases(work, context, (injections) => {
        const left = injections.map((_, index) => index);
        const order: number[] = [];
        while (left.length > 0) order.push(...left.splice(context.random.below(left.length), 1));
        return order;
      }),
  };
}

/** The fast part: for each kind of call one fault, in the middle of its calls. */
export function someOf<Told>(
  work: InjectedWork<Told>,
  effects: readonly string[],
): Promise<TortureCounts> {
  const ports = { over: () => false, log: () => {}, mine: () => true };
  return runCases(work, ports, (injections) =>
    effects.flatMap((wanted) => {
      const matching = [...injections.entries()].filter(
        ([, { syscall, effect }]) => `${syscall}:${effect}` === wanted,
      );
      const [index] = matching[matching.length >> 1] ?? [];
      return index === undefined ? [] : [index];
    }),
  );
}
