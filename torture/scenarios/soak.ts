import type { TortureScenario } from '@aliquot/shared/testing/scenario';
import { runSoak } from '../soak/run-soak.ts';

/** Without a time limit the scenario ends after this; `npm run soak` runs as long as it is told. */
const LONGEST_MS = 300_000;

export const soakScenarios: readonly TortureScenario[] = [
  {
    name: 'soak',
    about:
      'random instruments on two PCs with random kill -9, freezes, pulled cable, full disks and clock jumps of both sides: every state that was told as captured, or lies on the disk at the end, comes back.',
    proves: ['P1', 'P2', 'P5', 'P6'],
    async run({ random, over, log }) {
      const end = Date.now() + LONGEST_MS;
      let whole = false;
      const result = await runSoak(
        random,
        () => {
          whole = Date.now() >= end;
          return whole || over();
        },
        log,
      );
      const { harm, versions, wrong } = result;
      const injected = Object.values(harm).reduce((sum: number, count: number) => sum + count, 0);
      log(`${result.states} states, ${versions} versions restored and compared`);
      const failed = wrong.map((line) => `case 0: ${line}`);
      return { injected, passed: failed.length === 0 ? injected : 0, failed, whole };
    },
  },
];
