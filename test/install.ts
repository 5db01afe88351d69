import { chmod, copyFile, cp, link, mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ProgramName } from '../demo/programs.ts';
import { nodeFlagsFile } from '../deploy/node-flags.ts';
import { pinnedNode } from '../scripts/lib/pinned-node.ts';

const root = join(import.meta.dirname, '..');

/** A Node that this machine can start, of a version that the programs support. */
export interface TestNode {
  readonly version: string;
  readonly binary: string;
}

/**
 * What a clone has once it is built, and nothing else of it, started by this Node: so that a test
 * can plant things around it. Gives the launcher of each program.
 */
export async function installAt(
  folder: string,
  { version, binary }: TestNode,
): Promise<Record<ProgramName, string>> {
  const node = join(folder, 'node_modules', pinnedNode().name, 'bin/node');
  await mkdir(dirname(node), { recursive: true });
  // A Node has 120 MB; another name for it costs nothing where the file system is the same.
  await link(binary, node).catch(() => copyFile(binary, node));
  for (const room of ['agent', 'collector'] as const) {
    const dist = join(folder, room, 'dist');
    for (const part of ['program', 'addons'])
      await cp(join(root, room, 'dist', part), join(dist, part), { recursive: true });
    await mkdir(join(dist, 'compile-cache'));
    await writeFile(join(dist, 'program/node-flags'), nodeFlagsFile(room, version));
  }
  await cp(join(root, 'bin'), join(folder, 'bin'), { recursive: true });
  const launchers = {
    aliquot: join(folder, 'bin/aliquot'),
    'aliquot-agent': join(folder, 'bin/aliquot-agent'),
  };
  for (const launcher of Object.values(launchers)) await chmod(launcher, 0o755);
  return launchers;
}
