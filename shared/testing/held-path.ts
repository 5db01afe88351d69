import { readlinkSync } from 'node:fs';
import type { FilePort, OpenFile, RawPath } from '../src/durable/file-port.ts';

const HELD = /^(\/proc\/\d+\/fd\/\d+)(\/.*)?$/s;

/**
 * A path by names, also where it goes through a folder that is held: for ports that track names.
 */
export function namedPath(path: RawPath): string {
  return named(path).toString();
}

function named(path: RawPath): RawPath {
  const text = path.toString('latin1');
  const [, held, rest = ''] = HELD.exec(text) ?? [];
  if (held === undefined) return path;
  const folder = readlinkSync(held, { encoding: 'latin1' });
  return Buffer.from(folder + (rest === '/.' ? '' : rest), 'latin1');
}

/** A port that is given names only. */
export function byNames<Port extends FilePort>(port: Port): Port {
  return {
    ...port,
    open: (path, mode, permissions) => port.open(named(path), mode, permissions),
    stat: (path) => port.stat(named(path)),
    lstat: (path) => port.lstat(named(path)),
    list: (path) => port.list(named(path)),
    readlink: (path) => port.readlink(named(path)),
    realpath: (path) => port.realpath(named(path)),
    rename: (from, to) => port.rename(named(from), named(to)),
    link: (existing, name) => port.link(named(existing), named(name)),
    symlink: (target, name) => port.symlink(target, named(name)),
    unlink: (path) => port.unlink(named(path)),
    mkdir: (path, permissions) => port.mkdir(named(path), permissions),
    rmdir: (path) => port.rmdir(named(path)),
    chmod: (path, mode) => port.chmod(named(path), mode),
    setLinkTimes: (path, atimeNs, mtimeNs) => port.setLinkTimes(named(path), atimeNs, mtimeNs),
    syncDirectory: (path) => port.syncDirectory(named(path)),
    freeBytes: (path) => port.freeBytes(named(path)),
  };
}

/**
 * A held name whose calls are steps: neither its content nor its attributes are anything that the
 * power takes away.
 */
export function heldFile(
  file: OpenFile,
  step: <T>(operation: string, path: RawPath, run: () => Promise<T>) => Promise<T>,
  path: RawPath,
  closed: () => void,
): OpenFile {
  const { below } = file;
  return Object.assign(Object.create(file) as OpenFile, {
    below,
    facts: () => step('facts', path, () => file.facts()),
    chmod: (mode: number) => step('fchmod', path, () => file.chmod(mode)),
    setTimes: (atimeNs: bigint, mtimeNs: bigint) =>
      step('setTimes', path, () => file.setTimes(atimeNs, mtimeNs)),
    close: () => {
      closed();
      return file.close();
    },
  });
}
