import { inflateRawSync } from 'node:zlib';
import { file, type Tree } from '../package/tree.ts';

const end = { signature: 0x06054b50, bytes: 22 };
const entry = { signature: 0x02014b50, bytes: 46 };
const local = { bytes: 30 };
const DEFLATED = 8;

/**
 * The files of a zip archive as `npm run package` makes it (PKWARE APPNOTE 6.3.10, without its
 * 64-bit forms).
 */
export function readZip(archive: Buffer): Tree {
  const at = archive.length - end.bytes;
  if (at < 0 || archive.readUInt32LE(at) !== end.signature)
    throw new Error('the zip archive is cut, or has something behind it');
  const files = [];
  let offset = archive.readUInt32LE(at + 16);
  for (let left = archive.readUInt16LE(at + 10); left > 0; left -= 1) {
    if (archive.readUInt32LE(offset) !== entry.signature)
      throw new Error('the directory of the zip archive is damaged');
    const [nameBytes, extraBytes, commentBytes] = [28, 30, 32].map((field) =>
      archive.readUInt16LE(offset + field),
    );
    const path = archive.toString(
      'utf8',
      offset + entry.bytes,
      offset + entry.bytes + (nameBytes ?? 0),
    );
    const mode = archive.readUInt32LE(offset + 38) >>> 16;
    if (!path.endsWith('/'))
      files.push(file(path, contentAt(archive, offset), (mode & 0o100) !== 0));
    offset += entry.bytes + (nameBytes ?? 0) + (extraBytes ?? 0) + (commentBytes ?? 0);
  }
  return files;
}

function contentAt(archive: Buffer, offset: number): Buffer {
  const begin = archive.readUInt32LE(offset + 42);
  const from =
    begin + local.bytes + archive.readUInt16LE(begin + 26) + archive.readUInt16LE(begin + 28);
  const packed = archive.subarray(from, from + archive.readUInt32LE(offset + 20));
  return archive.readUInt16LE(offset + 10) === DEFLATED ? inflateRawSync(packed) : packed;
}
