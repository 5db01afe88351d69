import { join } from 'node:path';
import type { DiskPort } from '../derived/level-port.ts';
import { ensureDirectory, readFileIfThere, writeFileDurably } from '../durable/durable.ts';
import { FolderError, withFileErrors } from '../durable/errors.ts';
import type { FilePort } from '../durable/file-port.ts';
import { closeToStrangers, refuseStrangers } from '../durable/private.ts';
import { jsonOf } from '../json.ts';
import { type FolderLock, lockDirectory } from './lock.ts';

export type FolderKind = 'aliquot-agent' | 'aliquot-collector';

/** The folder format that this release reads and writes. Those below were never released. */
const FOLDER_VERSION = 3;

/** A data folder that this process holds the lock of. */
export interface DataFolder extends FolderLock {
  readonly dir: string;
  readonly kind: FolderKind;
}

const makers: Record<FolderKind, { readonly name: string; readonly remedy: string }> = {
  'aliquot-agent': {
    name: "an agent's",
    remedy: 'aliquot-agent enroll BUNDLE --data DIR makes one',
  },
  'aliquot-collector': { name: "a collector's", remedy: 'aliquot init --data DIR makes one' },
};

/**
 * Makes a new data folder and locks it. `format.json` is written at once, so that a second run
 * finds it and can go on. The folder may exist when it is empty. Errors: `FOLDER_NOT_EMPTY` (also
 * when it is a data folder already), `FOLDER_IN_USE`, `FOLDER_OPEN_TO_OTHERS` when it belongs to
 * somebody who could open it again.
 */
export async function createDataFolder(
  port: DiskPort,
  dir: string,
  kind: FolderKind,
): Promise<DataFolder> {
  await ensureDirectory(port, dir);
  const leftBehind = /^(lock|lock\.json|\.aq-.*\.part)$/; // by a run that died before format.json
  await withFileErrors('list', dir, async () => {
    for await (const { name } of port.list(dir)) {
      if (leftBehind.test(name.toString())) continue;
      const what =
        name.toString() === 'format.json'
          ? 'is a data folder already'
          : `holds something already (${name})`;
      throw new FolderError('FOLDER_NOT_EMPTY', `${dir} ${what}; name a new or empty folder`);
    }
  });
  // it may have been made, empty, by somebody with other ideas
  await withFileErrors('close', dir, () => closeToStrangers(port, dir));
  await withFileErrors('look at', dir, () => refuseStrangers(port, dir));
  const lock = await lockDirectory(port, dir, 'the folder');
  try {
    const format = `${JSON.stringify({ kind, version: FOLDER_VERSION })}\n`;
    await writeFileDurably(port, join(dir, 'format.json'), Buffer.from(format), { mode: 0o644 });
  } catch (error) {
    await lock.release();
    throw error;
  }
  return { dir, kind, release: () => lock.release() };
}

/**
 * Checks that `dir` is a data folder of this kind and version, without claiming it.
 * Errors: `FOLDER_MISSING`, `FOLDER_KIND`, `FOLDER_VERSION`.
 */
export async function checkDataFolder(
  port: FilePort,
  dir: string,
  kind: FolderKind,
): Promise<void> {
  const { name, remedy } = makers[kind];
  const bytes = await readFileIfThere(port, join(dir, 'format.json'), 4096);
  if (bytes === undefined)
    throw new FolderError('FOLDER_MISSING', `${dir} is not ${name} data folder; ${remedy}`);
  const format = parsed(bytes);
  if (format === undefined) {
    throw new FolderError(
      'FOLDER_VERSION',
      `${dir}/format.json is damaged: it should say {"kind":"${kind}","version":${FOLDER_VERSION}}`,
    );
  }
  if (format.kind !== kind)
    throw new FolderError(
      'FOLDER_KIND',
      `${dir} is not ${name} data folder but says "${format.kind}"; ${remedy}`,
    );
  if (format.version < FOLDER_VERSION) {
    const says = `${dir} was made by an earlier development version; make it anew in an empty folder: ${remedy}`;
    throw new FolderError('FOLDER_VERSION', says);
  }
  if (format.version !== FOLDER_VERSION) {
    const says = `${dir} has folder format ${format.version}, this release reads ${FOLDER_VERSION}; use the release that wrote it`;
    throw new FolderError('FOLDER_VERSION', says);
  }
}

/**
 * Checks a data folder and claims it for this process. Errors: those of `checkDataFolder`,
 * `FOLDER_IN_USE`, `FOLDER_OPEN_TO_OTHERS`.
 */
export async function openDataFolder(
  port: DiskPort,
  dir: string,
  kind: FolderKind,
): Promise<DataFolder> {
  await checkDataFolder(port, dir, kind);
  await withFileErrors('look at', dir, () => refuseStrangers(port, dir));
  const lock = await lockDirectory(port, dir, 'the data folder');
  return { dir, kind, release: () => lock.release() };
}

function parsed(bytes: Buffer): { kind: string; version: number } | undefined {
  const value = jsonOf(bytes);
  if (typeof value !== 'object' || value === null || !('kind' in value) || !('version' in value))
    return undefined;
  return typeof value.kind === 'string' && typeof value.version === 'number'
    ? { kind: value.kind, version: value.version }
    : undefined;
}
