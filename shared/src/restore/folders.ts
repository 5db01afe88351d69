import { pathText, printable } from '../cli/format.ts';
import { exists, joinRaw, syncAncestors } from '../durable/durable.ts';
import { type FilePort, parentOf, type RawPath } from '../durable/file-port.ts';
import type { Soon } from '../durable/soon.ts';
import { errnoOf } from '../durable/system-errors.ts';
import { RestoreError } from './errors.ts';
import { type RestoreRun, removeLeftovers, removeParts, tagOf } from './leftovers.ts';
import type { FileSpec, UnfinishedPart } from './restore-target.ts';
import { WORTH_KEEPING_BYTES } from './sink.ts';
import { timeFailure } from './target.ts';

interface Wish {
  readonly path: Buffer;
  readonly mode: number;
  readonly mtimeNs: bigint | undefined;
  readonly attributes?: number | undefined;
}

/** How many folders are remembered as looked at and safe to write into. */
const REMEMBERED = 4096;

/**
 * The folders below a restore's target: made and entered one name at a time, so that no symbolic
 * link is followed, kept writable while files arrive, and given their recorded modes and times at
 * the end.
 */
export class TargetFolders {
  readonly root: Buffer;
  readonly #port: FilePort;
  readonly #forbidden: readonly Buffer[];
  readonly #run: RestoreRun;
  readonly #usualMode = 0o777 & ~process.umask();
  /**
   * Folders seen to be real folders. Nothing of ours replaces a folder, so a yes stays true as far
   * as we are concerned.
   */
  readonly #entered = new Map<string, Promise<void>>();
  /** The one that was entered last. */
  #last: Buffer | undefined;
  /**
   * By path (latin1 keeps raw bytes apart): recorded wishes, or the mode to give back to a folder
   * that had to be opened up.
   */
  readonly #wishes = new Map<string, Wish>();

  /** Those that were there before (latin1): they get new names, too, which `finish` syncs. */
  readonly #found = new Set<string>();

  /** By folder and tag: what restores that were cut have left. */
  readonly #parts = new Map<string, Map<string, UnfinishedPart>>();

  private constructor(port: FilePort, root: Buffer, forbidden: readonly Buffer[], run: RestoreRun) {
    this.#port = port;
    this.root = root;
    this.#forbidden = forbidden;
    this.#run = run;
  }

  static async open(
    port: FilePort,
    root: RawPath,
    forbidden: readonly RawPath[],
    run: RestoreRun,
  ): Promise<TargetFolders> {
    const real: Buffer[] = [];
    for (const folder of forbidden)
      if (await exists(port, folder)) real.push(await port.realpath(folder));
    // Looked at before anything is made, so that a refused target leaves no folder behind.
    const nearest = await nearestReal(port, root);
    refuseForbidden(nearest, real);
    await makeAll(port, root); // with the usual mode: it is the person's own folder
    await syncAncestors(port, root);
    if ((await port.stat(root)).kind !== 'directory') {
      const says = `cannot restore into ${printable(pathText(Buffer.from(root)))}: it is no folder; choose another target`;
      throw new RestoreError('RESTORE_TARGET', says);
    }
    const folders = new TargetFolders(port, await port.realpath(root), real, run);
    refuseForbidden(folders.root, real);
    return folders;
  }

