import { createHash } from 'node:crypto';
import type { Platform } from '@aliquot/proto';
import { pathText, printable } from '../cli/format.ts';
import { equalBytes, sha256 } from '../crypto/primitives.ts';
import { place, readFully } from '../durable/durable.ts';
import { fileError } from '../durable/errors.ts';
import {
  type FileFacts,
  type FilePort,
  type NewFiles,
  type OpenFile,
  parentOf,
} from '../durable/file-port.ts';
import { looking, writeWhole } from '../durable/new-file.ts';
import { lastName } from '../durable/raw-names.ts';
import { inSteps, type Soon, type Steps, soon } from '../durable/soon.ts';
import { errnoOf } from '../durable/system-errors.ts';
import type { Random } from '../ports.ts';
import { RestoreError, type RestoreErrorCode } from './errors.ts';
import { mayBeAnothers, refuseClash, setAttributes } from './folders.ts';
import { PartNames, partBeside, type RestoreRun, tagOf } from './leftovers.ts';
import type {
  FileSpec,
  FileTarget,
  Placed,
  TargetFailure,
  UnfinishedPart,
} from './restore-target.ts';
import { type FileSink, type Outcome, PartFile } from './sink.ts';
import { hostPlatform, timeFailure } from './target.ts';
import type { TargetFiles } from './target-files.ts';

/** What files are written with. */
export interface FileWriterOptions {
  readonly target: TargetFiles;
  /** Writes whole files; by default the port does. */
  readonly newFiles?: NewFiles;
  readonly random: Random;
  readonly run: RestoreRun;
  /** Replace other files of the same name; without it they are named conflicts. */
  readonly overwrite: boolean;
  /** Which platform's names the target can hold. */
  readonly host?: Platform | undefined;
}

/**
 * Whether bytes of this hash are the recorded ones. Without a recorded hash the chunks alone prove
 * them: each by its own key and id.
 */
export function isProvedBy({ sha256 }: Pick<FileSpec, 'sha256'>, digest: Uint8Array): boolean {
  return sha256.length === 0 || equalBytes(sha256, digest);
}

function requireProved(spec: FileSpec, size: number, digest: Uint8Array): void {
  if (size === spec.size && isProvedBy(spec, digest)) return;
  throw new RestoreError(
    'RESTORE_DAMAGED',
    `${textOf(spec)} came back changed: its bytes are not those that were captured; nothing was written`,
  );
}

/**
 * Writes files whose places are known (P2): bytes go to a temporary name, are proved against size
 * and SHA-256, made durable, and only then get their own name. Several may be under way at once.
 */
export class FileWriter implements FileTarget {
  readonly host: Platform;
  readonly #target: TargetFiles;
  /** That of the target. */
  readonly #port: FilePort;
  readonly #newFiles: NewFiles | undefined;
  readonly #random: Random;
  readonly #run: RestoreRun;
  readonly #overwrite: boolean;
  readonly #names: PartNames;
  readonly #otherTimes: TargetFailure[] = [];
  readonly #usualMode = 0o666 & ~process.umask();

  constructor(options: FileWriterOptions) {
    const { target, newFiles, random, run, overwrite, host = hostPlatform } = options;
    this.host = host;
    this.#target = target;
    this.#port = target.port;
    this.#newFiles = newFiles;
    this.#random = random;
    this.#run = run;
    this.#overwrite = overwrite;
    this.#names = new PartNames(run, random);
  }

