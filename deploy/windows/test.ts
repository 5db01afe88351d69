/**
 * `npm run test:windows [-- --wine10] [-- --only rooms|host|held|lifetime|misuse|msi|planted] [--
 * TEXT…]`: what of Aliquot can be proved of Windows without a Windows: under Wine, with Windows'
 * own Node. Optional: where there can be no Wine it says so and ends with 0. Of the rooms' own
 * tests TEXTs choose those whose path holds one. What only a real Windows shows is in verify.ps1.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { World } from '../../test/world.ts';
import { held } from './testing/held.ts';
import { host } from './testing/host.ts';
import { type Check, LifetimePlace, lifetime } from './testing/lifetime.ts';
import { misuse } from './testing/misuse.ts';
import { msi } from './testing/msi.ts';
import { planted } from './testing/planted.ts';
import { rooms } from './testing/rooms.ts';
import { Windows } from './testing/windows.ts';

/** Node 24 asks for calls that Wine 8 does not have. */
const NODE_FOR_WINE8 = '22.23.3';

const parts = { rooms, host, held, lifetime, misuse, msi, planted };
type Part = keyof typeof parts;
const isPart = (name: string | undefined): name is Part => name !== undefined && name in parts;

const { values, positionals } = parseArgs({
  options: { wine10: { type: 'boolean', default: false }, only: { type: 'string' } },
  allowPositionals: true,
});
const folder = mkdtempSync(join(tmpdir(), 'aliquot-windows-'));
let passed = 0;
let failed = 0;
const check: Check = async (sentence, hold) => {
  const began = Date.now();
  try {
    await hold();
    passed += 1;
    console.log(`  ✓ ${sentence} (${((Date.now() - began) / 1000).toFixed(0)} s)`);
  } catch (error) {
    failed += 1;
    console.log(`  ✗ ${sentence}\n    ${error instanceof Error ? error.message : error}`);
  }
};

const world = await World.open();
try {
  for (const name of isPart(values.only) ? [values.only] : (Object.keys(parts) as Part[])) {
    // A new one for each part: what one leaves behind is nothing to the others.
    const windows = await Windows.make(join(folder, `on-${name}`), values.wine10);
    if (windows === undefined) {
      console.log('skipped: there is no Wine here');
      break;
    }
    console.log(`${name}, Wine ${values.wine10 ? 10 : 8}:`);
    windows.logOn();
    try {
      const node = values.wine10 ? undefined : NODE_FOR_WINE8;
      await parts[name](new LifetimePlace(windows, world, folder, node), check, positionals);
    } finally {
      await windows.shutDown();
    }
  }
} finally {
  await world.close();
  rmSync(folder, { recursive: true, force: true });
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
