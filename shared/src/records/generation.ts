import { equalBytes, sha256 } from '../crypto/primitives.ts';
import { isTemporary, placeDurably, readFully, removeDurably } from '../durable/durable.ts';
import { FileError, withFileErrors } from '../durable/errors.ts';
import type { FilePort } from '../durable/file-port.ts';
import { writeStreamDurably } from '../durable/write-stream.ts';
import type { Random } from '../ports.ts';
import { encodeFileHeader, FILE_HEADER_BYTES, RECORD_HEADER_BYTES } from './codec.ts';
import { type FormerFile, listGenerations } from './folder.ts';
import type { NewRecord } from './format.ts';
import type { RecordReader } from './reader.ts';
import { scanRecords } from './scan.ts';

/*
 * A closed file of records, written anew: FORMAT.md, "Record file". The new one is whole, durable
 * and proved beside the one in force before its name says that it is in force; then the catalog
 * follows; then the former one goes.
 */

const NO_DIGEST = new Uint8Array(0);
/** Behind the name that a file will have: not in force yet. */
const UNPLACED = '.new';

/** A file that was written anew and is not in force. */
export interface NewGeneration {
  readonly number: number;
  readonly generation: number;
  readonly size: number;
  /** Where each of its records begins. */
  readonly offsets: readonly number[];
  /** Where it lies until it is in force. */
  readonly beside: string;
}

/**
 * Where the next generation of a file is written: not where another one is being written, which
 * may be of the same file.
 */
export function besidePath<K extends string>(
  reader: RecordReader<K>,
  number: number,
  isTaken: (path: string) => boolean,
): string {
  const path = reader.pathOf(number, reader.generationOf(number) + 1);
  let beside = `${path}${UNPLACED}`;
  for (let more = 2; isTaken(beside); more += 1) beside = `${path}.${more}${UNPLACED}`;
  return beside;
}

interface GenerationPorts {
  readonly port: FilePort;
  readonly random: Random;
}

/**
 * Writes a closed file anew beside the one in force, durably, and reads back each record. Throws
 * the room's `damaged` where it does not read as it was written; nothing is left of it then.
 *
 * @param path `besidePath`
 */
export async function writeGeneration<K extends string>(
  reader: RecordReader<K>,
  number: number,
  path: string,
  records: AsyncIterable<NewRecord<K>>,
  { port, random }: GenerationPorts,
): Promise<NewGeneration> {
  const { codec } = await reader.codecOf(number);
  const { format, identity } = reader;
  if (identity === undefined) throw new TypeError('a file without an identity was read');
  const generation = reader.generationOf(number) + 1;
  const offsets: number[] = [];
  const digests: Uint8Array[] = [];
  /** One that had rotted before is written as it is. */
  const isSound: boolean[] = [];
  async function* pieces(): AsyncGenerator<Uint8Array, void, void> {
    yield encodeFileHeader(format, { ...(identity as NonNullable<typeof identity>), number });
    let offset = FILE_HEADER_BYTES;
    for await (const { kind, payload, digest: said } of records) {
      const digest = said ?? sha256(payload);
      isSound.push(said === undefined);
      const header = Buffer.alloc(RECORD_HEADER_BYTES);
      // What stands before it is durable as soon as it is.
      codec.encodeInto(header, 0, { kind, length: payload.length, syncedTo: offset, digest });
      yield header;
      yield payload;
      offsets.push(offset);
      digests.push(digest);
      offset += RECORD_HEADER_BYTES + payload.length;
    }
  }
  try {
    const size = await writeStreamDurably(port, path, pieces(), { random });
    const source = await open(port, path, number, size);
    try {
      let at = 0;
      for await (const item of scanRecords(source, codec, { durableTo: size })) {
        const isProved = item.type === 'record' && item.payload !== undefined;
        const isIt =
          item.type !== 'unknown' &&
          isProved === isSound[at] &&
          item.offset === offsets[at] &&
          item.header !== undefined &&
          equalBytes(item.header.digest, digests[at] ?? NO_DIGEST);
        if (!isIt) break;
        at += 1;
      }
      if (at !== offsets.length)
        throw format.error('damaged', `${path} does not read as it was written`);
    } finally {
      await source.close();
    }
    return { number, generation, size, offsets, beside: path };
  } catch (error) {
    // The first error is the one to tell.
    await removeDurably(port, path).catch(() => undefined);
    throw error;
  }
}

async function open(port: FilePort, path: string, number: number, size: number) {
  const file = await withFileErrors('read', path, () => port.open(path, 'read'));
  return {
    ...{ path, number, size },
    read: (position: number, length: number) =>
      withFileErrors('read', path, () =>
        readFully(file, position, Math.max(0, Math.min(length, size - position))),
      ),
    close: () => file.close(),
  };
}

/** Gives a file that was written anew the name that puts it in force, durably. */
export async function placeGeneration<K extends string>(
  reader: RecordReader<K>,
  { number, generation, beside }: Pick<NewGeneration, 'number' | 'generation' | 'beside'>,
  { port }: Pick<GenerationPorts, 'port'>,
): Promise<void> {
  await placeDurably(port, beside, reader.pathOf(number, generation));
}

/** Files that are not in force, by their names. */
export interface LeftFiles {
  /** Superseded, or never placed: nobody needs them, unless they are being written. */
  readonly needless: readonly string[];
  /** Superseded, and sounder than what took their place and has rotted since. */
  readonly sounder: readonly FormerFile[];
}

/**
 * The files of a folder that are not in force. Reads those that are superseded, and what took their
 * place.
 *
 * @param isProved whether the file in force is known to be whole, so that it need not be read
 */
export async function leftFiles<K extends string>(
  reader: RecordReader<K>,
  port: FilePort,
  isProved: (number: number) => boolean = () => false,
): Promise<LeftFiles> {
  const { dir, format } = reader;
  const { superseded } = await listGenerations(port, dir, format);
  const names: string[] = [];
  const sounder: FormerFile[] = [];
  for (const former of superseded)
    if (!isProved(former.number) && (await isSounder(reader, port, former))) sounder.push(former);
    else names.push(former.name);
  await withFileErrors('list', dir, async () => {
    for await (const { name } of port.list(dir)) {
      const text = name.toString('latin1');
      const isUnplaced = text.includes(format.suffix) && text.endsWith(UNPLACED);
      if (isUnplaced || isTemporary(text)) names.push(text);
    }
  });
  return { needless: names, sounder };
}

/** Both have the same records, some with less in them: the one with more that prove is sounder. */
async function isSounder<K extends string>(
  reader: RecordReader<K>,
  port: FilePort,
  { number, generation }: FormerFile,
): Promise<boolean> {
  const former = await soundIn(reader, port, reader.pathOf(number, generation), number);
  return former > (await soundIn(reader, port, reader.path(number), number));
}

/** How many records of a file prove themselves; what cannot be read proves nothing. */
async function soundIn<K extends string>(
  reader: RecordReader<K>,
  port: FilePort,
  path: string,
  number: number,
): Promise<number> {
  const { codec } = await reader.codecOf(number);
  let sound = 0;
  try {
    const { size } = await withFileErrors('read', path, () => port.stat(path));
    const source = await open(port, path, number, Number(size));
    try {
      for await (const { type } of scanRecords(source, codec, { take: () => 'prove' }))
        if (type === 'record') sound += 1;
    } finally {
      await source.close();
    }
  } catch (error) {
    // A former file that the disk does not give back must not keep the one in force from opening.
    if (!(error instanceof FileError)) throw error;
  }
  return sound;
}
