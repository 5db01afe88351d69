import { execFile } from 'node:child_process';
import { rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { SmallDisk } from '../../test/small-disk.ts';

/**
 * A disk of its own for one program's folder, which somebody else fills to the brim and frees
 * again.
 */
export class CrowdedDisk {
  readonly folder: string;
  readonly #disk: SmallDisk;

  private constructor(folder: string, disk: SmallDisk) {
    this.folder = folder;
    this.#disk = disk;
  }

  /** Or, in words, why this machine does not let us. */
  static async mount(folder: string, mebibytes: number): Promise<CrowdedDisk | string> {
    const disk = await SmallDisk.mount(folder, mebibytes);
    return typeof disk === 'string' ? disk : new CrowdedDisk(folder, disk);
  }

  /** Takes all room but a few bytes. */
  async fill(leaveBytes: number): Promise<void> {
    const { bavail, bsize } = await statfs(this.folder);
    const bytes = bavail * bsize - leaveBytes;
    // The programs write too: what there was a moment ago may be gone.
    if (bytes > 0)
      await promisify(execFile)('fallocate', ['-l', String(bytes), this.#ballast]).catch(() => {});
  }

  async free(): Promise<void> {
    await rm(this.#ballast, { force: true });
  }

  async unmount(): Promise<void> {
    await this.#disk.unmount();
  }

  get #ballast(): string {
    return join(this.folder, 'ballast');
  }
}
