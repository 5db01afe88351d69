import { utf8 } from '../crypto/bytes.ts';
import { sha256 } from '../crypto/primitives.ts';

/**
 * Where a PC, by its name, stands in the roll-out of a version: at least 0, below 100. A share of n
 * percent of the fleet is every PC that stands below n; so a larger share has everybody of a
 * smaller one in it, and another version begins with other PCs. Who can choose a PC's name could
 * choose its place: that only says who is first.
 */
export function shareOf(name: string, version: string): number {
  const digest = sha256(utf8(`aliquot/v1/release-share\0${name}\0${version}`));
  return (new DataView(digest.buffer, digest.byteOffset).getUint32(0) / 2 ** 32) * 100;
}
