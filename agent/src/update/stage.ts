import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createZstdDecompress } from 'node:zlib';
import { MAX_RELEASE_FILE_BYTES } from '@aliquot/proto';
import {
  ensureDirectory,
  exists,
  placeFolderDurably,
  readFileIfThere,
  removeDurably,
  removeTree,
  writeFileDurably,
  writeFully,
} from '@aliquot/shared/durable/durable';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import { errnoOf } from '@aliquot/shared/durable/system-errors';
import { writeStreamDurably } from '@aliquot/shared/durable/write-stream';
import { ArchiveError, readArchive } from '@aliquot/shared/release/archive';
import { type ProgramPart, targetFile } from '@aliquot/shared/release/targets';
import { UpdateError } from './errors.ts';
import type { FolderInstall } from './install.ts';
import type { VendorFile } from './lists.ts';
import type { ReleaseSource } from './source.ts';

/** So much stays free for what the PC captures meanwhile. */
const RESERVE_BYTES = 256 * 1024 * 1024;
const COPY_BYTES = 1024 * 1024;

export interface StageParts {
  readonly port: FilePort;
  readonly install: FolderInstall;
  /** Where packed files wait until they are whole. */
  readonly dir: string;
  readonly source: ReleaseSource;
}

/** A release for this platform, as the vendor's verified lists name it. */
export interface VerifiedRelease {
  readonly program: VendorFile<ProgramPart>;
  /** The Node that it runs on, unless the list does not say where it comes from. */
  readonly node: VendorFile | undefined;
}

/**
 * Fetches a release, verifies it, and unpacks it beside the version that runs: into
 * `versions/V.part`, which takes its name when it is whole. A Node that this PC has already is not
 * fetched. What was fetched of a file stays, and is gone on with. Nothing that runs is touched.
 * Errors: `UpdateError`, `ArchiveError`, `UplinkError`, `FileError`.
 */
export async function unpackRelease(
  parts: StageParts,
  { program, node }: VerifiedRelease,
): Promise<void> {
  const { port, install, dir } = parts;
  const { version } = program.part;
  const folder = join(install.root, 'versions', version);
  if (await exists(port, folder)) {
    if (await isWhole(port, folder, program)) return;
    await removeTree(port, folder);
  }
  await ensureDirectory(port, dir);
  const hasNode = await isNode(port, install.node, program);
  if (!hasNode && node === undefined) throw absent(program.part.node.target);
  await demandRoom(port, parts, hasNode || node === undefined ? [program] : [program, node]);
  const temporary = `${folder}.part`;
  if (await exists(port, temporary)) await removeTree(port, temporary);
  await ensureDirectory(port, temporary, 0o755);
  await unpack(port, await fetched(parts, program), temporary, program.part.unpackedBytes);
  const nodePath = join(temporary, program.part.node.file);
  if (hasNode) await takeNode(port, install.node, nodePath);
  else if (node !== undefined)
    await unpack(port, await fetched(parts, node), temporary, node.part.unpackedBytes);
  if (!(await isNode(port, nodePath, program))) throw altered(program.part.node.target);
  await writeFileDurably(port, join(temporary, WHOLE), Buffer.from(`${program.sha256}\n`), {
    mode: 0o644,
  });
  await placeFolderDurably(port, temporary, folder);
  for (const file of [program, node])
    if (file !== undefined) await removeDurably(port, packedPath(parts, file));
}

/**
 * Tells the host what to try when this process ends with `STAGED`. Older versions than the one that
 * runs go first, so that there is room.
 */
export async function askForTrial(
  port: FilePort,
  { root, version: own }: FolderInstall,
  version: string,
): Promise<void> {
  const keep = new Set([own, version]);
  for await (const { name } of port.list(join(root, 'versions'))) {
    const other = name.toString();
    if (!keep.has(other)) await removeTree(port, join(root, 'versions', other));
  }
  await writeFileDurably(port, join(root, 'staged'), Buffer.from(`${version}\n`), { mode: 0o644 });
}

/**
 * In the folder of a version that was unpacked whole: the hash of the program that it was unpacked
 * from.
 */
const WHOLE = 'unpacked-from';

async function isWhole(port: FilePort, folder: string, program: VendorFile): Promise<boolean> {
  const from = await readFileIfThere(port, join(folder, WHOLE), 1024);
  return from?.toString('utf8').trim() === program.sha256;
}

