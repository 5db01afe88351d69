import type { Platform } from '@aliquot/proto';
import { pathText, printable } from '../cli/format.ts';
import { place } from '../durable/durable.ts';
import { type FilePort, parentOf } from '../durable/file-port.ts';
import type { FolderId, HoldingOptions } from '../durable/held-folders.ts';
import { inSteps, type Soon, type Steps, soon } from '../durable/soon.ts';
import type { Random } from '../ports.ts';
import { RestoreError } from './errors.ts';
import { FileWriter, named, naming, restoreError } from './file-writer.ts';
import { TargetFolders } from './folders.ts';
import { partBeside, type RestoreRun, thisRun } from './leftovers.ts';
import type {
  DirectorySpec,
  FileSpec,
  LinkSpec,
  Placed,
  RestoreTarget,
  TargetFailure,
} from './restore-target.ts';
import type { FileSink, Outcome } from './sink.ts';
import { type Placement, targetPath, wholePaths } from './target.ts';
import { openRoot, type TargetFiles, targetFiles } from './target-files.ts';

export interface WriterOptions {
  readonly port: FilePort;
  readonly random: Random;
  /**
   * The folder everything goes below; made when it is not there. May itself be reached through
   * symbolic links.
   */
  readonly root: string | Buffer;
  /** Folders that nothing may be written into, such as the agent's data folder: `folderIds`. */
  readonly forbidden?: readonly FolderId[];
  /** Replace other files of the same name; without it they are named conflicts. */
  readonly overwrite?: boolean;
  readonly placement?: Placement;
  /** For tests: the process that restores; by default this one. */
  readonly run?: RestoreRun;
  /** For tests: which platform's names the target can hold. */
  readonly host?: Platform;
  /** For tests: a system that cannot hold folders, another user. */
  readonly holding?: HoldingOptions;
}

/**
 * Writes restored files below one folder (P2): bytes go to a temporary name, are proved against
 * size and SHA-256, made durable, and only then get their own name. Nothing is written through a
 * symbolic link below the root, nor through one that somebody puts there meanwhile. Every method
 * may be called for several files at once; a `RestoreError` concerns that file only. `finish` comes
 * last.
 *
 * Not restored: owners and groups, and the setuid and setgid bits, which would give a recorded file
 * powers that the person restoring did not mean to hand out.
 */
export class RestoreWriter implements RestoreTarget {
  readonly root: Buffer;
  readonly #target: TargetFiles;
  readonly #random: Random;
  readonly #placement: Placement;
  readonly #folders: TargetFolders;
  readonly #run: RestoreRun;
  readonly #files: FileWriter;

  private constructor(
    options: WriterOptions,
    target: TargetFiles,
    folders: TargetFolders,
    run: RestoreRun,
  ) {
    const { random, host, overwrite = false } = options;
    this.root = folders.root;
    this.#target = target;
    this.#random = random;
    this.#placement = options.placement ?? wholePaths;
    this.#folders = folders;
    this.#run = run;
    this.#files = new FileWriter({ target, random, run, overwrite, host });
  }

  /**
   * Makes the root ready. Errors: `RESTORE_FORBIDDEN_TARGET`, `RESTORE_SHARED_TARGET`,
   * `RESTORE_THROUGH_LINK`, `RESTORE_TARGET`, `RESTORE_NO_SPACE`.
   *
   * @param target Where the caller has something to do there too, and lets go of it.
   */
  static async open(
    options: WriterOptions,
    target = targetFiles(options.port, options.forbidden ?? [], options.holding),
  ): Promise<RestoreWriter> {
    const { run = thisRun(), holding } = options;
    try {
      const root = await openRoot(target, options.root, holding);
      return new RestoreWriter(options, target, new TargetFolders(target, root, run), run);
    } catch (error) {
      target.folders.rest();
      throw restoreError(options.root, error);
    }
  }

  place(spec: FileSpec): Soon<Placed> {
    return inSteps(this.#place(spec));
  }

  *#place(spec: FileSpec): Steps<Placed> {
    try {
      const final = this.#pathBelow(spec);
      yield* soon(this.#folders.enter(parentOf(final)));
      // Without a hash of the whole nothing would prove what is there.
      const isProvable = spec.sha256.length > 0;
      const part = isProvable ? this.#folders.unfinished(final, spec) : undefined;
      return { final, part, isNew: this.#folders.isNew(parentOf(final)) };
    } catch (error) {
      throw named(spec, error);
    }
  }

  async file(spec: FileSpec, placed?: Placed, from?: number): Promise<FileSink> {
    return this.#files.file(spec, placed ?? (await this.place(spec)), from);
  }

  whole(spec: FileSpec, placed: Placed, bytes: Uint8Array): Soon<Outcome> {
    return this.#files.whole(spec, placed, bytes);
  }

  async directory(spec: DirectorySpec): Promise<void> {
    await naming(spec, async () => {
      const final = this.#finalPath(spec);
      await this.#folders.enter(final);
      const mode = spec.platform === 'windows' ? undefined : spec.mode & 0o1777;
      await this.#folders.remember(final, {
        mode,
        mtimeNs: spec.mtimeNs,
        attributes: this.#files.attributesOf(spec),
      });
    });
  }

  async symlink(spec: LinkSpec): Promise<Outcome> {
    return naming(spec, async () => {
      const { port } = this.#target;
      const final = this.#pathBelow(spec);
      const target = Buffer.from(spec.linkTarget);
      await this.#folders.enter(parentOf(final));
      const there = await this.#files.lookAt(final);
      if (there?.kind === 'symlink' && (await port.readlink(final)).equals(target)) {
        await port.setLinkTimes(final, spec.mtimeNs, spec.mtimeNs);
        await this.#files.proveTime(final, spec.mtimeNs);
        return 'same';
      }
      if (there === undefined) {
        await port.symlink(target, final);
      } else {
        this.#files.refuseUnlessReplaceable(spec, there);
        const temporary = partBeside(final, this.#run, Buffer.from(this.#random.bytes(6)));
        await port.symlink(target, temporary);
        await place(port, temporary, final, false);
      }
      await port.setLinkTimes(final, spec.mtimeNs, spec.mtimeNs);
      await this.#files.proveTime(final, spec.mtimeNs);
      return 'written';
    });
  }

  /**
   * Sets the modes and times of all folders, deepest first, and makes their names durable. Returns
   * what failed.
   */
  async finish(): Promise<TargetFailure[]> {
    const folders = await this.#folders.finish((path, error) => restoreError(path, error));
    const times = await this.#files.finish();
    this.#target.folders.rest();
    return [...times, ...folders];
  }

  #finalPath(spec: { readonly platform: Platform; readonly path: Uint8Array }): Buffer {
    return targetPath(this.root, spec.platform, spec.path, this.#files.host, this.#placement);
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
}
