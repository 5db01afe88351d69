import type { Timers } from '@aliquot/shared/ports';

const SIGN_MS = 10_000;

/**
 * What long work answers, as one record of JSON; until then an empty object now and then, so that
 * who asked, and whatever stands between, knows that the answer comes.
 */
export async function* whileWorking(
  timers: Timers,
  work: Promise<object>,
): AsyncGenerator<Uint8Array> {
  for (;;) {
    let cancel = (): void => undefined;
    const sign = new Promise<undefined>((resolve) => {
      cancel = timers.after(SIGN_MS, () => resolve(undefined));
    });
    try {
      const answer = await Promise.race([work, sign]);
      yield Buffer.from(JSON.stringify(answer ?? {}));
      if (answer !== undefined) return;
    } finally {
      cancel();
    }
  }
}
