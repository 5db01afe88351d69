import { execFile } from 'node:child_process';
import { access, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { whenForeseen } from '@aliquot/shared/durable/unexpected';

/** What courtesy asks of the system. Errors are Node's. */
export interface BusyPort {
  /** The first of these programs that runs on this PC, no matter who started it. */
  running(names: readonly string[]): Promise<string | undefined>;
  /** Whether there is a file of this name. */
  exists(path: string): Promise<boolean>;
}

const run = promisify(execFile);
/** A listing that takes longer does not come at all. */
const PATIENCE_MS = 10_000;
const MOST_OUTPUT_BYTES = 8 << 20;
/** Linux keeps so much of a program's name beside its process. */
const COMM_BYTES = 15;

/** The processes of this system: `/proc` on Linux, `tasklist` on Windows, `ps` elsewhere. */
export function systemBusyPort(platform: NodeJS.Platform = process.platform): BusyPort {
  const running =
    platform === 'linux'
      ? (names: readonly string[]) => runningInProc('/proc', names)
      : fromListing(platform);
  return { running, exists };
}

/**
 * Only what certainly is not there counts as absent: a path that cannot be looked at is an error.
 */
async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    // It is there, for somebody else.
    if (code === 'EACCES' && (await isListed(path))) return true;
    if (code === 'ENOENT' || code === 'ENOTDIR') return false;
    throw error;
  }
}

async function isListed(path: string): Promise<boolean> {
  const { dir, base } = (await import('node:path')).parse(path);
  return (await readdir(dir)).includes(base);
}

/**
 * Looks for programs in a `/proc`: by the short name that the kernel keeps, or by the file name in
 * the command line. Test only: tests have a `/proc` of their own.
 */
export async function runningInProc(
  proc: string,
  names: readonly string[],
): Promise<string | undefined> {
  for (const entry of await readdir(proc)) {
    if (!/^\d+$/.test(entry)) continue;
    const comm = (await text(join(proc, entry, 'comm'))).replace(/\n$/, '');
    const exact = names.find((name) => name === comm);
    if (exact !== undefined) return exact;
    // Longer names are cut there; and who runs by another name (an interpreter's, a thread's) shows
    // in the command line.
    const program = baseName((await text(join(proc, entry, 'cmdline'))).split('\0')[0] ?? '');
    const byFile = names.find(
      (name) => name === program && (name.length <= COMM_BYTES || name.startsWith(comm)),
    );
    if (byFile !== undefined) return byFile;
  }
  return undefined;
}

/** A process may end between two looks at it. */
async function text(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(whenForeseen(''));
}

function fromListing(platform: NodeJS.Platform): BusyPort['running'] {
  const windows = platform === 'win32';
  const [program, args] = windows
    ? ['tasklist', ['/FO', 'CSV', '/NH']]
    : ['ps', ['-A', '-o', 'comm=']];
  return async (names) => {
    const { stdout } = await run(program, args, {
      timeout: PATIENCE_MS,
      maxBuffer: MOST_OUTPUT_BYTES,
      windowsHide: true,
    });
    return windows ? runningInTasklist(stdout, names) : runningInPs(stdout, names);
  };
}

/**
 * `tasklist /FO CSV /NH`: one process a line, its image's name first. Case does not count there,
 * nor a missing `.exe`. Test only: so that it is tested elsewhere too.
 */
export function runningInTasklist(listing: string, names: readonly string[]): string | undefined {
  const images = new Set<string>();
  for (const line of listing.split(/\r?\n/)) {
    const image = /^"([^"]*)"/.exec(line)?.[1]?.toLowerCase();
    if (image !== undefined) images.add(image);
  }
  return names.find(
    (name) => images.has(name.toLowerCase()) || images.has(`${name.toLowerCase()}.exe`),
  );
}

/**
 * `ps -A -o comm=`: one program a line, on macOS with its folder. Test only: so that it is tested
 * elsewhere too.
 */
export function runningInPs(listing: string, names: readonly string[]): string | undefined {
  const programs = new Set(listing.split('\n').map((line) => baseName(line.trim())));
  return names.find((name) => programs.has(name));
}

/**
 * What follows the last separator, of either kind: programs of another system run under an emulator
 * too.
 */
function baseName(path: string): string {
  return path.slice(Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\')) + 1);
}
