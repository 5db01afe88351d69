import { dirname } from 'node:path';
import type { DiskPort, LevelDatabase, LevelOptions } from '../src/derived/level-port.ts';
import type { OpenFile, OpenMode, RawPath } from '../src/durable/file-port.ts';
import { type Step, systemError } from './faulty-files.ts';
import { byNames, heldFile } from './held-path.ts';
import { LevelFolders, type LevelSurvival } from './simulated-level.ts';
import {
  type ContentSurvival,
  type NameSurvival,
  type TreeNode,
  VolatileTree,
} from './volatile-tree.ts';

/** What happens to one step of a process. */
export type DiskFate =
  | undefined
  /**
   * The call fails with this errno, and nothing was done. LevelDB's calls fail in its own words.
   */
  | { readonly fail: string }
  /** The call fails although it was done. */
  | { readonly failAfter: string }
  /** A write takes half of its bytes; then it ends well, fails, or the process dies. */
  | { readonly half: 'well' | 'crash' | { readonly fail: string } }
  /** The process dies just before or just after the call. */
  | { readonly crash: 'before' | 'after' }
  /**
   * A flush fails, and the kernel takes the pages for clean (Rebello et al., USENIX ATC 2020): what
   * was not flushed never will be, though later flushes succeed. `visible`: it can be read until
   * the power fails; else it is gone at once.
   */
  | { readonly dropped: { readonly visible: boolean } };

/** What a power failure leaves. */
export interface Survival {
  readonly content: ContentSurvival;
  readonly names: NameSurvival;
  readonly level: LevelSurvival;
}

/** Nothing that was not flushed. */
export const nothingSurvives: Survival = { content: 'none', names: 'none', level: 'none' };

/** A process on a simulated disk: its file port, and its end. */
export interface SimulatedProcess {
  readonly files: DiskPort;
  /** Every call so far, in order. */
  readonly steps: readonly Step[];
  readonly crashed: boolean;
  /** The fate was met. */
  readonly struck: boolean;
  /**
   * The process is gone: everything it had open is closed as the system does it, and its port is
   * dead.
   */
  end(): Promise<void>;
}

/**
 * A folder on a disk with a volatile cache, for one test case: processes come and go, and the power
 * can fail. Calls of LevelDB are steps like any other, named `level:…`.
 */
export class SimulatedDisk {
  readonly #root: string;
  readonly #port: DiskPort;
  readonly #tree: VolatileTree;
  readonly #levels = new LevelFolders();

  /** What is in `root` now is durable. Paths outside of it pass through, and are no steps. */
  constructor(root: string, port: DiskPort) {
    this.#port = port;
    this.#root = root;
    this.#tree = new VolatileTree(root);
  }

  process(fate: (step: Step) => DiskFate = () => undefined): SimulatedProcess {
    return new DiskProcess(this.#root, this.#port, this.#tree, this.#levels, fate);
  }

  /** The power fails; every process has ended. */
  async powerFails(survival: Survival): Promise<void> {
    const levels = this.#levels.survivors(survival.level);
    const count =
      typeof survival.names === 'object'
        ? Math.floor(this.#tree.pendingNames * survival.names.first)
        : 0;
    await this.#tree.powerFails(
      survival.content,
      typeof survival.names === 'object' ? { first: count } : survival.names,
    );
    this.#levels.restore(levels);
  }
}

class DiskProcess implements SimulatedProcess {
  readonly steps: Step[] = [];
  readonly files: DiskPort;
  crashed = false;
  struck = false;
  readonly #root: string;
  readonly #port: DiskPort;
  readonly #tree: VolatileTree;
  readonly #levels: LevelFolders;
  readonly #fate: (step: Step) => DiskFate;
  readonly #open = new Set<Pick<OpenFile, 'close'>>();

