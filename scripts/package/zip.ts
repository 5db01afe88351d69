import { crc32, deflateRawSync } from 'node:zlib';
import { modeOf, type Tree } from './tree.ts';

/**
 * A zip archive of the files (PKWARE APPNOTE 6.3.10, without its 64-bit forms), every time
 * `seconds` since 1970, in UTC. The same files give the same bytes.
 */
export function writeZip(files: Tree, seconds: number): Buffer {
  const stamp = dosTime(seconds);
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const entry of files) {
    const name = Buffer.from(entry.path);
    const packed = deflateRawSync(entry.bytes, { level: 9 });
    // What both headers say: made for 2.0, names in UTF-8 (bit 11), deflated.
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(1 << 11, 2);
    common.writeUInt16LE(8, 4);
    common.writeUInt32LE(stamp, 6);
    common.writeUInt32LE(crc32(entry.bytes), 10);
    common.writeUInt32LE(packed.length, 14);
    common.writeUInt32LE(entry.bytes.length, 18);
    common.writeUInt16LE(name.length, 22);
    parts.push(signature(0x04034b50), common, name, packed);
    const central = Buffer.alloc(14);
    central.writeUInt32LE(((0o100000 | modeOf(entry)) << 16) >>> 0, 6);
    central.writeUInt32LE(offset, 10);
    // 3: modes as Unix has them
    directory.push(signature(0x02014b50), Buffer.from([20, 3]), common, central, name);
    offset += 4 + common.length + name.length + packed.length;
  }
  const index = Buffer.concat(directory);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(files.length, 4);
  end.writeUInt16LE(files.length, 6);
  end.writeUInt32LE(index.length, 8);
  end.writeUInt32LE(offset, 12);
  return Buffer.concat([...parts, index, signature(0x06054b50), end]);
}

function signature(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

/** Date and time of MS-DOS, which begins in 1980 and counts in steps of two seconds. */
function dosTime(seconds: number): number {
  const at = new Date(Math.max(seconds, 315532800) * 1000);
  const date =
    ((at.getUTCFullYear() - 1980) << 9) | ((at.getUTCMonth() + 1) << 5) | at.getUTCDate();
  const time = (at.getUTCHours() << 11) | (at.getUTCMinutes() << 5) | (at.getUTCSeconds() >> 1);
  return ((date << 16) | time) >>> 0;
}
