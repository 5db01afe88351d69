import { setTimeout as pass, setImmediate as turn } from 'node:timers/promises';
import { nodeFiles } from '../durable/file-port.ts';
import { patiently, type Wait } from '../durable/patience.ts';
import type { DiskPort, LevelPort } from './level-port.ts';
import { levelTrouble } from './level-trouble.ts';

/** Rows of a batch that are taken in one go: some ten milliseconds, in which nothing else runs. */
const ROWS_AT_ONCE = 4096;

const plainLevel: LevelPort = {
  open: async (path, options) => {
    // Native code, needed by those who own a data folder only: not by capture workers.
    const { Level } = await import('level');
    const encodings = { keyEncoding: 'buffer', valueEncoding: 'buffer' } as const;
    const level = new Level<Buffer, Buffer>(path, { ...options, ...encodings });
    await level.open();
    return {
      get: (key) => level.get(key as Buffer),
      getMany: (keys) => level.getMany(keys as Buffer[]),
      iterator: (reading) => level.iterator(reading as object),
      clear: (range) => level.clear(range as object),
      close: () => level.close(),
      async batch(changes, { sync }) {
        // Row by row: each is copied at once, so that none but LevelDB's own copies gather.
        const chain = level.batch();
        let rows = 0;
        for (const change of changes) {
          if (change.type === 'put') chain.put(change.key, change.value);
          else chain.del(change.key);
          rows += 1;
          if (rows % ROWS_AT_ONCE === 0) await turn();
        }
        await chain.write({ sync } as object);
      },
    };
  },
};

/** A port that waits where somebody else may hold LevelDB's files for a moment, as on Windows. */
export function patientLevel(port: LevelPort, wait: Wait): LevelPort {
  return {
    ...port,
    open: (path, options, inUse) => {
      const passes = (error: unknown): boolean | Promise<boolean> => {
        const trouble = levelTrouble(error);
        // What holds its LOCK may be another LevelDB, or somebody who only looks at the file.
        if (trouble === 'locked') return inUse === undefined || inUse().then((answer) => !answer);
        // It says in the system's own language why it could not open one of its files: of all but a
        // full disk it may be this.
        return trouble === 'disk';
      };
      return patiently(wait, passes, () => port.open(path, options));
    },
  };
}

/** LevelDB on this machine. */
const nodeLevel: LevelPort =
  process.platform === 'win32' ? patientLevel(plainLevel, (ms) => pass(ms)) : plainLevel;

/** The disk of this machine. */
export const nodeDisk: DiskPort = { ...nodeFiles, level: nodeLevel };
