import { chmodSync, lstatSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

/** A new empty folder that goes away with the test, read-only folders in it included. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'aliquot-test-'));
  onTestFinished(() => {
    const open = (path: string) => {
      if (!lstatSync(path).isDirectory()) return;
      chmodSync(path, 0o700);
      for (const name of readdirSync(path)) {
        const below = join(path, name);
        if (!name.includes('\ufffd')) open(below);
      }
    };
    open(folder);
    rmSync(folder, { recursive: true, force: true });
  });
  return folder;
}
