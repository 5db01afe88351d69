import type {
  TortureContext,
  TortureCounts,
  TortureScenario,
} from '@aliquot/shared/testing/scenario';
import { proveDesk } from '../../test/fleet/desk.ts';

/**
 * So many PCs are what one person can be asked to run; more real ones than these would measure the
 * machine and not the program.
 */
const size = { real: 30, simulated: 70 };
/** A start of each takes a second of a core. */
const LEAST_SECONDS = 240;

async function fleetDesk({ log, mine }: TortureContext): Promise<TortureCounts> {
  const none = { injected: 0, passed: 0, failed: [], whole: true };
  if (!mine(1)) return none;
  try {
    await proveDesk(size, log);
  } catch (error) {
    return {
      ...none,
      injected: 1,
      failed: [`case 1: ${error instanceof Error ? error.message : String(error)}`],
    };
  }
  return { ...none, injected: 1, passed: 1 };
}

export const fleetScenarios: readonly TortureScenario[] = [
  {
    name: 'fleet-desk',
    about:
      'A hundred PCs, 30 of them processes, enrol with one bundle, and one more is refused. Settings, a wrong file forced past its check, a canary, another address with another authority, and a wrong address follow, and nobody walks to a PC: each has them in force, refuses them and goes on, waits, moves, comes back.',
    proves: ['P5', 'P6'],
    leastSeconds: LEAST_SECONDS,
    undivided: true,
    run: fleetDesk,
  },
];
