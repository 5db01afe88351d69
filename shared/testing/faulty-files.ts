import type { DiskPort } from '../src/derived/level-port.ts';
import { nodeDisk } from '../src/derived/node-level.ts';
import type { DirectoryEntry, FilePort, OpenFile, RawPath } from '../src/durable/file-port.ts';
import { namedPath } from './held-path.ts';

/** What a step of a faulty port is: the operation's name and the path it concerns. */
export interface Step {
  /** Counted from 0 over the whole life of the port. */
  readonly index: number;
  readonly operation: string;
  readonly path: string;
}

/**
 * What happens to a step: nothing, an error, or (writes only) only `short` bytes of it. After
 * `crash` every further step fails with ECRASH, as if the process had ended there.
 */
export type Fate =
  | undefined
  | { readonly fail: string }
  | { readonly short: number }
  | { readonly crash: true };

/** A file port whose steps are counted and can be made to fail, come out short, or be the last. */
export interface FaultyFiles extends DiskPort {
  /** Every step so far, in order. */
  readonly steps: readonly Step[];
}

/** A system error as Node throws it. */
export function systemError(code: string, operation: string, path: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: injected, ${operation} '${path}'`), {
    code,
    syscall: operation,
    errno: -1,
    path,
  });
}

/**
 * Wraps a port; `fate` is asked before each step. Closing always works, so that tests leak nothing.
 */
export function faultyFiles(port: FilePort, fate: (step: Step) => Fate): FaultyFiles {
  const steps: Step[] = [];
  let crashed = false;
  const meet = (operation: string, path: RawPath): number | undefined => {
    const step = { index: steps.length, operation, path: namedPath(path) };
    if (crashed) throw systemError('ECRASH', operation, step.path);
    steps.push(step);
    const met = fate(step);
    if (met === undefined) return undefined;
    if ('short' in met) return met.short;
    if ('crash' in met) crashed = true;
    throw systemError('crash' in met ? 'ECRASH' : met.fail, operation, step.path);
  };
  const through =
    <Rest extends readonly unknown[], Result>(
      operation: string,
      run: (path: RawPath, ...rest: Rest) => Promise<Result>,
    ) =>
    async (path: RawPath, ...rest: Rest): Promise<Result> => {
      meet(operation, path);
      return run(path, ...rest);
    };
  const wrap = (file: OpenFile, path: RawPath): OpenFile => {
    const step = <Result>(operation: string, run: () => Promise<Result>) =>
      through(operation, run)(path);
    return {
      read: (into, position) => step('read', () => file.read(into, position)),
      async write(bytes, position) {
        const short = meet('write', path);
        return file.write(short === undefined ? bytes : bytes.subarray(0, short), position);
      },
      sync: () => step('sync', () => file.sync()),
      datasync: () => step('datasync', () => file.datasync()),
      truncate: (size) => step('truncate', () => file.truncate(size)),
      facts: () => step('facts', () => file.facts()),
      chmod: (mode) => step('fchmod', () => file.chmod(mode)),
      setTimes: (atimeNs, mtimeNs) => step('setTimes', () => file.setTimes(atimeNs, mtimeNs)),
      close: () => file.close(),
      below: file.below,
    };
  };
  return {
    steps,
    open: async (path, mode, permissions) => {
      meet(`open:${mode}`, path);
      return wrap(await port.open(path, mode, permissions), path);
    },
    async *list(path): AsyncIterable<DirectoryEntry> {
      meet('list', path);
      yield* port.list(path);
    },
    stat: through('stat', (path) => port.stat(path)),
    lstat: through('lstat', (path) => port.lstat(path)),
    readlink: through('readlink', (path) => port.readlink(path)),
    realpath: through('realpath', (path) => port.realpath(path)),
    rename: through('rename', (from, to: RawPath) => port.rename(from, to)),
    link: through('link', (existing, name: RawPath) => port.link(existing, name)),
    symlink: through('symlink', (target, name: RawPath) => port.symlink(target, name)),
    unlink: through('unlink', (path) => port.unlink(path)),
    mkdir: through('mkdir', (path, permissions?: number) => port.mkdir(path, permissions)),
    rmdir: through('rmdir', (path) => port.rmdir(path)),
    chmod: through('chmod', (path, mode: number) => port.chmod(path, mode)),
    setLinkTimes: through('setLinkTimes', (path, atimeNs: bigint, mtimeNs: bigint) =>
      port.setLinkTimes(path, atimeNs, mtimeNs),
    ),
    syncDirectory: through('syncDirectory', (path) => port.syncDirectory(path)),
    freeBytes: through('freeBytes', (path) => port.freeBytes(path)),
    // What LevelDB does is counted and failed by `SimulatedDisk` only.
    level: nodeDisk.level,
  };
}
