import { existsSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import type { DiskPort } from '../src/derived/level-port.ts';
import { nodeDisk } from '../src/derived/node-level.ts';
import { type FilePort, type OpenFile, parentOf, type RawPath } from '../src/durable/file-port.ts';
import { namedPath } from './held-path.ts';

/** A port over which the power can fail. */
export interface PowerLossFiles extends DiskPort {
  /**
   * The power fails: content that was not flushed is lost (of what an unflushed file grew by,
   * `tornBytes` survive), and so are creations, renames and removals in folders that were not
   * flushed. Close what is open before.
   */
  powerFails(tornBytes?: number): void;
}

interface NameChange {
  readonly folder: string;
  undo(): void;
}

/**
 * The harshest file system that POSIX allows: nothing is durable until it was flushed. Real ones
 * lose less. Names are tracked as text, folders are always kept.
 */
export function powerLossFiles(port: FilePort): PowerLossFiles {
  /** What a file's content would be after the power failed, by its present path. */
  const durable = new Map<string, Buffer>();
  let changes: NameChange[] = [];
  const changed = (path: string, undo: () => void) =>
    changes.push({ folder: parentOf(path).toString(), undo });
  const put = (path: string, content: Buffer | undefined) =>
    content === undefined ? rmSync(path, { force: true }) : writeFileSync(path, content);

  const wrap = (file: OpenFile, at: { path: string }): OpenFile => {
    const flushed = async (flush: Promise<void>) => {
      await flush;
      durable.set(at.path, readFileSync(at.path));
    };
    return {
      ...methods(file),
      sync: () => flushed(file.sync()),
      datasync: () => flushed(file.datasync()),
    };
  };

  /** Open files learn of renames, as open handles do. */
  const handles = new Set<{ path: string }>();

  return {
    ...port,
    level: nodeDisk.level,
    async open(path, mode, permissions) {
      const name = namedPath(path);
      if (mode === 'held') return port.open(path, mode);
      const isNew = !existsSync(name);
      const file = await port.open(path, mode, permissions);
      if (isNew) {
        durable.set(name, Buffer.alloc(0));
        changed(name, () => put(name, undefined));
      } else if (!durable.has(name) && !mode.startsWith('read')) {
        durable.set(name, readFileSync(name));
      }
      const at = { path: name };
      handles.add(at);
      return wrap(file, at);
    },
    async rename(from, to) {
      const [source, target] = [namedPath(from), namedPath(to)];
      const replaced = existsSync(target)
        ? (durable.get(target) ?? readFileSync(target))
        : undefined;
      await port.rename(from, to);
      const content = durable.get(source);
      durable.delete(source);
      if (content === undefined) durable.delete(target);
      else durable.set(target, content);
      for (const at of handles) if (at.path === source) at.path = target;
      changed(target, () => {
        renameSync(target, source);
        put(target, replaced);
      });
    },
    async unlink(path) {
      const name = namedPath(path);
      const content = durable.get(name) ?? readFileSync(name);
      await port.unlink(path);
      durable.delete(name);
      changed(name, () => put(name, content));
    },
    async syncDirectory(path: RawPath) {
      await port.syncDirectory(path);
      const folder = namedPath(path);
      changes = changes.filter((change) => change.folder !== folder);
    },
    powerFails(tornBytes = 0) {
      for (const [path, content] of durable) {
        if (!existsSync(path)) continue;
        const now = readFileSync(path);
        const grew = now.length > content.length && now.subarray(0, content.length).equals(content);
        if (grew) truncateSync(path, Math.min(now.length, content.length + tornBytes));
        else writeFileSync(path, content);
      }
      for (const change of changes.reverse()) change.undo();
      durable.clear();
      changes = [];
    },
  };
}

function methods(file: OpenFile): OpenFile {
  return {
    read: (into, position) => file.read(into, position),
    write: (bytes, position) => file.write(bytes, position),
    sync: () => file.sync(),
    datasync: () => file.datasync(),
    truncate: (size) => file.truncate(size),
    facts: () => file.facts(),
    chmod: (mode) => file.chmod(mode),
    setTimes: (atimeNs, mtimeNs) => file.setTimes(atimeNs, mtimeNs),
    close: () => file.close(),
  };
}
