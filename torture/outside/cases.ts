import type { TortureContext, TortureCounts } from '@aliquot/shared/testing/scenario';
import { Stage, StageUnmet } from './stage.ts';

/** One thing to do to the programs, and to judge. */
export interface OutsideCase {
  readonly what: string;
  run(stage: Stage): Promise<void>;
}

/** Tries cases one after another, each from the image that `prepare` made, until time is over. */
export async function tryCases(
  { over, log, mine }: TortureContext,
  prepare: (stage: Stage) => Promise<void>,
  cases: readonly OutsideCase[],
): Promise<TortureCounts> {
  const stage = await Stage.open();
  const failed: string[] = [];
  let injected = 0;
  try {
    await prepare(stage);
    await stage.unserve();
    await stage.keep();
    for (const [number, { what, run }] of cases.entries()) {
      if (!mine(number)) continue;
      if (over()) return { injected, passed: injected - failed.length, failed, whole: false };
      injected += 1;
      await stage.putBack();
      try {
        await run(stage);
      } catch (error) {
        const says =
          error instanceof StageUnmet
            ? error.message
            : error instanceof Error
              ? (error.stack ?? error.message)
              : String(error);
        failed.push(`case ${number}: ${what}: ${says}`);
        log(failed.at(-1) ?? '');
      } finally {
        await stage.unserve('SIGKILL');
      }
    }
    return { injected, passed: injected - failed.length, failed, whole: true };
  } finally {
    await stage.close();
  }
}
