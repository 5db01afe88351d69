import { joinRaw } from './durable.ts';
import { type FileFacts, type FilePort, parentOf } from './file-port.ts';
import { canHold } from './held-name.ts';
import { isOurs, othersMayChange } from './link-trust.ts';
import { isShare, lastName, namesOf, SLASH, UP } from './raw-names.ts';
import { inSteps, type Soon, type Steps, soon } from './soon.ts';
import { heldError } from './system-errors.ts';

/** A folder as its file system numbers it, by whatever path it is reached. */
export type FolderId = Pick<FileFacts, 'dev' | 'ino'>;

/** Whether what was looked at is this folder. */
export function isFolder(
  facts: FolderId & { readonly kind: string },
  { dev, ino }: FolderId,
): boolean {
  return facts.kind === 'directory' && facts.ino === ino && facts.dev === dev;
}

/** A name that is open, to be gone on from and for nothing else. */
export interface HeldName {
  readonly facts: FileFacts;
  readonly below: string;
  close(): Soon<void>;
}

/** What holding folders asks of a file system; no call follows a link. */
export interface Holder {
  hold(path: Buffer): Soon<HeldName>;
  lstat(path: Buffer): Soon<FileFacts>;
  readlink(path: Buffer): Soon<Buffer>;
}

/** A folder that stays the same whatever becomes of its name, until it is released. */
export interface HeldFolder {
  readonly facts: FileFacts;
  /** Its path without links. */
  readonly real: Buffer;
  /** Itself, as a path: what follows a link in the last place takes it, and what does not. */
  readonly self: Buffer;
  /** A name in it, as a path. */
  at(name: Buffer): Buffer;
  /**
   * Throws `EFOLDERLINK` where the folder is not in its place any more; comes after opening and
   * making a name on systems that cannot hold, and does nothing on others.
   */
  prove(): Soon<void>;
  /** As often as it was held. */
  release(): void;
}

/** Which folders may be entered. */
export interface HoldingRule {
  /**
   * Links on the way: `never` followed, or (`trusted`) only where no other user can have put them,
   * and to what the one who did owns himself.
   */
  readonly links: 'never' | 'trusted';
  /** Throws for a folder that nobody may enter; asked for each one on the way. */
  accepts?(facts: FileFacts, path: Buffer): void;
}

/** For tests: another user, or a system that cannot hold. */
export interface HoldingOptions {
  readonly canHold?: boolean;
  readonly user?: number | undefined;
  readonly platform?: NodeJS.Platform;
}

/** So many folders are open at once, besides those that are in use. */
const MOST_OPEN = 64;
/** Where none is open, what is remembered costs memory only. */
const MOST_REMEMBERED = 4096;
/** In all, as Linux has it: each may lead over many, so that their depth alone bounds no work. */
const MOST_LINKS = 40;

/** How many links one path may still lead over. */
interface LinksLeft {
  count: number;
}

function takeOne(links: LinksLeft, place: Buffer): void {
  if (links.count === 0) throw heldError('ELOOP', place);
  links.count -= 1;
}

class Folder implements HeldFolder {
  readonly facts: FileFacts;
  readonly real: Buffer;
  /** Nobody else may change what is in it, nor in any folder above. */
  readonly isSafe: boolean;
  readonly #name: HeldName | undefined;
  readonly #holder: Holder;
  readonly #prefix: Buffer;
  #uses = 1;

  constructor(
    holder: Holder,
    { facts, real, isSafe }: Pick<Folder, 'facts' | 'real' | 'isSafe'>,
    name: HeldName | undefined,
  ) {
    this.#holder = holder;
    this.facts = facts;
    this.real = real;
    this.isSafe = isSafe;
    this.#name = name;
    this.#prefix = name === undefined ? real : Buffer.from(`${name.below}/`);
  }

  get self(): Buffer {
    return this.#name === undefined ? this.real : Buffer.from(`${this.#name.below}/.`);
  }