/** Fetches what is missing of a file and verifies all of it; answers where it is. */
async function fetched(parts: StageParts, file: VendorFile): Promise<string> {
  const { port, source } = parts;
  const path = packedPath(parts, file);
  const open = await port.open(path, 'updateOrCreate', 0o600);
  try {
    let { size } = await open.facts();
    if (size > file.length) {
      size = 0;
      await open.truncate(0);
    }
    if (size < file.length) {
      for await (const bytes of source.parts(
        targetFile(file.name, file.sha256),
        size,
        file.length,
      )) {
        await writeFully(open, bytes, size);
        size += bytes.length;
      }
    }
    if (size === 0) throw absent(file.name);
    if (size === file.length && (await hashOf(path)) === file.sha256) return path;
    await open.truncate(0);
    throw altered(file.name);
  } finally {
    await open.close();
  }
}

function packedPath({ dir }: Pick<StageParts, 'dir'>, { sha256 }: VendorFile): string {
  return join(dir, `${sha256}.part`);
}

async function unpack(
  port: FilePort,
  packed: string,
  folder: string,
  mostBytes: number,
): Promise<void> {
  const plain = createZstdDecompress();
  // A failure of the source comes out of the archive's reader.
  const piped = pipeline(createReadStream(packed), plain).catch((error: unknown) =>
    plain.destroy(error as Error),
  );
  let bytes = 0;
  try {
    for await (const { path, executable, size, content } of readArchive(plain)) {
      bytes += size;
      if (bytes > mostBytes)
        throw new ArchiveError(
          'ARCHIVE_BROKEN',
          `the archive holds more than the list says at ${path}`,
        );
      const target = join(folder, path);
      await ensureDirectory(port, dirname(target), 0o755);
      await writeStreamDurably(port, target, content, { mode: executable ? 0o755 : 0o644 });
    }
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    if (code.startsWith('ZSTD_') || code === 'ERR_STREAM_PREMATURE_CLOSE')
      throw new ArchiveError(
        'ARCHIVE_BROKEN',
        `the archive ${basename(packed)} does not unpack (${code})`,
        { cause: error },
      );
    throw error;
  } finally {
    plain.destroy();
    await piped;
  }
}

/**
 * The same file under a second name, where the disk has that: Node is nine tenths of an
 * installation.
 */
async function takeNode(port: FilePort, from: string, to: string): Promise<void> {
  try {
    await port.link(from, to);
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    // No links here, or not between these two: a copy is made, and its errors are reported.
    await writeStreamDurably(port, to, createReadStream(from, { highWaterMark: COPY_BYTES }), {
      mode: 0o755,
    });
  }
}

async function isNode(
  port: FilePort,
  path: string,
  { part }: VendorFile<ProgramPart>,
): Promise<boolean> {
  if (!(await exists(port, path)) || (await port.stat(path)).size !== part.node.bytes) return false;
  return (await hashOf(path)) === part.node.sha256;
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(path, { highWaterMark: COPY_BYTES }))
    hash.update(piece as Buffer);
  return hash.digest('hex');
}

async function demandRoom(
  port: FilePort,
  { install, dir }: StageParts,
  files: readonly VendorFile[],
): Promise<void> {
  const packed = files.reduce((sum, { length }) => sum + length, 0);
  const unpacked = files.reduce(
    (sum, { part }) => sum + Math.min(part.unpackedBytes, MAX_RELEASE_FILE_BYTES),
    0,
  );
  // Both may be on one disk.
  const needed = packed + unpacked + RESERVE_BYTES;
  for (const folder of [install.root, dir]) {
    const free = await port.freeBytes(folder);
    if (free >= needed) continue;
    const mib = (bytes: number): number => Math.ceil(bytes / 1024 / 1024);
    const why = `a release needs ${mib(needed)} MiB on the disk of ${folder}, and ${mib(free)} are free`;
    throw new UpdateError(
      'UPDATE_NO_ROOM',
      `${why}; it is tried again by itself when there is room`,
    );
  }
}

function absent(name: string): UpdateError {
  return new UpdateError(
    'UPDATE_ABSENT',
    `the collector does not have ${name}; hand it the whole release: aliquot release add`,
  );
}

function altered(name: string): UpdateError {
  const way = 'nothing of it is used; add the release again: aliquot release add';
  return new UpdateError('UPDATE_ALTERED', `${name} is not what the vendor's list says; ${way}`);
}
