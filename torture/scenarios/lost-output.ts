import type { TortureScenario } from '@aliquot/shared/testing/scenario';
import { OutputLab } from '../../test/lost-output/cases.ts';
import { ways } from '../../test/lost-output/losing.ts';

export const outputScenarios: readonly TortureScenario[] = [
  {
    name: 'lost-output',
    about:
      'every command of both programs with a standard output, and with a standard error, that is closed, full, or has no reader: its work is done, and it never ends with 0 when its words are lost.',
    proves: ['P6'],
    async run({ over, mine }) {
      const lab = new OutputLab();
      const cases = ways.flatMap((way) => [
        ...lab.readers.map((one) => ({ one, way, run: () => lab.mustFail(way, one) })),
        ...lab.works.map((one) => ({ one, way, run: () => lab.mustWork(way, one) })),
        ...lab.works.map((one) => ({ one, way, run: () => lab.mustNotMind(way, one) })),
      ]);
      const failed: string[] = [];
      let injected = 0;
      let whole = true;
      await lab.open();
      try {
        for (const [number, { one, way, run }] of cases.entries()) {
          if (!mine(number)) continue;
          if (over()) {
            whole = false;
            break;
          }
          injected += 1;
          await run().catch((error: Error) =>
            failed.push(`case ${number}: ${one.name}, ${way}: ${error.message}`),
          );
        }
      } finally {
        await lab.close();
      }
      return { injected, passed: injected - failed.length, failed, whole };
    },
  },
];
