import { sampleOf } from '@aliquot/shared/testing/damage';
import { expect, test } from 'vitest';
import { damageScenarios } from '../../testing/store/damage-scenarios.ts';

/** Of each scenario; `npm run test:torture -- --only 'damaged-collector-*'` does all of them. */
const SAMPLE = 25;

test.each(damageScenarios.map((scenario) => [scenario.name, scenario] as const))(
  'P1 P2 P6 %s, a sample: all is there, or what is missing is named',
  async (_, scenario) => {
    const counts = await sampleOf(scenario, SAMPLE);
    expect(counts).toMatchObject({ injected: SAMPLE, failed: [] });
  },
);
