import type { TortureScenario } from '@aliquot/shared/testing/scenario';
import { captureScenarios } from '../agent/testing/capture/capture-scenarios.ts';
import { placeScenarios } from '../agent/testing/capture/place-scenarios.ts';
import { carryScenarios } from '../agent/testing/carry/carry-scenarios.ts';
import { deskScenarios } from '../agent/testing/desk/desk-scenarios.ts';
import { identityScenarios } from '../agent/testing/identity/identity-scenarios.ts';
import { queueDamageScenarios } from '../agent/testing/queue/damage-scenarios.ts';
import { queueScenarios } from '../agent/testing/queue/queue-scenarios.ts';
import { resultScenarios } from '../agent/testing/queue/result-scenarios.ts';
import { roomScenarios } from '../agent/testing/service/room-scenarios.ts';
import { collectorScenarios } from '../collector/testing/store/collector-scenarios.ts';
import { damageScenarios } from '../collector/testing/store/damage-scenarios.ts';
import { sharedScenarios } from '../shared/testing/shared-scenarios.ts';
import { fleetScenarios } from './scenarios/fleet-desk.ts';
import { fullDiskScenarios } from './scenarios/full-disk.ts';
import { fuzzScenarios } from './scenarios/fuzz.ts';
import { killScenarios } from './scenarios/kill-at-random.ts';
import { logScenarios } from './scenarios/logs-lost.ts';
import { outputScenarios } from './scenarios/lost-output.ts';
import { networkScenarios } from './scenarios/network.ts';
import { networkCableScenarios } from './scenarios/network-cable.ts';
import { oddityScenarios } from './scenarios/oddities.ts';
import { outsideAgentScenarios } from './scenarios/outside-agent.ts';
import { outsideClockScenarios } from './scenarios/outside-clocks.ts';
import { outsideCollectionScenarios } from './scenarios/outside-collection.ts';
import { outsideCollectorScenarios } from './scenarios/outside-collector.ts';
import { outsideDiskScenarios } from './scenarios/outside-disks.ts';
import { resultBackupScenarios } from './scenarios/results.ts';
import { smallFileScenarios } from './scenarios/small-files.ts';
import { soakScenarios } from './scenarios/soak.ts';
import { swappedScenarios } from './scenarios/swapped.ts';
import { yearScenarios } from './scenarios/years.ts';

/** A file of 20 GiB and a tree of a million files cannot be done by halves. */
const LEAST_SECONDS_OF_HUGE_TREES = 600;

/**
 * Every scenario of `npm run test:torture`, in the order in which they run. Each has its row in
 * docs/reliability.md.
 */
export const scenarios: readonly TortureScenario[] = [
  ...sharedScenarios,
  ...identityScenarios,
  ...deskScenarios,
  ...queueScenarios,
  ...resultScenarios,
  ...carryScenarios,
  ...collectorScenarios,
  ...damageScenarios,
  ...queueDamageScenarios,
  ...captureScenarios,
  ...placeScenarios,
  ...roomScenarios,
  ...fuzzScenarios,
  ...networkScenarios,
  ...networkCableScenarios,
  ...fleetScenarios,
  ...outsideAgentScenarios,
  ...outsideCollectorScenarios,
  ...outsideCollectionScenarios,
  ...outsideDiskScenarios,
  ...fullDiskScenarios,
  ...outsideClockScenarios,
  ...swappedScenarios,
  ...oddityScenarios.map((scenario) => ({
    leastSeconds: LEAST_SECONDS_OF_HUGE_TREES,
    ...scenario,
  })),
  ...logScenarios,
  ...outputScenarios,
  ...killScenarios,
  ...smallFileScenarios,
  ...resultBackupScenarios,
  ...yearScenarios,
  ...soakScenarios,
];
