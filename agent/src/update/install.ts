import { basename, dirname, join } from 'node:path';
import { isReleaseVersion } from '@aliquot/proto';
import { readFileIfThere } from '@aliquot/shared/durable/durable';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import { type ReleasePlatform, releasePlatforms } from '@aliquot/shared/release/targets';

/** Where our host keeps versions, as `deploy/host/switch.h` describes it. */
export interface FolderInstall {
  readonly kind: 'folder';
  /** The install folder. */
  readonly root: string;
  /** The version that runs. */
  readonly version: string;
  /** The Node that runs it. */
  readonly node: string;
}

/**
 * How this program is installed, which says who updates it: `folder` itself, through the host;
 * `package` the system's package manager; `other` nobody (a clone, or a folder install without its
 * host).
 */
export type Install =
  | FolderInstall
  | { readonly kind: 'package' | 'other'; readonly version: string };

/** What is known of a running program: `hostRoot` from its host (ALIQUOT_ROOT). */
export interface Running {
  readonly hostRoot: string | undefined;
  readonly execPath: string;
  /** What the program itself says; a folder's name counts where a host runs it. */
  readonly version: string;
}

/** Where .deb and .rpm put the program. */
const PACKAGE_FOLDER = '/usr/lib/aliquot-agent';

/** How the running program is installed. */
export function installOf({ hostRoot, execPath, version: own }: Running): Install {
  const folder = dirname(execPath);
  if (folder === PACKAGE_FOLDER) return { kind: 'package', version: own };
  const version = basename(folder);
  const isOurs =
    hostRoot !== undefined && basename(dirname(folder)) === 'versions' && isReleaseVersion(version);
  return isOurs
    ? { kind: 'folder', root: hostRoot, version, node: execPath }
    : { kind: 'other', version: own };
}

/** The platform of this process in the words of releases; undefined when none are made for it. */
export function ownPlatform(): ReleasePlatform | undefined {
  const own = `${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`;
  return releasePlatforms.find((platform) => platform === own);
}

const MAX_FILE_BYTES = 4096;

/**
 * A trial as the host wrote it: which version instead of which, and its how many-th start this is.
 */
export interface Trial {
  readonly to: string;
  readonly from: string;
  readonly starts: number;
}

/** The trial that stands; undefined when there is none, or none that can be read. */
export async function readTrial(port: FilePort, root: string): Promise<Trial | undefined> {
  const [to, from, starts] = (await wordsOf(port, root, 'trial'))[0] ?? [];
  if (to === undefined || from === undefined || !/^\d+$/.test(starts ?? '')) return undefined;
  return { to, from, starts: Number(starts) };
}

/** The newest version that proved itself here. */
async function readCurrent(port: FilePort, root: string): Promise<string | undefined> {
  return (await wordsOf(port, root, 'current'))[0]?.[0];
}

/** Versions that the host has given up, with its reason (`died`, `no-session`). */
export async function readBad(
  port: FilePort,
  root: string,
): Promise<{ readonly version: string; readonly reason: string }[]> {
  const lines = await wordsOf(port, root, 'bad');
  return lines.flatMap(([version, reason]) =>
    version === undefined || reason === undefined ? [] : [{ version, reason }],
  );
}

/**
 * Whether the running version has proved itself, so that nothing goes back to the one before any
 * more. Seam: a release that changes a format of the data folder asks this first, because an older
 * version must be able to read what a trial left.
 */
export async function isProved(port: FilePort, install: Install): Promise<boolean> {
  return install.kind !== 'folder' || (await readCurrent(port, install.root)) === install.version;
}

async function wordsOf(port: FilePort, root: string, name: string): Promise<string[][]> {
  const bytes = await readFileIfThere(port, join(root, name), MAX_FILE_BYTES);
  const lines = bytes?.toString('utf8').split('\n') ?? [];
  return lines.filter((line) => line !== '').map((line) => line.split(' '));
}
