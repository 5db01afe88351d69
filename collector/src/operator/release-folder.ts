import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { isReleaseFile, MAX_RELEASE_FILE_BYTES, MAX_RELEASE_FILES } from '@aliquot/proto';
import { exists, readFileIfThere } from '@aliquot/shared/durable/durable';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import { errnoOf } from '@aliquot/shared/durable/system-errors';
import {
  type NamedFile,
  type NamedRelease,
  namedReleases,
  TIMESTAMP_FILE,
} from '../api/named-releases.ts';
import { piecesOf } from '../api/release-pieces.ts';
import { CommandError } from '../cli/command-error.ts';

const MAX_METADATA_BYTES = 1024 * 1024;

/**
 * What `npm run release` made, looked through: every file that its lists name is there, and is what
 * they say.
 */
export interface ReleaseFolder {
  readonly files: readonly NamedFile[];
  readonly releases: readonly NamedRelease[];
  /** SHA-256 of the newest list, in hexadecimal. */
  readonly targetsHash: string;
}

/** Looks a release folder through. Errors: `COMMAND_RELEASE` with what is missing or altered. */
export async function readReleaseFolder(port: FilePort, dir: string): Promise<ReleaseFolder> {
  const read = (name: string) => readFileIfThere(port, join(dir, name), MAX_METADATA_BYTES);
  if (!(await exists(port, dir))) throw broken(`there is no folder ${dir}; check the path`);
  const releases = await namedReleases(read);
  if (releases.length === 0) {
    const why =
      (await read(TIMESTAMP_FILE)) === undefined
        ? `it has no ${TIMESTAMP_FILE}`
        : 'its newest list names no program';
    throw broken(
      `${dir} is no folder with releases: ${why}; give the folder that the vendor's archive unpacks to`,
    );
  }
  const files: NamedFile[] = [];
  for (const name of await namesIn(port, dir, 'metadata'))
    files.push({ name, ...(await factsOf(port, join(dir, name))) });
  const present = new Set(await namesIn(port, dir, 'targets'));
  for (const { name, size, sha256 } of distinct(releases.flatMap((release) => release.files))) {
    // A release need not bring what an earlier one brought: the collector has it, or says that it
    // lacks it.
    if (!present.has(name)) continue;
    const found = await factsOf(port, join(dir, name));
    if (found.size !== size || found.sha256 !== sha256)
      throw broken(`${join(dir, name)} is not what the list says: it was altered, or cut off`);
    files.push({ name, size, sha256 });
  }
  if (files.length > MAX_RELEASE_FILES)
    throw broken(
      `${dir} has ${files.length} files, more than the ${MAX_RELEASE_FILES} of a release`,
    );
  const newest = files
    .filter(({ name }) => name.endsWith('.targets.json'))
    .sort((a, b) => number(b.name) - number(a.name))[0];
  return { files, releases, targetsHash: newest?.sha256 ?? '' };
}

async function namesIn(port: FilePort, dir: string, folder: string): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const { name, kind } of port.list(join(dir, folder))) {
      const path = `${folder}/${name.toString()}`;
      if (kind === 'file' && isReleaseFile(path)) names.push(path);
    }
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
  }
  return names.sort();
}

async function factsOf(port: FilePort, path: string): Promise<{ size: number; sha256: string }> {
  const hash = createHash('sha256');
  let size = 0;
  for await (const piece of piecesOf(port, path)) {
    size += piece.length;
    if (size > MAX_RELEASE_FILE_BYTES)
      throw broken(`${path} is too large to be a file of a release`);
    hash.update(piece);
  }
  return { size, sha256: hash.digest('hex') };
}

function distinct(files: readonly NamedFile[]): NamedFile[] {
  return [...new Map(files.map((file) => [file.name, file])).values()];
}

function number(name: string): number {
  return Number(/(\d+)\.targets\.json$/.exec(name)?.[1] ?? 0);
}

function broken(why: string): CommandError {
  return new CommandError('COMMAND_RELEASE', why);
}
