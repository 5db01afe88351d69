import { join } from 'node:path';
import { indexConformance } from '../../testing/derived/index-conformance.ts';
import { MemoryIndex, MemoryRows } from '../../testing/derived/memory-index.ts';
import { temporaryFolder } from '../../testing/temp.ts';
import type { DerivedIndex } from './derived-index.ts';
import { nodeDisk } from './node-level.ts';
import { openIndex } from './open-index.ts';

const folders = new WeakMap<DerivedIndex, string>();
const open = async (dir: string): Promise<DerivedIndex> => {
  const index = await openIndex(nodeDisk, {
    dir,
    what: 'the index',
    owner: new Uint8Array(16),
    cacheBytes: 1 << 20,
    writeBufferBytes: 64 * 1024,
  });
  folders.set(index, dir);
  return index;
};

indexConformance('LevelDB', {
  make: () => open(join(temporaryFolder(), 'index')),
  reopen: async (index) => {
    await index.close();
    return open(folders.get(index) ?? '');
  },
  dispose: (index) => index.close(),
});

const memories = new WeakMap<DerivedIndex, MemoryRows>();
const remember = (rows: MemoryRows): DerivedIndex => {
  const index = new MemoryIndex(rows);
  memories.set(index, rows);
  return index;
};

indexConformance('memory', {
  make: async () => remember(new MemoryRows()),
  reopen: async (index) => {
    await index.close();
    return remember(memories.get(index) ?? new MemoryRows());
  },
  dispose: (index) => index.close(),
});
