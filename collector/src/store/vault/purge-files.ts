import { join } from 'node:path';
import { MAX_KEPT_PURGE_BYTES } from '@aliquot/proto';
import {
  ensureDirectory,
  exists,
  isTemporary,
  readFileIfThere,
  removeDurably,
  writeFileDurably,
} from '@aliquot/shared/durable/durable';
import type { FilePort } from '@aliquot/shared/durable/file-port';

const NAME = /^(\d{8})\.purge$/;

/** The purges of a vault that must outlive a history that is put back, as they lie beside it. */
export interface PurgeFolder {
  readonly path: string;
  nameOf(number: number): string;
  /** The numbers of what is there, rising. Errors: `FILE_…`. */
  list(): Promise<number[]>;
  /** Undefined when there is none of this number. Errors: `FILE_…`. */
  read(number: number): Promise<Uint8Array | undefined>;
  /** All or nothing, and durable. Errors: `FILE_…`. */
  write(number: number, bytes: Uint8Array): Promise<void>;
  /** Durable. Errors: `FILE_…`. */
  remove(number: number): Promise<void>;
  /** The same of what crashes had left of files, when they were listed. Errors: `FILE_…`. */
  removeLeft(): Promise<void>;
}

/** `purges` in the folder of a vault. */
export function purgeFolder(files: FilePort, dir: string): PurgeFolder {
  const path = join(dir, 'purges');
  const nameOf = (number: number) => join(path, `${String(number).padStart(8, '0')}.purge`);
  /** What the last listing found of them. */
  let left: readonly string[] = [];
  return {
    path,
    nameOf,
    async list() {
      const names: string[] = [];
      if (await exists(files, path))
        for await (const { name } of files.list(path)) names.push(String(name));
      left = names.filter(isTemporary);
      const numbers = names.flatMap((name) => NAME.exec(name)?.[1] ?? []);
      return numbers.map(Number).sort((a, b) => a - b);
    },
    read: (number) => readFileIfThere(files, nameOf(number), MAX_KEPT_PURGE_BYTES),
    async write(number, bytes) {
      await ensureDirectory(files, path);
      await writeFileDurably(files, nameOf(number), bytes, { mode: 0o600 });
    },
    remove: (number) => removeDurably(files, nameOf(number)),
    async removeLeft() {
      for (const name of left) await removeDurably(files, join(path, name));
      left = [];
    },
  };
}
