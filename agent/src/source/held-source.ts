import { blockingHolder } from '@aliquot/shared/durable/blocking-files';
import { parentOf } from '@aliquot/shared/durable/file-port';
import {
  type FolderId,
  type HeldFolder,
  HeldFolders,
  type HoldingOptions,
  isFolder,
} from '@aliquot/shared/durable/held-folders';
import { lastName } from '@aliquot/shared/durable/raw-names';
import type { Soon } from '@aliquot/shared/durable/soon';
import { errnoOf, heldError } from '@aliquot/shared/durable/system-errors';
import type { SourcePort, SourceStat } from './source-port.ts';

/**
 * A source in folders that others may change meanwhile: what is recorded or read comes out of the
 * folder that a walk entered, never out of one that a link leads to which took its place
 * (`held-folders.ts`). What an ordinary file looks like is asked by its path, which is quicker: it
 * says only whether the file is worth opening, and what is open is asked again.
 *
 * @param own The agent's own folders, by whatever path they are reached: marked, and never entered.
 * @param options Test only.
 */
export function heldSource(
  port: SourcePort,
  own: readonly FolderId[],
  options: HoldingOptions = {},
): SourcePort {
  const accepts: HeldRule = (facts, path) => {
    if (own.some((id) => isFolder(facts, id))) throw heldError('EOWNFOLDER', path);
  };
  const folders = new HeldFolders(blockingHolder, { links: 'trusted', accepts }, options);
  const beside = <T>(path: Buffer, run: (place: Buffer, folder: HeldFolder) => T): T => {
    const above = parentOf(path);
    const folder = now(folders.hold(above));
    try {
      return run(folder.at(lastName(path, above)), folder);
    } finally {
      folder.release();
    }
  };
  /** By the path; what is longer than the system takes, name by name. */
  const quickly = <T>(path: Buffer, run: (place: Buffer) => T): T => {
    try {
      return run(path);
    } catch (error) {
      if (errnoOf(error) !== 'ENAMETOOLONG') throw error;
      return beside(path, run);
    }
  };
  const marked = (stat: SourceStat): SourceStat =>
    own.some((id) => isFolder(stat, id)) ? { ...stat, own: true } : stat;
  return {
    ...port,
    lstat(path) {
      const stat = quickly(path, (place) => port.lstat(place));
      if (stat.kind === 'file') return stat;
      // The root of a file system has no folder above it.
      if (parentOf(path).equals(path)) return marked(stat);
      return marked(beside(path, (place) => port.lstat(place)));
    },
    bornNs: (path) => quickly(path, (place) => port.bornNs(place)),
    *readdir(path) {
      const folder = now(folders.hold(path));
      try {
        yield* port.readdir(folder.self);
        now(folder.prove());
      } finally {
        folder.release();
      }
    },
    readlink: (path) => beside(path, (place) => port.readlink(place)),
    open: (path) =>
      beside(path, (place, folder) => {
        const descriptor = port.open(place);
        try {
          now(folder.prove());
          return descriptor;
        } catch (error) {
          port.close(descriptor);
          throw error;
        }
      }),
    rest: () => folders.rest(),
  };
}

type HeldRule = NonNullable<ConstructorParameters<typeof HeldFolders>[1]['accepts']>;

/** What is done when it returns: its holder waits for nothing. */
function now<T>(value: Soon<T>): T {
  if (value instanceof Promise) throw new Error('a folder of a source is held at once');
  return value;
}
