import type { TortureScenario } from '@aliquot/shared/testing/scenario';
import { runSoak } from '../soak/run-soak.ts';

/** Without a time limit the scenario ends after this; `npm run soak` runs as long as it is told. */
const LONGEST_MS = 300_000;
/** Its first case, however late it is: long enough that something is written, harmed and told. */
const SHORTEST_MS = 20_000;

export const soakScenarios: readonly TortureScenario[] = [
  {
    name: 'soak',
    undivided: true,
    about:
      'random instruments and trees of small files (changed, touched, renamed, deleted) on two PCs with random kill -9, freezes, pulled cable, full disks and clock jumps of both sides, while days pass at the collector and a person has retention run and collects each minute: every state that was reported as captured, or lies on the disk at the end, comes back unless the rule let it go, and index and catalog are what a replay gives.',
    proves: ['P1', 'P2', 'P5', 'P6'],
    async run({ random, over, log }) {
      const start = Date.now();
      let whole = false;
      const result = await runSoak(
        random,
        () => {
          const elapsedMs = Date.now() - start;
          whole = elapsedMs >= LONGEST_MS;
          return whole || (over() && elapsedMs >= SHORTEST_MS);
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
