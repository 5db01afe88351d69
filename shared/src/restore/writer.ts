import { createHash } from 'node:crypto';
import type { Platform } from '@aliquot/proto';
import { pathText, printable } from '../cli/format.ts';
import { place, readFully } from '../durable/durable.ts';
import { fileError } from '../durable/errors.ts';
import { type FileFacts, type FilePort, type OpenFile, parentOf } from '../durable/file-port.ts';
import { errnoOf } from '../durable/system-errors.ts';
import type { Random } from '../ports.ts';
import { RestoreError, type RestoreErrorCode } from './errors.ts';
import { setAttributes, TargetFolders } from './folders.ts';
import { partBeside, type RestoreRun, thisRun } from './leftovers.ts';
import { type FileSink, type Outcome, PartFile } from './sink.ts';
import { hostPlatform, type Placement, targetPath, timeFailure, wholePaths } from './target.ts';

export interface WriterOptions {
  readonly port: FilePort;
  readonly random: Random;
  /**
   * The folder everything goes below; made when it is not there. May itself be reached through
   * symbolic links.
   */
  readonly root: string | Buffer;
  /** Folders that nothing may be written into, such as the agent's data folder. */
  readonly forbidden?: readonly (string | Buffer)[];
  /** Replace other files of the same name; without it they are named conflicts. */
  readonly overwrite?: boolean;
  readonly placement?: Placement;
  /** For tests: the process that restores; by default this one. */
  readonly run?: RestoreRun;
  /** For tests: which platform's names the target can hold. */
  readonly host?: Platform;
}

/** What is written and proved, as it was recorded. */
export interface FileSpec {
  readonly platform: Platform;
  readonly path: Uint8Array;
  readonly mtimeNs: bigint;
  readonly mode: number;
  /** Windows' own, for a restore on Windows. */
  readonly attributes?: number;
  readonly size: number;
  /**
   * Empty: nobody read the whole at once when it was captured (`growing`); then every chunk proves
   * itself, and the size the rest.
   */
  readonly sha256: Uint8Array;
}

export type DirectorySpec = Pick<FileSpec, 'platform' | 'path' | 'mtimeNs' | 'mode' | 'attributes'>;
export type LinkSpec = Pick<FileSpec, 'platform' | 'path' | 'mtimeNs'> & {
  readonly linkTarget: Uint8Array;
};

/** A folder that did not get its recorded mode or time, or a file that did not get its time. */
export interface FolderFailure {
  readonly path: Uint8Array;
  readonly error: RestoreError;
}

/**
 * Whether bytes of this hash are the recorded ones. Without a recorded hash the chunks alone prove
 * them: each by its own key and id.
 */
export function isProvedBy({ sha256 }: Pick<FileSpec, 'sha256'>, digest: Buffer): boolean {
  return sha256.length === 0 || digest.equals(sha256);
}

/**
 * Where restored versions go: a folder tree (`RestoreWriter`), or only a proof that they could be
 * restored.
 */
export interface RestoreTarget {
  /** Begins a file; its folder is made when needed. */
  file(spec: FileSpec): Promise<FileSink>;
  /** Makes a folder now; its mode and times are set by `finish`. */
  directory(spec: DirectorySpec): Promise<void>;
  /**
   * Makes a symbolic link with the recorded target text, wherever that leads; it is never followed.
   */
  symlink(spec: LinkSpec): Promise<Outcome>;
  /** Comes last, also after errors. Returns what could not be brought to its recorded state. */
  finish(): Promise<FolderFailure[]>;
}

/**
 * Writes restored files below one folder (P2): bytes go to a temporary name, are proved against
 * size and SHA-256, made durable, and only then get their own name. Nothing is written through a
 * symbolic link below the root. Every method may be called for several files at once; a
 * `RestoreError` concerns that file only. `finish` comes last.
 *
 * Not restored: owners and groups, and the setuid and setgid bits, which would give a recorded file
 * powers that the person restoring did not mean to hand out.
 */
export class RestoreWriter implements RestoreTarget {
  readonly root: Buffer;
  readonly #port: FilePort;
  readonly #random: Random;
  readonly #overwrite: boolean;
  readonly #placement: Placement;
  readonly #host: Platform;
  readonly #folders: TargetFolders;
  readonly #run: RestoreRun;
  readonly #otherTimes: FolderFailure[] = [];

