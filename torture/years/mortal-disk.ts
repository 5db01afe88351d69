import type { DiskPort, LevelDatabase, LevelPort } from '@aliquot/shared/derived/level-port';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import type { OpenFile } from '@aliquot/shared/durable/file-port';
import { faultyFiles, systemError } from '@aliquot/shared/testing/faulty-files';

/** A disk whose process ends at a step that is said before: nothing it asks for happens then. */
export class MortalDisk {
  readonly disk: DiskPort;
  #left = Infinity;
  #isDead = false;
  readonly #open = new Set<Pick<OpenFile | LevelDatabase, 'close'>>();

  constructor() {
    const files = faultyFiles(nodeDisk, () => (this.#dies() ? { crash: true } : undefined));
    this.disk = {
      ...files,
      open: async (path, mode, permissions) => {
        const file = await files.open(path, mode, permissions);
        return this.#noted({ ...file, close: () => file.close() });
      },
      level: this.#level(),
    };
  }

  /** What a system does when a process has ended: everything that it had open is closed. */
  async bury(): Promise<void> {
    for (const open of this.#open) await open.close();
  }

  #noted<Open extends OpenFile | LevelDatabase>(open: Open): Open {
    const { close } = open;
    open.close = async () => {
      if (this.#open.delete(open)) await close();
    };
    this.#open.add(open);
    return open;
  }

  get isDead(): boolean {
    return this.#isDead;
  }

  /** The process ends at the step after so many; Infinity: it lives on. */
  dieAfter(steps: number): void {
    this.#left = steps;
  }

  #dies(): boolean {
    this.#left -= 1;
    if (this.#left < 0) this.#isDead = true;
    return this.#isDead;
  }

  #meet(operation: string): void {
    if (this.#dies()) throw systemError('ECRASH', operation, 'the catalog');
  }

  #level(): LevelPort {
    return {
      open: async (path, options, inUse) => {
        this.#meet('level open');
        return this.#noted(this.#mortal(await nodeDisk.level.open(path, options, inUse)));
      },
    };
  }

  #mortal(database: LevelDatabase): LevelDatabase {
    const meet = (operation: string): void => this.#meet(`level ${operation}`);
    return {
      get: async (key) => {
        meet('get');
        return database.get(key);
      },
      getMany: async (keys) => {
        meet('getMany');
        return database.getMany(keys);
      },
      batch: async (changes, options) => {
        meet('batch');
        return database.batch(changes, options);
      },
      iterator: (options) => {
        meet('iterator');
        return database.iterator(options);
      },
      clear: async (range) => {
        meet('clear');
        return database.clear(range);
      },
      close: () => database.close(),
    };
  }
}
