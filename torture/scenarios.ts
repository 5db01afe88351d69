import type { TortureScenario } from '@aliquot/shared/testing/scenario';
import { killScenarios } from './scenarios/kill-at-random.ts';
import { outsideAgentScenarios } from './scenarios/outside-agent.ts';
import { outsideClockScenarios } from './scenarios/outside-clocks.ts';
import { outsideCollectorScenarios } from './scenarios/outside-collector.ts';
import { outsideDiskScenarios } from './scenarios/outside-disks.ts';
import { soakScenarios } from './scenarios/soak.ts';

/** Every scenario of `npm run test:torture`, in the order in which they run. Each has its row in docs/reliability.md. */
export const scenarios: readonly TortureScenario[] = [
  ...outsideAgentScenarios,
  ...outsideCollectorScenarios,
  ...outsideDiskScenarios,
  ...outsideClockScenarios,
  ...killScenarios,
  ...soakScenarios,
];
