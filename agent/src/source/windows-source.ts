import type { FolderId } from '@aliquot/shared/durable/held-folders';
import { windowsAccess } from '@aliquot/shared/durable/windows-access';
import { heldSource } from './held-source.ts';
import { nodeSource, type SourcePort, type SourceStat } from './source-port.ts';

/**
 * What Windows says of a path beyond what Node asks for (`shared/src/durable/windows-access.ts`).
 */
export interface WindowsFacts {
  attributes(path: string): number;
  reparseTag(path: string): number;
  streams(path: string): readonly string[];
}

// FILE_ATTRIBUTE_… and IO_REPARSE_TAG_… of winnt.h.
const READ_ONLY = 0x1;
const HIDDEN = 0x2;
const SYSTEM = 0x4;
const ARCHIVE = 0x20;
const OFFLINE = 0x1000;
const RECALL_ON_OPEN = 0x4_0000;
const RECALL_ON_DATA_ACCESS = 0x40_0000;
const MOUNT_POINT = 0xa000_0003;

/** The attributes that are recorded, and restored. The others say how the disk holds the file. */
const RECORDED = READ_ONLY | HIDDEN | SYSTEM | ARCHIVE;
/**
 * Whether reading would fetch the content from elsewhere: a cloud's placeholder, or what an archive
 * has put on tape.
 */
const AWAY = OFFLINE | RECALL_ON_OPEN | RECALL_ON_DATA_ACCESS;
/** Where a file came from, as browsers and mail programs note it: nobody's result. */
const unimportant = new Set(['Zone.Identifier', 'SmartScreen', 'MBAM.Zone.Identifier']);

/**
 * The file system of Windows: a path's attributes take the place of its mode, and what must not be
 * read or followed is marked. Nothing that is only a placeholder is ever opened.
 *
 * Test only: the program takes `systemSource`.
 */
export function windowsSource(port: SourcePort, facts: WindowsFacts): SourcePort {
  /** Of open files: what holds of the name cannot be asked of the descriptor. */
  const held = new Map<number, Pick<SourceStat, 'mode' | 'streams'>>();
  const nameOf = (path: Buffer) => path.toString('utf8');
  return {
    ...port,
    lstat(path) {
      const stat = port.lstat(path);
      const attributes = facts.attributes(nameOf(path));
      return {
        ...stat,
        mode: attributes & RECORDED,
        ...(stat.kind === 'file' && (attributes & AWAY) !== 0 ? { away: true } : {}),
        ...(stat.kind === 'symlink' && facts.reparseTag(nameOf(path)) === MOUNT_POINT
          ? { junction: true }
          : {}),
      };
    },
    open(path) {
      const attributes = facts.attributes(nameOf(path));
      if ((attributes & AWAY) !== 0)
        throw Object.assign(new Error('only a placeholder'), { code: 'ENOTHERE', syscall: 'open' });
      const streams = facts.streams(nameOf(path)).filter((name) => !unimportant.has(name));
      const descriptor = port.open(path);
      held.set(descriptor, {
        mode: attributes & RECORDED,
        ...(streams.length > 0 ? { streams } : {}),
      });
      return descriptor;
    },
    fstat: (descriptor) => ({ ...port.fstat(descriptor), ...held.get(descriptor) }),
    close(descriptor) {
      held.delete(descriptor);
      port.close(descriptor);
    },
  };
}

/** The real file system of this machine, without the agent's own folders. */
export async function systemSource(own: readonly FolderId[] = []): Promise<SourcePort> {
  const source =
    process.platform === 'win32' ? windowsSource(nodeSource, await windowsAccess()) : nodeSource;
  return heldSource(source, own);
}
