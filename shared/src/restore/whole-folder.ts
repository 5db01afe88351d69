import { createHash } from 'node:crypto';
import type { Platform } from '@aliquot/proto';
import { pathText, printable } from '../cli/format.ts';
import { exists, joinRaw, placeFolderDurably, removeTree } from '../durable/durable.ts';
import { RestoreError } from './errors.ts';
import { naming } from './file-writer.ts';
import { hostPlatform, type Placement, targetPath, wholePaths } from './target.ts';
import { type TargetFiles, targetFiles } from './target-files.ts';
import { RestoreWriter, type WriterOptions } from './writer.ts';

const TAG_BYTES = 6;

/** The folder that is given back: its recorded path. */
export interface FolderSpec {
  readonly platform: Platform;
  readonly path: Uint8Array;
}

/**
 * A folder that is given back whole or not at all (P2): everything below it is written under
 * another name beside it, and gets its own name by one rename, when it is proved. What a killed
 * restore left is gone on with by the next one of the same version.
 */
export class WholeFolder {
  /** Takes what is restored. */
  readonly writer: RestoreWriter;
  /** Where the folder is until it is whole. */
  readonly temporary: Buffer;
  readonly #options: WriterOptions;
  readonly #spec: FolderSpec;
  readonly #files: TargetFiles;

  private constructor(
    options: WriterOptions,
    spec: FolderSpec,
    writer: RestoreWriter,
    files: TargetFiles,
    temporary: Buffer,
  ) {
    this.#options = options;
    this.#spec = spec;
    this.writer = writer;
    this.#files = files;
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
    const below: Placement = (platform, path) => [name, ...placement(platform, path)];
    const files = targetFiles(options.port, options.forbidden ?? [], options.holding);
    const writer = await RestoreWriter.open(
      { ...options, overwrite: true, placement: below },
      files,
    );
    const folder = new WholeFolder(options, spec, writer, files, joinRaw(writer.root, name));
    try {
      await naming(spec, () => folder.#refuseExisting(true));
      return folder;
    } catch (error) {
      files.folders.rest();
      throw error;
    }
  }

  /**
   * Gives the folder its name. The writer has finished before. @throws RestoreError, FileError.
   */
  keep(): Promise<void> {
    return naming(this.#spec, () => this.#keep());
  }

  async #keep(): Promise<void> {
    const { port, folders } = this.#files;
    try {
      await this.#refuseExisting(false);
      const outer = await RestoreWriter.open(this.#options, this.#files);
      const nothing = { mtimeNs: 0n, mode: 0, size: 0, sha256: new Uint8Array(0) };
      const { final } = await outer.place({ ...this.#spec, ...nothing });
      const from = this.#pathIn(this.temporary);
      await this.#move(from, final);
      const [failure] = await outer.finish();
      if (failure !== undefined) throw failure.error;
      await removeTree(port, this.temporary);
    } finally {
      folders.rest();
    }
  }

  /** The mode is set on what is held: by then another may have given its name to something else. */
  async #move(from: Buffer, final: Buffer): Promise<void> {
    const { raw, port, folders } = this.#files;
    const folder = await folders.hold(from);
    try {
      const { mode } = folder.facts;
      // Linux moves no folder that its owner may not write into.
      const isOpen = process.platform === 'win32' || (mode & 0o200) !== 0;
      if (!isOpen) await raw.chmod(folder.self, mode | 0o200);
      await placeFolderDurably(port, from, final);
      if (!isOpen) await raw.chmod(folders.canHold ? folder.self : final, mode);
    } finally {
      folder.release();
    }
  }

  /** Takes away what was written. */
  async discard(): Promise<void> {
    const { port, folders } = this.#files;
    try {
      if (!(await exists(port, this.temporary))) return;
      await openUp(this.#files, this.temporary);
      await removeTree(port, this.temporary);
    } finally {
      folders.rest();
    }
  }

  /** Whether what is left of one that was cut behind its rename is taken away first. */
  async #refuseExisting(tidies: boolean): Promise<void> {
    const final = this.#pathIn(this.writer.root);
    if (!(await exists(this.#files.port, final))) return;
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
async function openUp(files: TargetFiles, path: Buffer): Promise<void> {
  if (process.platform === 'win32') return;
  const { raw, port, folders } = files;
  const folder = await folders.hold(path);
  try {
    await raw.chmod(folder.self, 0o700);
  } finally {
    folder.release();
  }
  for await (const { name, kind } of port.list(path))
    if (kind === 'directory') await openUp(files, joinRaw(path, name));
}
