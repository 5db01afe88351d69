import type { FilePort } from '../durable/file-port.ts';
import { writeStreamDurably } from '../durable/write-stream.ts';
import type { Random } from '../ports.ts';
import {
  encodeFileHeader,
  FILE_HEADER_BYTES,
  type LogIdentity,
  RECORD_HEADER_BYTES,
} from './codec.ts';
import type { RecordReader } from './reader.ts';

/**
 * Writes a file anew, durably and all or nothing, without the bytes that are no sound record and
 * with headers that have not rotted. Records keep their order and get other places, so every index
 * over the file must be made again; nobody may have it open. What the bad bytes were worth is the
 * caller's to settle before. Throws `later`, as the scan does.
 */
export async function rewriteFile<K extends string>(
  reader: RecordReader<K>,
  number: number,
  { port, random }: { readonly port: FilePort; readonly random: Random },
): Promise<void> {
  const { codec } = await reader.codecOf(number);
  const { format } = reader;
  const identity = identityOf(reader);
  async function* pieces(): AsyncGenerator<Uint8Array, void, void> {
    yield encodeFileHeader(format, { ...identity, number });
    let offset = FILE_HEADER_BYTES;
    for await (const item of reader.scanFile(number, { durableTo: reader.sizeOf(number) ?? 0 })) {
      if (item.type === 'unknown')
        throw format.error('later', `${reader.path(number)}: ${item.why} is not known here`);
      if (item.type === 'damage' || item.payload === undefined) continue;
      const header = Buffer.alloc(RECORD_HEADER_BYTES);
      // What stands before it is durable as soon as it is.
      codec.encodeInto(header, 0, { ...item.header, syncedTo: offset });
      yield header;
      yield item.payload;
      offset += RECORD_HEADER_BYTES + item.payload.length;
    }
  }
  await writeStreamDurably(port, reader.path(number), pieces(), { random });
}

function identityOf(reader: RecordReader<string>): LogIdentity {
  if (reader.identity === undefined) throw new TypeError('a file without an identity was read');
  return reader.identity;
}
