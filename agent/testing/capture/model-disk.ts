import type { Clock } from '@aliquot/shared/ports';
import type { SourcePort, SourceStat } from '../../src/source/source-port.ts';

/** A file, folder, link or special file, whatever names it has. */
interface Inode {
  readonly ino: bigint;
  readonly kind: SourceStat['kind'];
  content: Buffer;
  readonly target: string;
  mtimeMs: number;
  ctimeMs: number;
  mode: number;
}

/** One call of the port: what is about to happen, counted from 0 since the last `count`. */
export interface Moment {
  readonly index: number;
  readonly operation: keyof SourcePort;
}

/** The kernel stamps changes with a clock that moves this often. */
const TICK_MS = 4;
/** Files come in pieces of this size, so that there are moments between them. */
const PIECE_BYTES = 64 << 10;

/**
 * A watched folder in memory that changes exactly when a test says so: before any call of the port.
 * Its stamps are as coarse as a kernel's, so two changes within a tick look the same. Time moves a
 * little with every call.
 */
export class ModelDisk implements SourcePort {
  readonly clock: Clock & { ms: number };
  /** Called before every operation; may change the disk, or throw a system error. */
  before: (moment: Moment) => void = () => undefined;
  operations = 0;
  readonly #files = new Map<string, Inode>();
  readonly #open = new Map<number, { readonly inode: Inode; at: number }>();
  #nextIno = 10n;
  #nextDescriptor = 3;

  constructor(clock: Clock & { ms: number }, root: string) {
    this.clock = clock;
    this.#files.set(root, this.#inode('directory'));
  }

  // ---- what programs do to it

  write(path: string, content: Buffer): void {
    const there = this.#files.get(path);
    if (there?.kind === 'file') this.#change(there, content);
    else this.#put(path, this.#inode('file', content));
  }

  /**
   * As if a program had set the time back after a change, which it can do with one of the two
   * stamps only.
   */
  writeAndSetTimeBack(path: string, content: Buffer): void {
    const before = this.#files.get(path)?.mtimeMs ?? 0;
    this.write(path, content);
    const there = this.#files.get(path);
    if (there !== undefined) there.mtimeMs = before;
  }

  /** A finished file under another name takes this one's place. */
  replace(path: string, content: Buffer): void {
    this.remove(path);
    this.#put(path, this.#inode('file', content));
  }

  remove(path: string): void {
    const there = this.#files.get(path);
    if (there !== undefined) there.ctimeMs = this.#stamp(); // its number of names changed
    this.#files.delete(path);
  }

  become(path: string, kind: 'directory' | 'symlink' | 'special', target = ''): void {
    this.remove(path);
    this.#put(path, this.#inode(kind, Buffer.alloc(0), target));
  }

  chmod(path: string, mode: number): void {
    const there = this.#files.get(path);
    if (there === undefined) return;
    there.mode = mode;
    there.ctimeMs = this.#stamp();
  }

  /** The file's content now; undefined when there is no file of that name. */
  contentOf(path: string): Buffer | undefined {
    const there = this.#files.get(path);
    return there?.kind === 'file' ? there.content : undefined;
  }

  kindOf(path: string): SourceStat['kind'] | undefined {
    return this.#files.get(path)?.kind;
  }

  /** Open files: none is left behind by a capture. */
  get opened(): number {
    return this.#open.size;
  }

  // ---- the port

  bornNs(): bigint {
    return 0n;
  }

  lstat(path: Buffer): SourceStat {
    this.#step('lstat');
    return toStat(this.#find(path));
  }

  readdir(path: Buffer): Iterable<string> {
    this.#step('readdir');
    const folder = `${path.toString('latin1')}/`;
    return [...this.#files.keys()]
      .filter((name) => name.startsWith(folder))
      .map((name) => name.slice(folder.length));
  }

  readlink(path: Buffer): Buffer {
    this.#step('readlink');
    const { kind, target } = this.#find(path);
    if (kind !== 'symlink') throw systemError('EINVAL', 'readlink');
    return Buffer.from(target, 'latin1');
  }

  open(path: Buffer): number {
    this.#step('open');
    const inode = this.#find(path);
    if (inode.kind === 'symlink') throw systemError('ELOOP', 'open');
    if ((inode.mode & 0o400) === 0) throw systemError('EACCES', 'open');
    this.#nextDescriptor += 1;
    this.#open.set(this.#nextDescriptor, { inode, at: 0 });
    return this.#nextDescriptor;
  }

  fstat(descriptor: number): SourceStat {
    this.#step('fstat');
    return toStat(this.#handle(descriptor).inode);
  }

  read(
    descriptor: number,
    into: Uint8Array,
    offset: number,
    length: number,
    position?: number,
  ): number {
    this.#step('read');
    const file = this.#handle(descriptor);
    const at = position ?? file.at;
    const piece = file.inode.content.subarray(at, at + Math.min(length, PIECE_BYTES));
    into.set(piece, offset);
    if (position === undefined) file.at += piece.length;
    return piece.length;
  }

  close(descriptor: number): void {
    this.#handle(descriptor);
    this.#open.delete(descriptor);
  }

  #step(operation: keyof SourcePort): void {
    const moment = { index: this.operations, operation };
    this.operations += 1;
    this.clock.ms += 0.25;
    this.before(moment);
  }

  #find(path: Buffer): Inode {
    const inode = this.#files.get(path.toString('latin1'));
    if (inode === undefined) throw systemError('ENOENT', 'lstat');
    return inode;
  }

  #handle(descriptor: number): { readonly inode: Inode; at: number } {
    const file = this.#open.get(descriptor);
    if (file === undefined) throw systemError('EBADF', 'read');
    return file;
  }

  #put(path: string, inode: Inode): void {
    this.#files.set(path, inode);
  }

  #change(inode: Inode, content: Buffer): void {
    inode.content = content;
    inode.mtimeMs = this.#stamp();
    inode.ctimeMs = inode.mtimeMs;
  }

  #inode(kind: SourceStat['kind'], content: Buffer = Buffer.alloc(0), target = ''): Inode {
    this.#nextIno += 1n;
    const stamp = this.#stamp();
    return {
      ino: this.#nextIno,
      kind,
      content,
      target,
      mtimeMs: stamp,
      ctimeMs: stamp,
      mode: kind === 'directory' ? 0o755 : 0o644,
    };
  }

  #stamp(): number {
    return Math.floor(this.clock.ms / TICK_MS) * TICK_MS;
  }
}

function toStat({ ino, kind, content, mtimeMs, ctimeMs, mode }: Inode): SourceStat {
  // Never a whole second: coarse stamps have their own rule.
  const ns = (ms: number) => BigInt(ms) * 1_000_000n + 1n;
  return {
    kind,
    size: content.length,
    mtimeNs: ns(mtimeMs),
    ctimeNs: ns(ctimeMs),
    ino,
    dev: 1n,
    mode,
  };
}

function systemError(code: string, operation: string): Error {
  return Object.assign(new Error(`${code}: in the model, ${operation}`), {
    code,
    syscall: operation,
  });
}