  whole(spec: FileSpec, placed: Placed, bytes: Uint8Array): Soon<Outcome> {
    requireProved(spec, bytes.length, sha256(bytes));
    return inSteps(this.#whole(spec, placed, this.#newFiles === undefined ? bytes.slice() : bytes));
  }

  *#whole(spec: FileSpec, placed: Placed, bytes: Uint8Array): Steps<Outcome> {
    try {
      const isPlain = placed.part === undefined && this.attributesOf(spec) === undefined;
      if (isPlain && (yield* this.#anew(spec, placed, bytes))) return 'written';
    } catch (error) {
      throw named(spec, error);
    }
    return yield* soon(this.#compared(spec, placed, bytes));
  }

  /** Writes a file where nothing is; whether nothing was. */
  *#anew(spec: FileSpec, { final, isNew }: Placed, bytes: Uint8Array): Steps<boolean> {
    const files = this.#newFiles ?? this.#target.raw;
    const parent = parentOf(final);
    const folder = yield* soon(this.#target.folders.hold(parent));
    try {
      const at = folder.at(lastName(final, parent));
      if (isNew !== true && (yield* looking(files, at))) return false;
      const temporary = folder.at(this.#names.next());
      const { mtimeNs } = spec;
      const mode = this.#modeOf(spec);
      const whole = { temporary, final: at, bytes, mode, mtimeNs, folder };
      const shownNs = yield* writeWhole(files, whole);
      if (shownNs === undefined) return false;
      this.#noteTime(final, mtimeNs, shownNs);
      return true;
    } finally {
      folder.release();
    }
  }

  /** What is there already decides. */
  async #compared(spec: FileSpec, placed: Placed, bytes: Uint8Array): Promise<Outcome> {
    const sink = await this.file(spec, placed);
    await sink.write(bytes);
    return sink.finish();
  }

  /**
   * Begins a file. `from` bytes of the part that was found are taken over: they are read and hashed
   * with the rest, and where the whole does not prove, nothing of them is left.
   */
  file(spec: FileSpec, { final, part }: Placed, from = 0): Promise<FileSink> {
    return naming(spec, async () => {
      const temporary = partBeside(final, this.#run, tagOf(final, spec));
      if (part !== undefined && from === 0) await this.#port.unlink(part.path);
      const { file, name } =
        part === undefined || from === 0
          ? await this.#create(temporary, final)
          : await this.#takeOver(spec, part, temporary);
      const sink = new PartFile(
        this.#port,
        file,
        name,
        spec.sha256.length > 0,
        (done) => naming(spec, () => this.#complete(spec, final, done)),
        (error) => named(spec, error),
      );
      if (from > 0) await sink.goOn(from);
      return sink;
    });
  }

  /** The files that are there with another time than the recorded one; told once. */
  async finish(): Promise<TargetFailure[]> {
    this.#target.folders.rest();
    return this.#otherTimes.splice(0);
  }

  /**
   * Names a file whose time this file system did not take. Less than a microsecond away is what
   * Node can do by itself.
   */
  async proveTime(path: Buffer, mtimeNs: bigint, final = path): Promise<void> {
    this.#noteTime(final, mtimeNs, (await this.#port.lstat(path)).mtimeNs);
  }

  #noteTime(path: Buffer, mtimeNs: bigint, shownNs: bigint): void {
    const error = timeFailure(path, mtimeNs, shownNs);
    if (error !== undefined) this.#otherTimes.push({ path, error });
  }

  /** What a file of a PC with Windows brings to another one; undefined where that means nothing. */
  attributesOf({
    platform,
    attributes,
  }: Pick<FileSpec, 'platform' | 'attributes'>): number | undefined {
    return platform === 'windows' && this.host === 'windows' ? attributes : undefined;
  }

  /**
   * What is at the final name; throws when it is a name that only looks the same to this file
   * system.
   */
  async lookAt(final: Buffer): Promise<FileFacts | undefined> {
    let facts: FileFacts;
    try {
      facts = await this.#port.lstat(final);
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return undefined;
      throw error;
    }
    await refuseClash(this.#port, final);
    return facts;
  }

  refuseUnlessReplaceable(spec: { readonly path: Uint8Array }, there: FileFacts): void {
    if (this.#overwrite && there.kind !== 'directory') return;
    const what = there.kind === 'directory' ? 'a folder' : 'something else';
    throw new RestoreError(
      'RESTORE_EXISTS',
      `${textOf(spec)} was not restored: ${what} of that name is in the target; restore into an empty folder`,
    );
  }

  async #create(temporary: Buffer, final: Buffer): Promise<{ file: OpenFile; name: Buffer }> {
    try {
      return { file: await this.#port.open(temporary, 'createNew', 0o600), name: temporary };
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error;
    }
    // Somebody who died had our number; or one path is to be restored twice.
    const name = partBeside(final, this.#run, Buffer.from(this.#random.bytes(6)));
    return { file: await this.#port.open(name, 'createNew', 0o600), name };
  }

  /** What was found, open and under our own name. Throws when it is not there as it was found. */
  async #takeOver(
    spec: FileSpec,
    part: UnfinishedPart,
    name: Buffer,
  ): Promise<{ file: OpenFile; name: Buffer }> {
    await place(this.#port, part.path, name, false);
    const file = await this.#port.open(name, 'updateNoFollow');
    const { kind, links, size } = await file.facts();
    // Another name of the same file would be written, too.
    if (kind === 'file' && links === 1 && size >= part.size) return { file, name };
    await file.close();
    await this.#port.unlink(name);
    throw new RestoreError(
      'RESTORE_DAMAGED',
      `${textOf(spec)} cannot go on where an earlier restore was cut: its part was changed`,
    );
  }

  async #complete(spec: FileSpec, final: Buffer, sink: PartFile): Promise<Outcome> {
    const digest = sink.digest();
    requireProved(spec, sink.size, digest);
    const mode = this.#modeOf(spec);
    const there = await this.lookAt(final);
    if (there?.kind === 'file' && (await this.#isThere(final, there, spec, digest))) {
      await sink.discard();
      await setAttributes(this.#port, final, this.attributesOf(spec));
      await this.proveTime(final, spec.mtimeNs);
      return 'same';
    }
    if (there !== undefined) this.refuseUnlessReplaceable(spec, there);
    await sink.settle(mode, spec.mtimeNs);
    await this.proveTime(sink.temporary, spec.mtimeNs, final);
    try {
      await place(this.#port, sink.temporary, final, there === undefined);
    } catch (error) {
      // A file that came at the same time took the name: perhaps only one that this file system
      // takes for the same.
      if (errnoOf(error) === 'EEXIST') await this.lookAt(final);
      throw error;
    }
    // Not before: to take the temporary name away Windows makes a read-only file writable.
    await setAttributes(this.#port, final, this.attributesOf(spec));
    return 'written';
  }

  /** The bits that a file gets here; undefined where there are none. */
  #modeOf({ platform, mode }: FileSpec): number | undefined {
    if (this.host !== 'posix') return undefined;
    // A PC with Windows has no such bits: its files get the usual mode.
    return platform === 'windows' ? this.#usualMode : mode & 0o1777;
  }

  /**
   * Whether the file that is there has exactly the bytes of this hash; then it gets its time and
   * mode, too.
   */
  async #isThere(
    final: Buffer,
    { mode }: FileFacts,
    spec: FileSpec,
    digest: Buffer,
  ): Promise<boolean> {
    const { size, mtimeNs } = spec;
    const bits = this.#modeOf(spec);
    const file = await this.#openClosed(final, mode);
    try {
      if (!(await holds(file, size, digest))) return false;
      if (this.host === 'posix') {
        const shown = await file.facts();
        if (await mayBeAnothers(this.#target.folders, final, shown)) {
          const isOtherTime = timeFailure(final, mtimeNs, shown.mtimeNs) !== undefined;
          return !isOtherTime && shown.mode === (bits ?? shown.mode);
        }
        // It may have another name by now.
        await file.setTimes(mtimeNs, mtimeNs);
        if (bits !== undefined) await file.chmod(bits);
      }
    } finally {
      await file.close();
    }
    // What is open for reading takes no times on Windows.
    if (this.host !== 'posix') await this.#port.setLinkTimes(final, mtimeNs, mtimeNs);
    return true;
  }

  /**
   * Opens a file that its owner may not read, too: it came back with that mode the last time, and
   * keeps it.
   */
  async #openClosed(final: Buffer, mode: number): Promise<OpenFile> {
    try {
      return await this.#port.open(final, 'readNoFollow');
    } catch (error) {
      if (errnoOf(error) !== 'EACCES' || (mode & 0o400) !== 0) throw error;
    }
    await this.#port.chmod(final, mode | 0o400);
    try {
      return await this.#port.open(final, 'readNoFollow');
    } finally {
      await this.#port.chmod(final, mode);
    }
  }
}

async function holds(file: OpenFile, size: number, digest: Buffer): Promise<boolean> {
  const facts = await file.facts();
  if (facts.kind !== 'file' || facts.size !== size) return false;
  const hash = createHash('sha256');
  for (let at = 0; at < size; ) {
    const bytes = await readFully(file, at, Math.min(1 << 20, size - at));
    if (bytes.length === 0) return false;
    hash.update(bytes);
    at += bytes.length;
  }
  return hash.digest().equals(digest);
}

/** Runs what concerns one recorded path: system errors come out as a `RestoreError` naming it. */
export async function naming<T>(
  spec: { readonly path: Uint8Array },
  run: () => Promise<T>,
): Promise<T> {
  try {
    return await run();
  } catch (error) {
    throw named(spec, error);
  }
}

function textOf(spec: { readonly path: Uint8Array }): string {
  return printable(pathText(spec.path));
}

/** An error of the system as one that names the file; anything else as it is. */
export function named(spec: { readonly path: Uint8Array }, error: unknown): unknown {
  if (error instanceof RestoreError) return error;
  return errnoOf(error) === undefined ? error : restoreError(Buffer.from(spec.path), error);
}

/**
 * A system error as a `RestoreError` that names the file; anything else is thrown on: it is a fault
 * of ours.
 */
export function restoreError(path: string | Buffer, error: unknown): RestoreError {
  if (error instanceof RestoreError) return error;
  const errno = errnoOf(error);
  if (errno === undefined) throw error;
  const code: RestoreErrorCode =
    errno === 'EEXIST'
      ? 'RESTORE_EXISTS'
      : ['ENOSPC', 'EDQUOT'].includes(errno)
        ? 'RESTORE_NO_SPACE'
        : 'RESTORE_TARGET';
  const name = typeof path === 'string' ? path : pathText(path);
  if (errno === 'EFOLDERLINK' || errno === 'EFOREIGNLINK')
    return throughLink(printable(name), errno);
  const said = fileError('restore', printable(name), error);
  return new RestoreError(code, said instanceof Error ? said.message : String(said), {
    cause: error,
  });
}

function throughLink(name: string, errno: 'EFOLDERLINK' | 'EFOREIGNLINK'): RestoreError {
  const why =
    errno === 'EFOLDERLINK'
      ? 'a folder that it goes into has become a symbolic link, or another folder; restore into one that only you may change'
      : 'a symbolic link leads there that another user may have made; name the folder itself as the target';
  return new RestoreError('RESTORE_THROUGH_LINK', `will not restore ${name}: ${why}`);
}
