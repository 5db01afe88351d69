import { createHash } from 'node:crypto';
import type { Platform } from '@aliquot/proto';
import { pathText, printable } from '../cli/format.ts';
import { exists, joinRaw, placeFolderDurably, removeTree } from '../durable/durable.ts';
import type { FilePort } from '../durable/file-port.ts';
import { RestoreError } from './errors.ts';
import { hostPlatform, targetPath, wholePaths } from './target.ts';
import { RestoreWriter, type WriterOptions } from './writer.ts';

const TAG_BYTES = 6;

/** The folder that is given back: its recorded path. */
export interface FolderSpec {
  readonly platform: Platform;
  readonly path: Uint8Array;
}

/**
 * A folder that is given back whole or not at all (P2): everything below it is written under another
 * name beside it, and gets its own name by one rename, when it is proved. What a killed restore left
 * is gone on with by the next one of the same version.
 */
export class WholeFolder {
  /** Takes what is restored. */
  readonly writer: RestoreWriter;
  /** Where the folder is until it is whole. */
  readonly temporary: Buffer;
  readonly #options: WriterOptions;
  readonly #spec: FolderSpec;

  private constructor(
    options: WriterOptions,
    spec: FolderSpec,
    writer: RestoreWriter,
    temporary: Buffer,
  ) {
    this.#options = options;
    this.#spec = spec;
    this.writer = writer;
    this.temporary = temporary;
  }

  /**
   * @param version Names what is given back: the same version goes on with what is there of it.
   * @throws RestoreError `RESTORE_EXISTS`, `RESTORE_BAD_PATH`, and those of `RestoreWriter.open`.
   */
  static async open(
    options: Omit<WriterOptions, 'overwrite'>,
    spec: FolderSpec,
    version: string,
  ): Promise<WholeFolder> {
    const hash = createHash('sha256').update(version).update('\0').update(spec.path);
    const name = Buffer.from(`.aq-${hash.digest('hex').slice(0, 2 * TAG_BYTES)}.whole`);
    const { placement = wholePaths } = options;
    const writer = await RestoreWriter.open({
      ...options,
      overwrite: true,
      placement: (platform, path) => [name, ...placement(platform, path)],
    });
    const folder = new WholeFolder(options, spec, writer, joinRaw(writer.root, name));
    await folder.#refuseExisting(true);
    return folder;
  }

  /**
   * Gives the folder its name. The writer has finished before. @throws RestoreError, FileError.
   */
  async keep(): Promise<void> {
    const { port } = this.#options;
    await this.#refuseExisting(false);
    const outer = await RestoreWriter.open(this.#options);
    const nothing = { mtimeNs: 0n, mode: 0, size: 0, sha256: new Uint8Array(0) };
    const { final } = await outer.place({ ...this.#spec, ...nothing });
    const from = this.#pathIn(this.temporary);
    // Linux moves no folder that its owner may not write into.
    const { mode } = await port.lstat(from);
    const isOpen = process.platform === 'win32' || (mode & 0o200) !== 0;
    if (!isOpen) await port.chmod(from, mode | 0o200);
    await placeFolderDurably(port, from, final);
    if (!isOpen) await port.chmod(final, mode);
    const [failure] = await outer.finish();
    if (failure !== undefined) throw failure.error;
    await removeTree(port, this.temporary);
  }

  /** Takes away what was written. */
  async discard(): Promise<void> {
    const { port } = this.#options;
    if (!(await exists(port, this.temporary))) return;
    await openUp(port, this.temporary);
    await removeTree(port, this.temporary);
  }

  /** Whether what is left of one that was cut behind its rename is taken away first. */
  async #refuseExisting(tidies: boolean): Promise<void> {
    const final = this.#pathIn(this.writer.root);
    if (!(await exists(this.#options.port, final))) return;
    if (tidies) await this.discard();
    const says = `${printable(pathText(final))} is there already: what is given back whole takes the place of nothing; choose another target`;
    throw new RestoreError('RESTORE_EXISTS', says);
  }

  #pathIn(root: Buffer): Buffer {
    const { host = hostPlatform, placement } = this.#options;
    const { platform, path } = this.#spec;
    const final = targetPath(root, platform, path, host, placement);
    if (!final.equals(root)) return final;
    const says = `will not restore ${printable(pathText(path))}: it is the target folder itself`;
    throw new RestoreError('RESTORE_BAD_PATH', says);
  }
}

/** Restored folders may be closed to their owner. */
async function openUp(port: FilePort, folder: Buffer): Promise<void> {
  if (process.platform === 'win32') return;
  await port.chmod(folder, 0o700);
  for await (const { name, kind } of port.list(folder))
    if (kind === 'directory') await openUp(port, joinRaw(folder, name));
}
