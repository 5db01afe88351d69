import { readFully } from '@aliquot/shared/durable/durable';
import { withFileErrors } from '@aliquot/shared/durable/errors';
import type { FilePort, OpenFile } from '@aliquot/shared/durable/file-port';

/** Bytes of one pack, however it is held open: by the writer, for reading, or by fsck. */
export interface PackSource {
  readonly path: string;
  readonly number: number;
  /** Bytes of the file that may be read. */
  readonly size: number;
  /** Up to `length` bytes at `position`; fewer at the end. */
  read(position: number, length: number): Promise<Buffer>;
}

/** A pack opened only for reading; its size is what it was when opened. */
export class ReadOnlyPack implements PackSource {
  readonly path: string;
  readonly number: number;
  readonly size: number;
  readonly #file: OpenFile;

  private constructor(path: string, number: number, size: number, file: OpenFile) {
    this.path = path;
    this.number = number;
    this.size = size;
    this.#file = file;
  }

  static open(port: FilePort, path: string, number: number): Promise<ReadOnlyPack> {
    return withFileErrors('open', path, async () => {
      const file = await port.open(path, 'read');
      return new ReadOnlyPack(path, number, (await file.facts()).size, file);
    });
  }

  read(position: number, length: number): Promise<Buffer> {
    return withFileErrors('read', this.path, () => readFully(this.#file, position, length));
  }

  /** Bytes of the file by now: it may have grown since, or been cut. */
  currentSize(): Promise<number> {
    return withFileErrors('read', this.path, async () => (await this.#file.facts()).size);
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

export function packFileName(number: number): string {
  return `${String(number).padStart(8, '0')}.pack`;
}

/** The pack number of a file name, or `undefined`. */
export function packNumberOf(name: string): number | undefined {
  const match = /^(\d{8})\.pack$/.exec(name);
  return match?.[1] === undefined ? undefined : Number(match[1]);
}