  at(name: Buffer): Buffer {
    if (this.#name === undefined) return joinRaw(this.real, name);
    const path = Buffer.allocUnsafe(this.#prefix.length + name.length);
    path.set(this.#prefix, 0);
    path.set(name, this.#prefix.length);
    return path;
  }

  prove(): Soon<void> {
    if (this.#name !== undefined) return;
    const now = this.#holder.lstat(this.real);
    return now instanceof Promise ? now.then((facts) => this.#compare(facts)) : this.#compare(now);
  }

  take(): this {
    this.#uses += 1;
    return this;
  }

  release(): void {
    this.#uses -= 1;
    // Nothing is lost where that fails; but it cannot, so whatever it is, is a fault of ours.
    if (this.#uses === 0) void this.#name?.close();
  }

  #compare({ kind, ino, dev }: FileFacts): void {
    const { facts } = this;
    if (kind !== facts.kind || ino !== facts.ino || dev !== facts.dev)
      throw heldError('EFOLDERLINK', this.real);
  }
}

/**
 * Folders by their paths, each opened once, name by name from the root of the file system, so that
 * nobody who may change a folder on the way can lead elsewhere: what follows goes through what is
 * open. A link is followed as the rule says. Where a system cannot go below an open folder, device
 * and inode are compared (`HeldFolder.prove`).
 */
export class HeldFolders {
  readonly #holder: Holder;
  readonly #rule: HoldingRule;
  readonly canHold: boolean;
  readonly #user: number | undefined;
  readonly #isWindows: boolean;
  readonly #most: number;
  /** By path (latin1 keeps raw bytes apart), the longest unused first. */
  readonly #folders = new Map<string, Folder>();
  /** Those on the way: many files at once come into one folder. */
  readonly #coming = new Map<string, Promise<void>>();
  #last: { readonly path: Buffer; readonly folder: Folder } | undefined;

  constructor(holder: Holder, rule: HoldingRule, options: HoldingOptions = {}) {
    const { user = process.geteuid?.(), platform = process.platform } = options;
    this.#holder = holder;
    this.#rule = rule;
    this.canHold = options.canHold ?? canHold;
    this.#user = user;
    this.#isWindows = platform === 'win32';
    this.#most = this.canHold ? MOST_OPEN : MOST_REMEMBERED;
  }

  /**
   * The folder of an absolute path without `.` and `..`. Throws the system's errors, `ENOTDIR`,
   * `EFOLDERLINK`, `EFOREIGNLINK`, and what the rule throws.
   */
  hold(path: Buffer): Soon<HeldFolder> {
    // Files come folder by folder.
    if (this.#last?.path.equals(path) === true) return this.#last.folder.take();
    const key = path.toString('latin1');
    const coming = this.#coming.get(key);
    if (coming !== undefined) return coming.then(() => this.hold(path));
    const folder = inSteps(this.#hold(path));
    if (!(folder instanceof Promise)) return folder;
    const done = (): void => void this.#coming.delete(key);
    this.#coming.set(key, folder.then(done, done));
    return folder;
  }

  /** A path without links; the last name may be one, too, and may be of anything. */
  real(path: Buffer): Soon<Buffer> {
    return inSteps(this.#real(path));
  }

  /** Lets go of what nobody uses just now. */
  rest(): void {
    this.#last = undefined;
    for (const folder of this.#folders.values()) folder.release();
    this.#folders.clear();
  }

  *#hold(path: Buffer, links: LinksLeft = { count: MOST_LINKS }): Steps<Folder> {
    const missing: Buffer[] = [];
    let folder: Folder | undefined;
    for (let at = path; ; at = parentOf(at)) {
      folder = this.#known(at);
      if (folder !== undefined) break;
      missing.push(at);
      if (this.#isTop(at)) break;
    }
    for (let at = missing.pop(); at !== undefined; at = missing.pop())
      folder = yield* this.#enter(folder, at, links);
    if (folder === undefined) throw heldError('ENOTDIR', path);
    this.#last = { path, folder };
    return folder;
  }

  *#real(path: Buffer): Steps<Buffer> {
    const above = parentOf(path);
    const links = { count: MOST_LINKS };
    const folder = yield* this.#hold(above, links);
    try {
      if (above.equals(path)) return folder.real;
      return (yield* this.#realIn(folder, lastName(path, above), links)).path;
    } finally {
      folder.release();
    }
  }

  *#realIn(
    folder: Folder,
    name: Buffer,
    links: LinksLeft,
  ): Steps<{ readonly path: Buffer; readonly facts: FileFacts }> {
    const place = folder.at(name);
    const facts = yield* soon(this.#holder.lstat(place));
    if (facts.kind !== 'symlink') return { path: Buffer.from(joinRaw(folder.real, name)), facts };
    takeOne(links, place);
    const target = yield* soon(this.#holder.readlink(place));
    const last = namesOf(target).at(-1);
    const isFolderOnly = last === undefined || last.equals(UP);
    const end = isFolderOnly ? target.length : last.byteOffset - target.byteOffset;
    const next = yield* this.#resolve(folder, target.subarray(0, end), links);
    try {
      const found = isFolderOnly
        ? { path: next.real, facts: next.facts }
        : yield* this.#realIn(next, last, links);
      if (!this.#isTrusted(folder, facts, found.facts)) throw heldError('EFOREIGNLINK', place);
      return found;
    } finally {
      next.release();
    }
  }

  /** Whether nobody else can have put a link there, or it leads to what is its maker's own. */
  #isTrusted(folder: Folder, link: FileFacts, target: FileFacts): boolean {
    return isOurs(link.owner, this.#user) ? folder.isSafe : target.owner === link.owner;
  }

  /** On Windows only what `trusted` is asked for is looked at: shares have no folder above them. */
  #isTop(path: Buffer): boolean {
    if (parentOf(path).equals(path)) return true;
    return this.#isWindows && (this.#rule.links === 'trusted' || isShare(path));
  }

  #known(path: Buffer): Folder | undefined {
    const key = path.toString('latin1');
    const folder = this.#folders.get(key);
    if (folder === undefined) return undefined;
    this.#folders.delete(key);
    this.#folders.set(key, folder);
    return folder.take();
  }

  /** Goes one name further; what was held before is released. */
  *#enter(above: Folder | undefined, path: Buffer, links: LinksLeft): Steps<Folder> {
    try {
      return yield* this.#entered(above, path, links);
    } finally {
      above?.release();
    }
  }

  *#entered(above: Folder | undefined, path: Buffer, links: LinksLeft): Steps<Folder> {
    const name = above === undefined ? undefined : lastName(path);
    const place = name === undefined ? path : (above?.at(name) ?? path);
    const held = this.canHold ? yield* soon(this.#holder.hold(place)) : undefined;
    let folder: Folder;
    try {
      const facts = held?.facts ?? (yield* soon(this.#holder.lstat(place)));
      if (facts.kind === 'symlink' && above !== undefined) {
        const target = yield* this.#follow(above, facts, place, links);
        yield* soon(held?.close());
        return this.#keep(path, target);
      }
      // On Windows a junction may stand where nothing above it is looked at.
      const isFolder = facts.kind === 'directory' || (this.#isWindows && above === undefined);
      if (!isFolder) throw heldError('ENOTDIR', path);
      const real = Buffer.from(
        above === undefined || name === undefined ? path : joinRaw(above.real, name),
      );
      this.#rule.accepts?.(facts, real);
      const isSafe = above?.isSafe !== false && !othersMayChange(facts, this.#user);
      folder = new Folder(this.#holder, { facts, real, isSafe }, held);
    } catch (error) {
      yield* soon(held?.close());
      throw error;
    }
    return this.#keep(path, folder);
  }

  *#follow(above: Folder, link: FileFacts, place: Buffer, links: LinksLeft): Steps<Folder> {
    if (this.#rule.links === 'never') throw heldError('EFOLDERLINK', place);
    takeOne(links, place);
    const target = yield* soon(this.#holder.readlink(place));
    const folder = yield* this.#resolve(above, target, links);
    if (this.#isTrusted(above, link, folder.facts)) return folder;
    folder.release();
    throw heldError('EFOREIGNLINK', place);
  }

  *#resolve(above: Folder, target: Buffer, links: LinksLeft): Steps<Folder> {
    let at = target[0] === SLASH ? yield* this.#hold(Buffer.from('/'), links) : above.take();
    for (const name of namesOf(target)) {
      const path = name.equals(UP) ? parentOf(at.real) : joinRaw(at.real, name);
      const known = this.#known(path);
      if (known !== undefined) at.release();
      if (known !== undefined) at = known;
      else if (!name.equals(UP)) at = yield* this.#enter(at, path, links);
      else {
        at.release();
        at = yield* this.#hold(path, links);
      }
    }
    return at;
  }

  /** Remembers a folder; another that came meanwhile by the same path gives way. */
  #keep(path: Buffer, folder: Folder): Folder {
    const key = path.toString('latin1');
    this.#forget(key);
    this.#folders.set(key, folder.take());
    for (const oldest of this.#folders.keys()) {
      if (this.#folders.size <= this.#most) break;
      this.#forget(oldest);
    }
    return folder;
  }

  #forget(key: string): void {
    const folder = this.#folders.get(key);
    if (folder === undefined) return;
    this.#folders.delete(key);
    if (this.#last?.folder === folder) this.#last = undefined;
    folder.release();
  }
}

/**
 * A path without links as `realpath` gives it, but for those that another user may have put there:
 * `EFOREIGNLINK`.
 */
export async function realPath(port: FilePort, path: Buffer): Promise<Buffer> {
  if (process.platform === 'win32') return port.realpath(path);
  const folders = new HeldFolders(holderOf(port), { links: 'trusted' });
  try {
    return await folders.real(path);
  } finally {
    folders.rest();
  }
}

/** A port as a holder. */
export function holderOf(port: FilePort): Holder {
  return {
    lstat: (path) => port.lstat(path),
    readlink: (path) => port.readlink(path),
    async hold(path) {
      const file = await port.open(path, 'held');
      try {
        const { below } = file;
        if (below === undefined) throw new Error('this port cannot hold a folder');
        return { facts: await file.facts(), below, close: () => file.close() };
      } catch (error) {
        await file.close();
        throw error;
      }
    },
  };
}