  private constructor(
    options: WriterOptions,
    root: Buffer,
    folders: TargetFolders,
    run: RestoreRun,
  ) {
    this.root = root;
    this.#port = options.port;
    this.#random = options.random;
    this.#overwrite = options.overwrite === true;
    this.#placement = options.placement ?? wholePaths;
    this.#host = options.host ?? hostPlatform;
    this.#folders = folders;
    this.#run = run;
  }

  /**
   * Makes the root ready. Errors: `RESTORE_FORBIDDEN_TARGET`, `RESTORE_TARGET`, `RESTORE_NO_SPACE`.
   */
  static async open(options: WriterOptions): Promise<RestoreWriter> {
    const run = options.run ?? thisRun();
    const folders = await TargetFolders.open(
      options.port,
      options.root,
      options.forbidden ?? [],
      run,
    ).catch((error: unknown) => {
      throw restoreError(options.root, error);
    });
    return new RestoreWriter(options, folders.root, folders, run);
  }

  async file(spec: FileSpec): Promise<FileSink> {
    return this.#named(spec, async () => {
      const final = this.#pathBelow(spec);
      await this.#folders.enter(parentOf(final));
      const temporary = partBeside(final, this.#run, this.#random);
      const file = await this.#port.open(temporary, 'createNew', 0o600);
      return new PartFile(
        this.#port,
        file,
        temporary,
        (sink) => this.#named(spec, () => this.#complete(spec, final, sink)),
        (error) => named(spec, error),
      );
    });
  }

  async directory(spec: DirectorySpec): Promise<void> {
    await this.#named(spec, async () => {
      const final = this.#finalPath(spec);
      await this.#folders.enter(final);
      const mode = spec.platform === 'windows' ? undefined : spec.mode & 0o1777;
      this.#folders.remember(final, {
        mode,
        mtimeNs: spec.mtimeNs,
        attributes: this.#attributesOf(spec),
      });
    });
  }

  async symlink(spec: LinkSpec): Promise<Outcome> {
    return this.#named(spec, async () => {
      const final = this.#pathBelow(spec);
      const target = Buffer.from(spec.linkTarget);
      await this.#folders.enter(parentOf(final));
      const there = await this.#lookAt(final);
      if (there?.kind === 'symlink' && (await this.#port.readlink(final)).equals(target)) {
        await this.#port.setLinkTimes(final, spec.mtimeNs, spec.mtimeNs);
        await this.#proveTime(final, spec.mtimeNs);
        return 'same';
      }
      if (there === undefined) {
        await this.#port.symlink(target, final);
      } else {
        this.#refuseUnlessReplaceable(spec, there);
        const temporary = partBeside(final, this.#run, this.#random);
        await this.#port.symlink(target, temporary);
        await place(this.#port, temporary, final, false);
      }
      await this.#port.setLinkTimes(final, spec.mtimeNs, spec.mtimeNs);
      await this.#proveTime(final, spec.mtimeNs);
      return 'written';
    });
  }

  /**
   * Sets the modes and times of all folders, deepest first, and makes their names durable. Returns
   * what failed.
   */
  async finish(): Promise<FolderFailure[]> {
    const folders = await this.#folders.finish((path, error) => restoreError(path, error));
    return [...this.#otherTimes.splice(0), ...folders];
  }

  /**
   * Names a file whose time this file system did not take. Less than a microsecond away is what
   * Node can do by itself.
   */
  async #proveTime(path: Buffer, mtimeNs: bigint, final = path): Promise<void> {
    const error = timeFailure(final, mtimeNs, (await this.#port.lstat(path)).mtimeNs);
    if (error !== undefined) this.#otherTimes.push({ path: final, error });
  }

  #finalPath(spec: { readonly platform: Platform; readonly path: Uint8Array }): Buffer {
    return targetPath(this.root, spec.platform, spec.path, this.#host, this.#placement);
  }

  /**
   * The root of a file system is the target folder itself: an honest agent records it as a folder,
   * never as a file or link.
   */
  #pathBelow(spec: { readonly platform: Platform; readonly path: Uint8Array }): Buffer {
    const final = this.#finalPath(spec);
    if (final.equals(this.root)) {
      throw new RestoreError(
        'RESTORE_BAD_PATH',
        `will not restore ${printable(pathText(spec.path))}: it is the target folder itself`,
      );
    }
    return final;
  }

  async #complete(spec: FileSpec, final: Buffer, sink: PartFile): Promise<Outcome> {
    const digest = sink.digest();
    if (sink.size !== spec.size || !isProvedBy(spec, digest)) {
      throw new RestoreError(
        'RESTORE_DAMAGED',
        `${textOf(spec)} came back changed: its bytes are not those that were captured; nothing was written`,
      );
    }
    // A PC with Windows has no such bits: its files get the usual mode here.
    const mode = spec.platform === 'windows' ? 0o666 & ~process.umask() : spec.mode & 0o1777;
    const there = await this.#lookAt(final);
    if (there?.kind === 'file' && (await this.#holds(final, there, spec.size, digest))) {
      await sink.discard();
      await this.#port.setLinkTimes(final, spec.mtimeNs, spec.mtimeNs);
      if (this.#host === 'posix') await this.#port.chmod(final, mode);
      await setAttributes(this.#port, final, this.#attributesOf(spec));
      await this.#proveTime(final, spec.mtimeNs);
      return 'same';
    }
    if (there !== undefined) this.#refuseUnlessReplaceable(spec, there);
    await sink.settle(this.#host === 'posix' ? mode : undefined, spec.mtimeNs);
    await this.#proveTime(sink.temporary, spec.mtimeNs, final);
    try {
      await place(this.#port, sink.temporary, final, there === undefined);
    } catch (error) {
      // A file that came at the same time took the name: perhaps only one that this file system
      // takes for the same.
      if (errnoOf(error) === 'EEXIST') await this.#lookAt(final);
      throw error;
    }
    // Not before: to take the temporary name away Windows makes a read-only file writable.
    await setAttributes(this.#port, final, this.#attributesOf(spec));
    return 'written';
  }

  /** What a file of a PC with Windows brings to another one; undefined where that means nothing. */
  #attributesOf({
    platform,
    attributes,
  }: Pick<FileSpec, 'platform' | 'attributes'>): number | undefined {
    return platform === 'windows' && this.#host === 'windows' ? attributes : undefined;
  }

  /**
   * What is at the final name; throws when it is a name that only looks the same to this file
   * system.
   */
  async #lookAt(final: Buffer): Promise<FileFacts | undefined> {
    let facts: FileFacts;
    try {
      facts = await this.#port.lstat(final);
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return undefined;
      throw error;
    }
    await this.#folders.refuseClash(final);
    return facts;
  }

  #refuseUnlessReplaceable(spec: { readonly path: Uint8Array }, there: FileFacts): void {
    if (this.#overwrite && there.kind !== 'directory') return;
    const what = there.kind === 'directory' ? 'a folder' : 'something else';
    throw new RestoreError(
      'RESTORE_EXISTS',
      `${textOf(spec)} was not restored: ${what} of that name is in the target; restore into an empty folder`,
    );
  }

  /** Whether the file that is there has exactly the bytes of this hash. */
  async #holds(final: Buffer, { mode }: FileFacts, size: number, digest: Buffer): Promise<boolean> {
    const file = await this.#openClosed(final, mode);
    try {
      if ((await file.facts()).size !== size) return false;
      const hash = createHash('sha256');
      for (let at = 0; at < size; ) {
        const bytes = await readFully(file, at, Math.min(1 << 20, size - at));
        if (bytes.length === 0) return false;
        hash.update(bytes);
        at += bytes.length;
      }
      return hash.digest().equals(digest);
    } finally {
      await file.close();
    }
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

  async #named<T>(spec: { readonly path: Uint8Array }, run: () => Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (error) {
      throw named(spec, error);
    }
  }
}

function textOf(spec: { readonly path: Uint8Array }): string {
  return printable(pathText(spec.path));
}

function named(spec: { readonly path: Uint8Array }, error: unknown): unknown {
  if (error instanceof RestoreError) return error;
  return errnoOf(error) === undefined ? error : restoreError(Buffer.from(spec.path), error);
}

/**
 * A system error as a `RestoreError` that names the file; anything else is thrown on: it is a fault
 * of ours.
 */
function restoreError(path: string | Buffer, error: unknown): RestoreError {
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
  const said = fileError('restore', printable(name), error);
  return new RestoreError(code, said instanceof Error ? said.message : String(said), {
    cause: error,
  });
}
