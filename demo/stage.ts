import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stopPrograms } from './programs.ts';

/** What shells give a program that Ctrl-C ended. */
export const INTERRUPTED = 130;

/**
 * Runs a play in a folder of its own. However it ends (done, failed, Ctrl-C in the middle), its
 * programs are stopped and the folder is removed. Gives the play's exit code, or `INTERRUPTED`.
 *
 * @param play gets the folder, and a promise that resolves when somebody wants the end; after that
 * it is not waited for
 */
export async function onStage(
  name: string,
  play: (folder: string, curtain: Promise<void>) => Promise<number>,
): Promise<number> {
  const curtain = new Promise<void>((resolve) => {
    // Again and again: an impatient second Ctrl-C must not leave a folder behind.
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
      process.on(signal, () => resolve());
    process.stdout.on('error', () => resolve()); // nobody watches any more
  });
  const folder = await mkdtemp(join(tmpdir(), `aliquot-${name}-`));
  try {
    return await Promise.race([play(folder, curtain), curtain.then(() => INTERRUPTED)]);
  } finally {
    await stopPrograms();
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}
