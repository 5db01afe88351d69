import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { promisify } from 'node:util';

const command = promisify(execFile);

/** A disk that can be filled in a moment: a tmpfs of a few MiB. */
export class SmallDisk {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** Mounts one at `folder`, or says in one line why this machine does not let us. */
  static async mount(folder: string, mebibytes: number): Promise<SmallDisk | string> {
    await mkdir(folder, { recursive: true });
    try {
      await command('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'tmpfs', folder]);
      return new SmallDisk(folder);
    } catch (error) {
      return `a small disk cannot be mounted here: ${error instanceof Error ? error.message.trim().split('\n').at(-1) : String(error)}`;
    }
  }

  /** What somebody does who frees some space. */
  async grow(mebibytes: number): Promise<void> {
    await command('mount', ['-o', `remount,size=${mebibytes}m`, this.folder]);
  }

  async unmount(): Promise<void> {
    await command('umount', ['-l', this.folder]);
  }
}
