import { run } from '../measure/command.ts';
import type { SystemProbe } from './system.ts';

/** A peer's version by its own words, or that it is not here. */
export async function probeProgram(
  program: string,
  args: readonly string[],
  debianPackage: string,
): Promise<SystemProbe> {
  try {
    const [line = ''] = (await run({ program, args })).split('\n');
    return { version: line.trim() };
  } catch {
    return { missing: `${program} is not installed; on Debian: apt-get install ${debianPackage}` };
  }
}
