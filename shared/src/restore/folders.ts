import { pathText, printable } from '../cli/format.ts';
import { joinRaw } from '../durable/durable.ts';
import { type FileFacts, type FilePort, parentOf } from '../durable/file-port.ts';
import type { HeldFolder, HeldFolders } from '../durable/held-folders.ts';
import { othersMayWrite } from '../durable/link-trust.ts';
import type { Soon } from '../durable/soon.ts';
import { errnoOf } from '../durable/system-errors.ts';
import { RestoreError } from './errors.ts';
import { type RestoreRun, removeLeftovers, removeParts, tagOf } from './leftovers.ts';
import type { FileSpec, UnfinishedPart } from './restore-target.ts';
import { WORTH_KEEPING_BYTES } from './sink.ts';
import { timeFailure } from './target.ts';
import type { TargetFiles } from './target-files.ts';

interface Wish {
  readonly path: Buffer;
  /** Which folder it was then: no other gets its mode. */
  readonly folder: Pick<FileFacts, 'dev' | 'ino'>;
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
  readonly #files: TargetFiles;
  readonly #run: RestoreRun;
  readonly #usualMode = 0o777 & ~process.umask();
  /**
   * Folders seen to be real folders. Nothing of ours replaces a folder, so that
   * stays true as far as we are concerned; what somebody else does to them, is met where they are
   * held.
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

  /** @param root The real path of a folder that is there: see `openRoot`. */
  constructor(files: TargetFiles, root: Buffer, run: RestoreRun) {
    this.#files = files;
    this.root = root;
    this.#run = run;
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
   * Notes an entered folder's recorded mode (undefined: the usual one), time and attributes for
   * `finish`. The root keeps its own.
   */
  async remember(
    path: Buffer,
    {
      mode,
      mtimeNs,
      attributes,
    }: { mode: number | undefined; mtimeNs: bigint; attributes: number | undefined },
  ): Promise<void> {
    if (path.equals(this.root)) return;
    const folder = await this.#factsOf(path);
    this.#wishes.set(path.toString('latin1'), {
      path,
      folder,
      mode: mode ?? this.#usualMode,
      mtimeNs,
      attributes,
    });
  }

  /** Whether this restore made the folder: then nothing is in it but what it put there. */
  isNew(path: Buffer): boolean {
    return !this.#found.has(path.toString('latin1'));
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
    for (const parts of this.#parts.values()) await removeParts(this.#files.port, parts.values());
    this.#parts.clear();
    const wishes = [...this.#wishes.values()].sort((a, b) => b.path.length - a.path.length);
    for (const wish of wishes) {
      const { path } = wish;
      try {
        const error = await this.#fulfil(wish);
        if (error !== undefined) failed.push({ path, error });
      } catch (error) {
        failed.push({ path, error: explain(path, error) });
      }
    }
    for (const key of this.#found) {
      if (this.#wishes.has(key)) continue;
      const path = Buffer.from(key, 'latin1');
      await this.#files.port
        .syncDirectory(path)
        .catch((error: unknown) => failed.push({ path, error: explain(path, error) }));
    }
    this.#wishes.clear();
    this.#found.clear();
    return failed;
  }

  /** All on the folder that it was when the wish came, or on none. */
  async #fulfil({
    path,
    folder: { dev, ino },
    mode,
    mtimeNs,
    attributes,
  }: Wish): Promise<RestoreError | undefined> {
    const folder = await this.#files.folders.hold(path);
    try {
      await folder.prove();
      if (folder.facts.dev !== dev || folder.facts.ino !== ino) throw becameAnother(path);
      const { raw } = this.#files;
      await raw.syncDirectory(folder.self);
      let failure: RestoreError | undefined;
      if (mtimeNs !== undefined) {
        await raw.setLinkTimes(folder.self, mtimeNs, mtimeNs);
        failure = timeFailure(path, mtimeNs, (await raw.lstat(folder.self)).mtimeNs);
      }
      if (process.platform !== 'win32') await raw.chmod(folder.self, mode);
      await setAttributes(raw, path, attributes);
      return failure;
    } finally {
      folder.release();
    }
  }

  async #enter(path: Buffer): Promise<void> {
    const key = path.toString('latin1');
    if (path.equals(this.root)) {
      this.#found.add(key);
      return this.#tidy(path);
    }
    await this.enter(parentOf(path));
    const { port } = this.#files;
    try {
      await port.mkdir(path, 0o700);
      // Closed while files arrive; without a recorded entry for it the folder ends up with the
      // usual mode.
      const folder = await this.#factsOf(path);
      if (!this.#wishes.has(key))
        this.#wishes.set(key, { path, folder, mode: this.#usualMode, mtimeNs: undefined });
      return;
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error;
    }
    const facts = await port.lstat(path);
    if (facts.kind !== 'directory') {
      const what = facts.kind === 'symlink' ? 'a symbolic link' : 'no folder';
      const says = `will not restore into ${printable(pathText(path))}: it is ${what}; take it away or choose another target`;
      throw new RestoreError('RESTORE_THROUGH_LINK', says);
    }
    await refuseClash(port, path);
    this.#found.add(key);
    await this.#openUp(path);
    await this.#tidy(path);
  }

  /** Makes a folder that was there writable for its owner, until `finish`. */
  async #openUp(path: Buffer): Promise<void> {
    const { folders, raw } = this.#files;
    const folder: HeldFolder = await folders.hold(path);
    try {
      const { facts } = folder;
      if ((facts.mode & 0o700) === 0o700 || process.platform === 'win32') return;
      await raw.chmod(folder.self, facts.mode | 0o700);
      const key = path.toString('latin1');
      if (!this.#wishes.has(key))
        this.#wishes.set(key, { path, folder: facts, mode: facts.mode, mtimeNs: facts.mtimeNs });
    } finally {
      folder.release();
    }
  }

  async #factsOf(path: Buffer): Promise<FileFacts> {
    const folder = await this.#files.folders.hold(path);
    folder.release();
    return folder.facts;
  }

  async #tidy(path: Buffer): Promise<void> {
    const key = path.toString('latin1');
    if (this.#parts.has(key)) return;
    const parts = await removeLeftovers(this.#files.port, path, this.#run);
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

/**
 * Whether a file that is there may be anybody's, given a second name by who may put names into its
 * folder: it gets no mode and no time.
 */
export async function mayBeAnothers(
  folders: HeldFolders,
  path: Buffer,
  { links, owner }: FileFacts,
): Promise<boolean> {
  if (links === 1) return false;
  const folder = await folders.hold(parentOf(path));
  folder.release();
  const { mode, group, owner: folderOwner } = folder.facts;
  // That each keeps his own there hinders nobody from naming what is another's.
  const mayName = othersMayWrite({ mode: mode & 0o777, group }, process.geteuid?.());
  return mayName || folderOwner !== owner;
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

function becameAnother(path: Buffer): RestoreError {
  const says = `${printable(pathText(path))} did not get its mode and time: another folder took its place meanwhile; restore into a folder that only you may change`;
  return new RestoreError('RESTORE_THROUGH_LINK', says);
}
