import { MAX_RELEASE_DATA_BYTES } from '@aliquot/proto';
import { readFully } from '@aliquot/shared/durable/durable';
import type { FilePort } from '@aliquot/shared/durable/file-port';

/** A file of a release from its beginning to its end, in pieces as one answer to an agent takes. */
export async function* piecesOf(
  port: FilePort,
  path: string,
): AsyncGenerator<Uint8Array, void, void> {
  const file = await port.open(path, 'read');
  try {
    for (let at = 0; ; at += MAX_RELEASE_DATA_BYTES) {
      const bytes = await readFully(file, at, MAX_RELEASE_DATA_BYTES);
      if (bytes.length > 0) yield bytes;
      if (bytes.length < MAX_RELEASE_DATA_BYTES) return;
    }
  } finally {
    await file.close();
  }
}
