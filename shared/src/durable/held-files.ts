import { type FilePort, type OpenFile, parentOf, type RawPath } from './file-port.ts';
import type { HeldFolder, HeldFolders } from './held-folders.ts';
import { lastName } from './raw-names.ts';

/**
 * A port of which every call goes through a folder that is held, so that it ends where the path did
 * when its folders were entered, or fails: never in what a link leads to that took a folder's
 * place. Modes and times are set on what is open. Paths are absolute, without `.` and `..`.
 */
export function heldFiles(port: FilePort, folders: HeldFolders): FilePort {
  /**
   * With the folder of a name. `makes`: the call is in vain where the folder has gone meanwhile.
   */
  const beside = async <T>(
    path: RawPath,
    run: (place: Buffer, folder: HeldFolder) => Promise<T>,
    makes = false,
  ): Promise<T> => {
    const bytes = Buffer.from(path);
    const folder = await folders.hold(parentOf(bytes));
    try {
      const result = await run(folder.at(lastName(bytes)), folder);
      if (makes) await folder.prove();
      return result;
    } finally {
      folder.release();
    }
  };
  const within = async <T>(path: RawPath, run: (place: Buffer) => Promise<T>): Promise<T> => {
    const folder = await folders.hold(Buffer.from(path));
    try {
      return await run(folder.self);
    } finally {
      folder.release();
    }
  };
  const both = <T>(
    from: RawPath,
    to: RawPath,
    run: (from: Buffer, to: Buffer) => Promise<T>,
  ): Promise<T> =>
    beside(from, (source) => beside(to, (target) => run(source, target), true), true);
  /** By what is open; where nothing can be held, by the name. */
  const onItself = (
    path: RawPath,
    change: (file: OpenFile) => Promise<void>,
    byName: (place: Buffer) => Promise<void>,
  ): Promise<void> =>
    beside(path, async (place) => {
      if (!folders.canHold) return byName(place);
      const file = await port.open(place, 'held');
      try {
        await change(file);
      } finally {
        await file.close();
      }
    });
  return {
    ...port,
    open: (path, mode, permissions) =>
      beside(path, async (place, folder) => {
        const file = await port.open(place, mode, permissions);
        try {
          await folder.prove();
          return file;
        } catch (error) {
          await file.close();
          throw error;
        }
      }),
    stat: (path) => beside(path, (place) => port.stat(place)),
    lstat: (path) => beside(path, (place) => port.lstat(place)),
    async *list(path) {
      const folder = await folders.hold(Buffer.from(path));
      try {
        yield* port.list(folder.self);
      } finally {
        folder.release();
      }
    },
    readlink: (path) => beside(path, (place) => port.readlink(place)),
    rename: (from, to) => both(from, to, (source, target) => port.rename(source, target)),
    link: (existing, name) => both(existing, name, (source, target) => port.link(source, target)),
    symlink: (target, name) => beside(name, (place) => port.symlink(target, place), true),
    unlink: (path) => beside(path, (place) => port.unlink(place)),
    mkdir: (path, permissions) => beside(path, (place) => port.mkdir(place, permissions), true),
    rmdir: (path) => beside(path, (place) => port.rmdir(place)),
    chmod: (path, mode) =>
      onItself(
        path,
        (file) => file.chmod(mode),
        (place) => port.chmod(place, mode),
      ),
    setLinkTimes: (path, atimeNs, mtimeNs) =>
      onItself(
        path,
        (file) => file.setTimes(atimeNs, mtimeNs),
        (place) => port.setLinkTimes(place, atimeNs, mtimeNs),
      ),
    syncDirectory: (path) => within(path, (place) => port.syncDirectory(place)),
    freeBytes: (path) => within(path, (place) => port.freeBytes(place)),
  };
}
