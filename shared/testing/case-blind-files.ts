import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { FilePort, RawPath } from '../src/durable/file-port.ts';

/**
 * A port on which names that differ only in case are the same, as on most PCs with Windows and
 * macOS; keeps the first spelling.
 */
export function caseBlindFiles<Port extends FilePort>(port: Port): Port {
  const spelled = (path: RawPath): string => {
    const text = path.toString();
    if (text.startsWith('/proc/') && text.endsWith('/.')) return text;
    const folder = dirname(text);
    if (folder === text) return text;
    const real = spelled(folder);
    const name = text.slice(folder.length).replace(/^\//, '');
    return join(
      real,
      namesIn(real).find((there) => there.toLowerCase() === name.toLowerCase()) ?? name,
    );
  };
  // A disk looks for the name and makes it in one step: here one at a time, or two of them could
  // both find none.
  let making: Promise<unknown> = Promise.resolve();
  const alone = <T>(make: () => Promise<T>): Promise<T> => {
    const made = making.then(make, make);
    making = made;
    return made;
  };
  return {
    ...port,
    open: (path, mode, permissions) => port.open(spelled(path), mode, permissions),
    lstat: (path) => port.lstat(spelled(path)),
    stat: (path) => port.stat(spelled(path)),
    list: (path) => port.list(spelled(path)),
    mkdir: (path, permissions) => alone(() => port.mkdir(spelled(path), permissions)),
    rename: (from, to) => alone(() => port.rename(spelled(from), spelled(to))),
    link: (existing, name) => alone(() => port.link(spelled(existing), spelled(name))),
  };
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
