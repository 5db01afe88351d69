import { AliquotError, type ErrorCodes } from '@aliquot/proto';

const codes = {
  /** Bytes that are no archive as `npm run release` makes them. */ ARCHIVE_BROKEN: 'final',
} satisfies ErrorCodes;

export type ArchiveErrorCode = keyof typeof codes;

/** An archive that cannot be unpacked, or that would leave its folder. */
export class ArchiveError extends AliquotError<ArchiveErrorCode> {
  static override readonly codes = codes;
}

const BLOCK = 512;
const MAX_PATH_BYTES = 255;

/** A file of an archive: its path with `/`, below the folder that it is unpacked to. */
export interface ArchivedFile {
  readonly path: string;
  readonly executable: boolean;
  readonly size: number;
  /** Its bytes; taken to their end before the next file is asked for. */
  readonly content: AsyncIterable<Uint8Array>;
}

/**
 * Reads a ustar archive (POSIX.1-1988) piece by piece: regular files only; folders are passed over,
 * for the files say which there are. Anything else, a name that is not plain (`..`, `\`, `:`, an
 * absolute path, one that Windows reserves) and a name twice are refused: the maker of an archive
 * decides where files go, and the vendor's keys may be stolen. Throws `ArchiveError`. Seam: agents
 * unpack releases with it.
 */
export async function* readArchive(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<ArchivedFile> {
  const source = new Pieces(bytes);
  const seen = new Set<string>();
  for (;;) {
    const head = await source.take(BLOCK);
    if (head.every((byte) => byte === 0)) return;
    const { path, type, size, mode } = headerOf(head);
    if (type === '5') continue;
    if (type !== '0') throw broken(`has something that is no file at ${path}`);
    if (!isPlainPath(path)) throw broken(`names a file ${JSON.stringify(path)}`);
    if (seen.has(path.toLowerCase())) throw broken(`has ${path} twice`);
    seen.add(path.toLowerCase());
    const content = source.run(size);
    yield { path, executable: (mode & 0o100) !== 0, size, content };
    for await (const _ of content); // whatever was not taken
    await source.take((BLOCK - (size % BLOCK)) % BLOCK);
  }
}

function headerOf(head: Buffer): { path: string; type: string; size: number; mode: number } {
  const text = (at: number, length: number): string =>
    head.toString('latin1', at, at + length).split('\0')[0] ?? '';
  const number = (at: number, length: number): number =>
    Number.parseInt(text(at, length).trim(), 8);
  const sum = head.reduce((total, byte, at) => total + (at >= 148 && at < 156 ? 0x20 : byte), 0);
  if (number(148, 8) !== sum || text(257, 5) !== 'ustar')
    throw broken('is no tar archive, or was altered');
  const [prefix, name] = [text(345, 155), text(0, 100)];
  const size = number(124, 12);
  if (!Number.isSafeInteger(size) || size < 0) throw broken('has a file without a size');
  return {
    path: prefix === '' ? name : `${prefix}/${name}`,
    type: text(156, 1) || '0',
    size,
    mode: number(100, 8),
  };
}

function isPlainPath(path: string): boolean {
  if (path.length > MAX_PATH_BYTES) return false;
  return path
    .split('/')
    .every(
      (part) =>
        /^[0-9A-Za-z_@+-][0-9A-Za-z._@+-]*$/.test(part) && !part.endsWith('.') && !isReserved(part),
    );
}

/** Names that Windows takes for devices, with any ending. */
function isReserved(part: string): boolean {
  return /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i.test(part);
}

/** A stream of pieces, of which exact numbers of bytes are taken. */
class Pieces {
  readonly #iterator: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array(0);

  constructor(bytes: AsyncIterable<Uint8Array>) {
    this.#iterator = bytes[Symbol.asyncIterator]();
  }

  /** Exactly so many bytes; few. */
  async take(length: number): Promise<Buffer> {
    const parts: Uint8Array[] = [];
    for await (const part of this.run(length)) parts.push(part);
    return Buffer.concat(parts, length);
  }

  /** So many bytes, as they come. What was taken before is gone: a run is read once. */
  async *run(length: number): AsyncGenerator<Uint8Array> {
    for (let left = length; left > 0; ) {
      if (this.#rest.length === 0) {
        const { done, value } = await this.#iterator.next();
        if (done === true) throw broken('ends before its end');
        this.#rest = value;
      }
      const part = this.#rest.subarray(0, left);
      this.#rest = this.#rest.subarray(part.length);
      left -= part.length;
      yield part;
    }
  }
}

function broken(why: string): ArchiveError {
  return new ArchiveError('ARCHIVE_BROKEN', `the archive ${why}`);
}
