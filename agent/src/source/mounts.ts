import { readFile } from 'node:fs/promises';
import { type BytePath, isWithin } from './paths.ts';

/**
 * Where other file systems (or other parts of one) are mounted: the folder, and what is mounted
 * there as people would name it.
 */
export type Mounts = ReadonlyMap<BytePath, string>;

/**
 * The mounts of this moment: mount points with kind, device and part, such as `nfs4 nas:/export /`.
 * Bind mounts are among them, which no device number tells. Undefined where the system does not
 * say; there a folder's device number has to do.
 */
export async function mountsNow(table = '/proc/self/mountinfo'): Promise<Mounts | undefined> {
  if (process.platform !== 'linux') return undefined;
  return parseMounts(await readFile(table, 'latin1'));
}

/**
 * See proc_pid_mountinfo(5). Of several mounts on one folder the last one is seen. Test only: a
 * table with the oddities that a system seldom has.
 */
export function parseMounts(text: string): Mounts {
  const mounts = new Map<BytePath, string>();
  for (const line of text.split('\n')) {
    const fields = line.split(' ');
    const dash = fields.indexOf('-', 6);
    const [part, point] = [fields[3], fields[4]];
    if (dash < 0 || part === undefined || point === undefined) continue;
    mounts.set(plain(point), `${fields[dash + 1]} ${plain(fields[dash + 2] ?? '')} ${plain(part)}`);
  }
  return mounts;
}

/** What is mounted where a path lies. */
export function mountOf(mounts: Mounts, path: BytePath): string {
  let best = '';
  let description = '';
  for (const [point, what] of mounts) {
    if (isWithin(path, point) && point.length >= best.length) [best, description] = [point, what];
  }
  return description;
}

/** The kernel writes blanks, line ends and backslashes as three octal digits. */
function plain(field: string): string {
  return field.replaceAll(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
}
