import { watch } from 'node:fs';
import { join, pathBytes } from '../source/paths.ts';
import type { EventPort } from './event-port.ts';
import { Gathering } from './gathering.ts';

/** One watch for a whole tree: ReadDirectoryChangesW on Windows, FSEvents on macOS. */
export const recursiveEvents: EventPort = {
  subscribe({ root }, sink) {
    const gathering = new Gathering((paths) => sink.paths(paths));
    const watcher = watch(
      pathBytes(root).toString('utf8'),
      { recursive: true, persistent: false },
      (_type, name) => {
        if (name === null) sink.lost('more happened at once than the system keeps');
        else gathering.add(join(root, Buffer.from(name, 'utf8').toString('latin1')));
      },
    );
    watcher.on('error', (error) => sink.ended(error.message));
    return {
      met: () => false,
      scanBegins: () => undefined,
      scanEnded: () => undefined,
      close() {
        watcher.close();
        gathering.end();
      },
    };
  },
};
