import { sampleOf } from '@aliquot/shared/testing/damage';
import { expect, test } from 'vitest';
import { queueDamageScenarios } from '../../testing/queue/damage-scenarios.ts';

/** Of each scenario; `npm run test:torture -- --only 'damaged-agent-*'` does all of them. */
const SAMPLE = 20;

test.each(queueDamageScenarios.map((scenario) => [scenario.name, scenario] as const))(
  'P1 P5 P6 %s, a sample: all arrives, or what does not is named',
  async (_, scenario) => {
    const counts = await sampleOf(scenario, SAMPLE);
    expect(counts).toMatchObject({ injected: SAMPLE, failed: [] });
  },
);
