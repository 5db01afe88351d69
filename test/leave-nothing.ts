import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Where the services of this run of the tests listen. Killed ones leave their sockets in it. */
export const runtimeDirectory: string = join(tmpdir(), `aliquot-run-${process.pid}`);

/** Runs when all tests have ended. */
export function teardown(): void {
  rmSync(runtimeDirectory, { recursive: true, force: true });
}
