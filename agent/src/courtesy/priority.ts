import { readdirSync } from 'node:fs';
import { constants, setPriority } from 'node:os';
import { errnoOf } from '@aliquot/shared/durable/system-errors';

/** What setting a priority asks of the system. */
export interface PriorityPort {
  readonly platform: NodeJS.Platform;
  /** Ids of this process's threads, where each has a priority of its own. */
  threads(): readonly number[];
  /** As `os.setPriority`. Throws the system's errors. */
  set(id: number, priority: number): void;
}

const systemPriority: PriorityPort = {
  platform: process.platform,
  threads: () =>
    process.platform === 'linux' ? readdirSync('/proc/self/task').map(Number) : [process.pid],
  set: setPriority,
};

/**
 * Puts this process behind everything else on the PC. What is possible without native code:
 *
 * - Linux: nice 19, for every thread there is; later ones inherit it. Shares go by weight there,
 *   and nice 10 would still take a tenth of a contested core. With it goes best-effort I/O priority
 *   7, the lowest (ioprio follows nice: `(nice + 20) / 5`), where the disk's scheduler knows
 *   priorities.
 * - macOS: nice 19. Disk priority is the launch daemon's to set (`LowPriorityIO`).
 * - Windows: the class "below normal", which always yields. Its I/O priority stays normal: only
 *   native code could lower it.
 *
 * Returns why the system did not let it, if so, for a backup at normal priority is better than
 * none.
 */
export function lowerPriority(port: PriorityPort = systemPriority): string | undefined {
  const { PRIORITY_BELOW_NORMAL, PRIORITY_LOW } = constants.priority;
  const priority = port.platform === 'win32' ? PRIORITY_BELOW_NORMAL : PRIORITY_LOW;
  try {
    for (const thread of port.threads()) {
      try {
        port.set(thread, priority);
      } catch (error) {
        // A thread that has just ended needs no priority.
        if (systemError(error) !== 'ESRCH') throw error;
      }
    }
    return undefined;
  } catch (error) {
    const system = error instanceof Error && (systemError(error) ?? errnoOf(error));
    if (!system) throw error;
    return error.message;
  }
}

/** What the operating system said, where Node tells it as `ERR_SYSTEM_ERROR`. */
function systemError(error: unknown): string | undefined {
  const info =
    error instanceof Error && 'info' in error
      ? (error.info as { readonly code?: string } | undefined)
      : undefined;
  return info?.code;
}