  constructor(
    root: string,
    port: DiskPort,
    tree: VolatileTree,
    levels: LevelFolders,
    fate: (step: Step) => DiskFate,
  ) {
    this.#root = root;
    this.#port = port;
    this.#tree = tree;
    this.#levels = levels;
    this.#fate = fate;
    this.files = byNames(this.#files());
  }

  async end(): Promise<void> {
    this.crashed = true;
    for (const open of [...this.#open]) await open.close().catch(() => undefined);
    this.#open.clear();
  }

  #inside(path: RawPath): boolean {
    return path.toString().startsWith(`${this.#root}/`) || path.toString() === this.#root;
  }

  /** One call: asks for its fate before, and dies or fails after it when that is its fate. */
  async #step<T>(
    operation: string,
    path: RawPath,
    run: (fate: DiskFate) => Promise<T>,
    failure = systemError,
  ): Promise<T> {
    const step = { index: this.steps.length, operation, path: path.toString() };
    const dead = () => failure('ECRASH', operation, step.path);
    if (this.crashed) throw dead();
    if (!this.#inside(path)) return run(undefined);
    this.steps.push(step);
    const fate = this.#fate(step);
    if (fate !== undefined) this.struck = true;
    if (fate !== undefined && 'fail' in fate) throw failure(fate.fail, operation, step.path);
    if (fate !== undefined && 'crash' in fate) this.crashed = true;
    if (fate !== undefined && 'crash' in fate && fate.crash === 'before') throw dead();
    const result = await run(fate);
    if (fate !== undefined && 'failAfter' in fate)
      throw failure(fate.failAfter, operation, step.path);
    if (this.crashed) throw dead();
    return result;
  }

  #files(): DiskPort {
    const port = this.#port;
    const tree = this.#tree;
    const simple =
      <Rest extends readonly unknown[], Result>(
        operation: string,
        run: (path: RawPath, ...rest: Rest) => Promise<Result>,
      ) =>
      (path: RawPath, ...rest: Rest): Promise<Result> =>
        this.#step(operation, path, () => run(path, ...rest));
    const naming =
      <Rest extends readonly unknown[]>(
        operation: string,
        run: (path: RawPath, ...rest: Rest) => Promise<void>,
        told: (path: RawPath, ...rest: Rest) => () => void,
      ) =>
      (path: RawPath, ...rest: Rest): Promise<void> =>
        this.#step(operation, path, async () => {
          if (!this.#inside(path)) return run(path, ...rest);
          this.#plain(path);
          const tell = told(path, ...rest);
          await run(path, ...rest);
          tell();
        });
    const process = this;
    return {
      open: (path, mode, permissions) => this.#openFile(path, mode, permissions),
      stat: simple('stat', (path) => port.stat(path)),
      lstat: simple('lstat', (path) => port.lstat(path)),
      async *list(path) {
        await process.#step('list', path, async () => undefined);
        yield* port.list(path);
      },
      readlink: simple('readlink', (path) => port.readlink(path)),
      realpath: simple('realpath', (path) => port.realpath(path)),
      rename: naming(
        'rename',
        (from, to: RawPath) => port.rename(from, to),
        (from, to) => {
          const node = tree.node(from);
          return () => tree.renamed(from, to, node);
        },
      ),
      link: naming(
        'link',
        (from, to: RawPath) => port.link(from, to),
        (from, to) => () => tree.linked(from, to),
      ),
      symlink: (target, name) =>
        this.#step('symlink', name, async () => {
          await port.symlink(target, name);
          if (this.#inside(name)) tree.created(name, 'symlink', Buffer.from(target));
        }),
      unlink: naming(
        'unlink',
        (path) => port.unlink(path),
        (path) => tree.removing(path),
      ),
      mkdir: naming(
        'mkdir',
        (path, permissions?: number) => port.mkdir(path, permissions),
        (path) => () => void tree.created(path, 'directory'),
      ),
      rmdir: naming(
        'rmdir',
        (path) => port.rmdir(path),
        (path) => tree.removing(path),
      ),
      chmod: simple('chmod', (path, mode: number) => port.chmod(path, mode)),
      setLinkTimes: simple('setLinkTimes', (path, atimeNs: bigint, mtimeNs: bigint) =>
        port.setLinkTimes(path, atimeNs, mtimeNs),
      ),
      syncDirectory: (path) =>
        this.#step('syncDirectory', path, async (fate) => {
          if (fate !== undefined && 'dropped' in fate)
            throw systemError('EIO', 'fsync', path.toString());
          await port.syncDirectory(path);
          tree.folderSynced(path);
        }),
      freeBytes: simple('freeBytes', (path) => port.freeBytes(path)),
      level: {
        open: (path, options) => this.#openLevel(path, options),
      },
    };
  }

  /**
   * A file of a LevelDB folder is touched by name: from now on the folder is one like any other.
   */
  #plain(path: RawPath): void {
    const folder = dirname(path.toString());
    if (!this.#levels.knows(folder)) return;
    this.#levels.forget(folder);
    this.#tree.adopt(folder);
  }

  #openFile(path: RawPath, mode: OpenMode, permissions?: number): Promise<OpenFile> {
    return this.#step(`open:${mode}`, path, async () => {
      if (!this.#inside(path)) {
        const file = await this.#port.open(path, mode, permissions);
        if (mode === 'held') this.#open.add(file);
        return file;
      }
      let isNew = mode === 'createNew';
      if (mode === 'updateOrCreate')
        isNew = await this.#port.lstat(path).then(
          () => false,
          () => true,
        );
      const file = await this.#port.open(path, mode, permissions);
      this.#open.add(file);
      if (mode === 'held')
        return heldFile(file, this.#step.bind(this), path, () => this.#open.delete(file));
      const node = isNew ? this.#tree.created(path, 'file') : this.#tree.node(path);
      const facts = await file.facts();
      node.attributes ??= { mode: facts.mode, atimeNs: facts.mtimeNs, mtimeNs: facts.mtimeNs };
      return this.#wrap(file, path, node);
    });
  }

  #wrap(file: OpenFile, path: RawPath, node: TreeNode): OpenFile {
    const step = <T>(operation: string, run: (fate: DiskFate) => Promise<T>) =>
      this.#step(operation, path, run);
    const written = async (bytes: Uint8Array, position: number): Promise<number> => {
      const count = await file.write(bytes, position);
      node.pending.push({ type: 'write', bytes: Buffer.from(bytes.subarray(0, count)), position });
      return count;
    };
    const sync = (operation: 'sync' | 'datasync') =>
      step(operation, async (fate) => {
        if (fate !== undefined && 'dropped' in fate) {
          if (!fate.dropped.visible) await this.#revert(file, node);
          node.pending = [];
          throw systemError('EIO', operation, path.toString());
        }
        await file[operation]();
        node.flush(operation === 'sync');
      });
    return {
      read: (into, position) => step('read', () => file.read(into, position)),
      write: (bytes, position) =>
        step('write', async (fate) => {
          if (fate === undefined || !('half' in fate)) return written(bytes, position);
          const count = await written(bytes.subarray(0, Math.ceil(bytes.length / 2)), position);
          if (fate.half === 'crash') this.crashed = true;
          else if (fate.half !== 'well')
            throw systemError(fate.half.fail, 'write', path.toString());
          return count;
        }),
      sync: () => sync('sync'),
      datasync: () => sync('datasync'),
      truncate: (size) =>
        step('truncate', async () => {
          await file.truncate(size);
          node.pending.push({ type: 'truncate', size });
        }),
      facts: () => step('facts', () => file.facts()),
      chmod: (mode) =>
        step('fchmod', async () => {
          await file.chmod(mode);
          if (node.attributes !== undefined) node.attributes = { ...node.attributes, mode };
        }),
      setTimes: (atimeNs, mtimeNs) =>
        step('setTimes', async () => {
          await file.setTimes(atimeNs, mtimeNs);
          if (node.attributes !== undefined)
            node.attributes = { ...node.attributes, atimeNs, mtimeNs };
        }),
      close: async () => {
        this.#open.delete(file);
        await file.close();
      },
    };
  }

  /** The cache shows what the disk has. */
  async #revert(file: OpenFile, node: TreeNode): Promise<void> {
    await file.truncate(0);
    for (let at = 0; at < node.durable.length; )
      at += await file.write(node.durable.subarray(at), at);
  }

  async #openLevel(path: string, options: LevelOptions): Promise<LevelDatabase> {
    return this.#step(
      'level:open',
      path,
      async () => {
        const level = await this.#port.level.open(path, options);
        this.#open.add(level);
        if (this.#inside(path)) {
          this.#tree.forget(path);
          this.#levels.flushed(path);
        }
        return this.#wrapLevel(level, path);
      },
      levelError,
    );
  }

  #wrapLevel(level: LevelDatabase, path: string): LevelDatabase {
    const counted = new Set(['batch', 'clear', 'get', 'getMany', 'close']);
    const step = (name: string, args: readonly unknown[], run: () => Promise<unknown>) => {
      const flushes =
        name === 'batch' &&
        typeof args[1] === 'object' &&
        args[1] !== null &&
        'sync' in args[1] &&
        args[1].sync === true;
      return this.#step(
        `level:${name}${flushes ? '+sync' : ''}`,
        path,
        async () => {
          const result = await run();
          if (flushes && this.#inside(path)) this.#levels.flushed(path);
          if (name === 'close') this.#open.delete(level);
          return result;
        },
        levelError,
      );
    };
    return new Proxy(level, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        if (!counted.has(String(name))) return value.bind(target);
        return (...args: readonly unknown[]) =>
          step(String(name), args, () => value.apply(target, args));
      },
    });
  }
}

/** An error as classic-level throws it. */
function levelError(code: string, operation: string, path: string): Error {
  const cause = Object.assign(new Error(`IO error: ${path}: ${code}: injected, ${operation}`), {
    code: 'LEVEL_IO_ERROR',
  });
  return operation === 'level:open'
    ? Object.assign(new Error('Database failed to open', { cause }), {
        code: 'LEVEL_DATABASE_NOT_OPEN',
      })
    : cause;
}