  /** Makes sure that `path`, at or below the root, is a real folder we can write into. */
  enter(path: Buffer): Soon<void> {
    // Files come folder by folder.
    if (this.#last?.equals(path)) return;
    const key = path.toString('latin1');
    const known = this.#entered.get(key);
    if (known !== undefined) return known;
    if (this.#entered.size >= REMEMBERED) this.#entered.clear();
    const entering = this.#enter(path).then(() => {
      this.#last = path;
    });
    this.#entered.set(key, entering);
    entering.catch(() => this.#entered.delete(key));
    return entering;
  }

  /**
   * Notes a folder's recorded mode (undefined: the usual one), time and attributes for `finish`.
   * The root keeps its own.
   */
  remember(
    path: Buffer,
    {
      mode,
      mtimeNs,
      attributes,
    }: { mode: number | undefined; mtimeNs: bigint; attributes: number | undefined },
  ): void {
    if (!path.equals(this.root))
      this.#wishes.set(path.toString('latin1'), {
        path,
        mode: mode ?? this.#usualMode,
        mtimeNs,
        attributes,
      });
  }

  /** What an earlier restore had written of a file when it was cut; told once. */
  unfinished(final: Buffer, spec: Pick<FileSpec, 'size' | 'sha256'>): UnfinishedPart | undefined {
    if (this.#parts.size === 0 || spec.size < WORTH_KEEPING_BYTES) return undefined;
    const parts = this.#parts.get(parentOf(final).toString('latin1'));
    const tag = tagOf(final, spec).toString('hex');
    const part = parts?.get(tag);
    parts?.delete(tag);
    return part;
  }

  /**
   * Gives folders their modes and times, deepest first, because writing into one changes its time.
   */
  async finish(
    explain: (path: Buffer, error: unknown) => RestoreError,
  ): Promise<{ path: Buffer; error: RestoreError }[]> {
    const failed: { path: Buffer; error: RestoreError }[] = [];
    for (const parts of this.#parts.values()) await removeParts(this.#port, parts.values());
    this.#parts.clear();
    const wishes = [...this.#wishes.values()].sort((a, b) => b.path.length - a.path.length);
    for (const { path, mode, mtimeNs, attributes } of wishes) {
      try {
        await this.#port.syncDirectory(path);
        if (mtimeNs !== undefined) await this.#port.setLinkTimes(path, mtimeNs, mtimeNs);
        if (mtimeNs !== undefined) {
          const error = timeFailure(path, mtimeNs, (await this.#port.lstat(path)).mtimeNs);
          if (error !== undefined) failed.push({ path, error });
        }
        if (process.platform !== 'win32') await this.#port.chmod(path, mode);
        await setAttributes(this.#port, path, attributes);
      } catch (error) {
        failed.push({ path, error: explain(path, error) });
      }
    }
    for (const key of this.#found) {
      if (this.#wishes.has(key)) continue;
      const path = Buffer.from(key, 'latin1');
      await this.#port
        .syncDirectory(path)
        .catch((error: unknown) => failed.push({ path, error: explain(path, error) }));
    }
    this.#wishes.clear();
    this.#found.clear();
    return failed;
  }

  async #enter(path: Buffer): Promise<void> {
    if (!path.equals(this.root)) await this.enter(parentOf(path));
    refuseForbidden(path, this.#forbidden);
    if (path.equals(this.root)) {
      this.#found.add(path.toString('latin1'));
      return this.#tidy(path);
    }
    try {
      await this.#port.mkdir(path, 0o700);
      // Closed while files arrive; without a recorded entry for it the folder ends up with the
      // usual mode.
      const key = path.toString('latin1');
      if (!this.#wishes.has(key))
        this.#wishes.set(key, { path, mode: this.#usualMode, mtimeNs: undefined });
      return;
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error;
    }
    const facts = await this.#port.lstat(path);
    if (facts.kind !== 'directory') {
      const what = facts.kind === 'symlink' ? 'a symbolic link' : 'no folder';
      const says = `will not restore into ${printable(pathText(path))}: it is ${what}; take it away or choose another target`;
      throw new RestoreError('RESTORE_THROUGH_LINK', says);
    }
    await refuseClash(this.#port, path);
    this.#found.add(path.toString('latin1'));
    if ((facts.mode & 0o700) !== 0o700 && process.platform !== 'win32') {
      await this.#port.chmod(path, facts.mode | 0o700);
      if (!this.#wishes.has(path.toString('latin1'))) {
        this.#wishes.set(path.toString('latin1'), {
          path,
          mode: facts.mode,
          mtimeNs: facts.mtimeNs,
        });
      }
    }
    await this.#tidy(path);
  }

  async #tidy(path: Buffer): Promise<void> {
    const key = path.toString('latin1');
    if (this.#parts.has(key)) return;
    const parts = await removeLeftovers(this.#port, path, this.#run);
    if (parts.size > 0) this.#parts.set(key, parts);
  }
}

/** Throws `RESTORE_NAME_CLASH` when `path` exists, but under a name spelled differently. */
export async function refuseClash(port: FilePort, path: Buffer): Promise<void> {
  const folder = parentOf(path);
  const name = path.subarray(joinRaw(folder, '').length);
  for await (const entry of port.list(folder)) if (entry.name.equals(name)) return;
  const says = `${printable(pathText(path))} was not restored: the target holds a name that differs only in case or spelling; restore to another disk`;
  throw new RestoreError('RESTORE_NAME_CLASH', says);
}

/** FILE_ATTRIBUTE_NORMAL, which stands for none: 0 would leave what is there. */
const NO_ATTRIBUTE = 0x80;

/** Gives a restored name its attributes, on Windows. */
export async function setAttributes(
  port: FilePort,
  path: Buffer,
  attributes: number | undefined,
): Promise<void> {
  const access = await port.access?.();
  if (access !== undefined && attributes !== undefined)
    access.setAttributes(path.toString('utf8'), attributes || NO_ATTRIBUTE);
}

function refuseForbidden(path: Buffer, forbidden: readonly Buffer[]): void {
  for (const folder of forbidden) {
    if (!path.equals(folder) && path.indexOf(joinRaw(folder, '')) !== 0) continue;
    const says = `will not restore into ${printable(pathText(path))}: it belongs to Aliquot itself; choose another target`;
    throw new RestoreError('RESTORE_FORBIDDEN_TARGET', says);
  }
}

async function nearestReal(port: FilePort, path: RawPath): Promise<Buffer> {
  try {
    return await port.realpath(path);
  } catch (error) {
    const above = parentOf(path);
    if (errnoOf(error) !== 'ENOENT' || Buffer.from(above).equals(Buffer.from(path))) throw error;
    return nearestReal(port, above);
  }
}

async function makeAll(port: FilePort, path: RawPath): Promise<void> {
  try {
    await port.mkdir(path);
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return;
    if (errnoOf(error) !== 'ENOENT') throw error;
    await makeAll(port, parentOf(path));
    await port.mkdir(path);
  }
}
