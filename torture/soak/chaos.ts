import { setTimeout as delay } from 'node:timers/promises';
import type { SeededRandom } from '@aliquot/shared/testing/random';
import { faketimeLibrary } from './clocks.ts';
import type { Plant, Side } from './plant.ts';

/** How often each kind of harm was done. */
export interface Harm {
  agentKills: number;
  collectorKills: number;
  bothKills: number;
  cablePulls: number;
  fullDisks: number;
  clockJumps: number;
  freezes: number;
}

const YEAR = 365 * 86_400;
const jumps = [3 * YEAR, -4 * YEAR, 86_400, -86_400, 3600, -3600, 30, -30, 0] as const;

/**
 * Does one harm after another, some at the same time, until `stopped`; everything is healed when it
 * returns.
 */
export async function wreak(
  plant: Plant,
  random: SeededRandom,
  stopped: () => boolean,
): Promise<Harm> {
  const harm: Harm = {
    agentKills: 0,
    collectorKills: 0,
    bothKills: 0,
    cablePulls: 0,
    fullDisks: 0,
    clockJumps: 0,
    freezes: 0,
  };
  await Promise.all([
    killing(plant, random.derive('kills'), stopped, harm),
    cutting(plant, random.derive('cable'), stopped, harm),
    filling(plant, random.derive('disks'), stopped, harm),
    bending(plant, random.derive('clocks'), stopped, harm),
  ]);
  return harm;
}

/**
 * Waits up to so long, and less when it is time to stop. How long harms last is random; no result
 * depends on it.
 */
async function pause(milliseconds: number, stopped: () => boolean): Promise<void> {
  for (let left = milliseconds; left > 0 && !stopped(); left -= 100)
    await delay(Math.min(100, left));
}

async function killing(
  plant: Plant,
  random: SeededRandom,
  stopped: () => boolean,
  harm: Harm,
): Promise<void> {
  while (!stopped()) {
    await pause(500 + random.below(6000), stopped);
    const pc = random.pick(plant.pcs);
    const what = random.pick([
      'agent',
      'agent',
      'collector',
      'collector',
      'both',
      'freeze',
    ] as const);
    if (what === 'freeze') {
      const side = random.pick<Side>(plant.sides);
      side.program.freeze();
      await pause(500 + random.below(6000), stopped);
      side.program.thaw();
      harm.freezes += 1;
      continue;
    }
    if (what !== 'collector') pc.program.kill();
    if (what !== 'agent') plant.collector.program.kill();
    if (what === 'agent') harm.agentKills += 1;
    else if (what === 'collector') harm.collectorKills += 1;
    else harm.bothKills += 1;
  }
}

async function cutting(
  plant: Plant,
  random: SeededRandom,
  stopped: () => boolean,
  harm: Harm,
): Promise<void> {
  while (!stopped()) {
    await pause(1000 + random.below(15_000), stopped);
    await plant.cable.pull();
    harm.cablePulls += 1;
    await pause(random.chance(0.3) ? random.below(20_000) : random.below(2000), stopped);
    await plant.cable.plug();
  }
}

async function filling(
  plant: Plant,
  random: SeededRandom,
  stopped: () => boolean,
  harm: Harm,
): Promise<void> {
  while (!stopped()) {
    await pause(3000 + random.below(15_000), stopped);
    const { disk } = random.pick<Side>(plant.sides);
    if (!disk) continue;
    await disk.fill(random.below(200_000));
    harm.fullDisks += 1;
    await pause(500 + random.below(8000), stopped);
    await disk.free();
  }
}

async function bending(
  plant: Plant,
  random: SeededRandom,
  stopped: () => boolean,
  harm: Harm,
): Promise<void> {
  if (faketimeLibrary === undefined) return;
  while (!stopped()) {
    await pause(2000 + random.below(12_000), stopped);
    await random.pick<Side>(plant.sides).clock.set(random.pick(jumps));
    harm.clockJumps += 1;
  }
  for (const { clock } of plant.sides) await clock.set(0);
}
