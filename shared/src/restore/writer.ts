import type { Platform } from '@aliquot/proto';
import { pathText, printable } from '../cli/format.ts';
import { place } from '../durable/durable.ts';
import { type FilePort, parentOf } from '../durable/file-port.ts';
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
  readonly #placement: Placement;
  readonly #folders: TargetFolders;
  readonly #run: RestoreRun;
  readonly #files: FileWriter;

  private constructor(options: WriterOptions, folders: TargetFolders, run: RestoreRun) {
    const { port, random, host, overwrite = false } = options;
    this.root = folders.root;
    this.#port = port;
    this.#random = random;
    this.#placement = options.placement ?? wholePaths;
    this.#folders = folders;
    this.#run = run;
    this.#files = new FileWriter({ port, random, run, overwrite, host });
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
    return new RestoreWriter(options, folders, run);
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
      return { final, part: isProvable ? this.#folders.unfinished(final, spec) : undefined };
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
      this.#folders.remember(final, {
        mode,
        mtimeNs: spec.mtimeNs,
        attributes: this.#files.attributesOf(spec),
      });
    });
  }

  async symlink(spec: LinkSpec): Promise<Outcome> {
    return naming(spec, async () => {
      const final = this.#pathBelow(spec);
      const target = Buffer.from(spec.linkTarget);
      await this.#folders.enter(parentOf(final));
      const there = await this.#files.lookAt(final);
      if (there?.kind === 'symlink' && (await this.#port.readlink(final)).equals(target)) {
        await this.#port.setLinkTimes(final, spec.mtimeNs, spec.mtimeNs);
        await this.#files.proveTime(final, spec.mtimeNs);
        return 'same';
      }
      if (there === undefined) {
        await this.#port.symlink(target, final);
      } else {
        this.#files.refuseUnlessReplaceable(spec, there);
        const temporary = partBeside(final, this.#run, Buffer.from(this.#random.bytes(6)));
        await this.#port.symlink(target, temporary);
        await place(this.#port, temporary, final, false);
      }
      await this.#port.setLinkTimes(final, spec.mtimeNs, spec.mtimeNs);
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
    return [...(await this.#files.finish()), ...folders];
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
