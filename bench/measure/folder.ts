import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/**
 * A folder of its own below `base` that is gone when this process ends, however it ends: also when
 * somebody interrupts it. `keep` leaves it. Programs that `command.ts` started are ended as well.
 */
export function workFolder(base: string, keep = false): { readonly path: string; remove(): void } {
  mkdirSync(base, { recursive: true });
  const path = mkdtempSync(join(base, 'run-'));
  const remove = (): void => {
    if (!keep) rmSync(path, { recursive: true, force: true, maxRetries: 5 });
  };
  process.once('exit', remove);
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const) {
    process.once(signal, () => process.exit(code));
  }
  return { path, remove };
}
