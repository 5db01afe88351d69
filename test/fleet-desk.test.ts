import { describe, it } from 'vitest';
import { proveDesk } from './fleet/desk.ts';

/** In the small; `npm run test:torture -- --only fleet-desk` does it with a hundred. */
describe('PCs that are run from one desk', () => {
  it('P5 P6: one bundle for all, settings, a wrong file, a canary, another address and certificate, and back after a wrong one', async () => {
    const told: string[] = [];
    await proveDesk({ real: 2, simulated: 6 }, (line) => told.push(line)).catch(
      (error: unknown) => {
        throw new Error(`after: ${told.join(' | ') || 'nothing'}`, { cause: error });
      },
    );
  });
});
