import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { nodeFlags } from '../../deploy/node-flags.ts';
import { memoryOf } from '../measure/procfs.ts';

const LOOK_MS = 20;
const MIB = 1024 * 1024;

/**
 * Runs a program in a process of its own, as a collector that serves is run, passes on what it
 * says, and prints its peak of resident memory. What LevelDB maps of its tables counts there, and
 * is told beside it: it is the system's cache, given back when others want it. Linux only.
 */
export async function alone(program: string, words: readonly string[]): Promise<void> {
  const flags = [...process.execArgv, ...nodeFlags('collector', 'serve', process.versions.node)];
  const child = spawn(process.execPath, [...flags, program, ...words], { stdio: 'inherit' });
  let [peak, own] = [0, 0];
  const { pid } = child;
  const looking = setInterval(() => {
    if (pid === undefined) return;
    peak = Math.max(peak, memoryOf(pid, 'VmHWM'));
    own = Math.max(own, memoryOf(pid, 'RssAnon'));
  }, LOOK_MS);
  const [code] = await once(child, 'exit');
  clearInterval(looking);
  const mib = (bytes: number): string => (bytes / MIB).toFixed(0);
  console.log(
    `  at most ${mib(peak)} MiB resident (aim 200 MB: 191 MiB), ${mib(own)} without the program file and mapped tables`,
  );
  if (code !== 0) process.exitCode = 1;
}
