import type { EventPort } from './event-port.ts';
import { FolderEvents } from './folder-events.ts';
import { recursiveEvents } from './recursive-events.ts';

/**
 * Events of this system, by Node's `fs.watch`. Windows and macOS watch a whole tree at once. Linux
 * watches single folders; there Node's own recursion would remember every file, so the looks, which
 * come by every folder anyway, say which.
 */
export function nativeEvents(): EventPort {
  return process.platform === 'linux' ? new FolderEvents() : recursiveEvents;
}
