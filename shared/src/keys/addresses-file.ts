import {
  type CollectorAddressesBody,
  decodeSigned,
  encodeSigned,
  FormatError,
  type Signed,
} from '@aliquot/proto';
import { armor, dearmor } from './armor.ts';

const ARMOR = 'ALIQUOT COLLECTOR ADDRESSES';

/** Signed addresses as a file, for an agent that missed them. It holds no secret. */
export function addressesFile(signed: Signed, { addresses }: CollectorAddressesBody): string {
  const headers = [
    ...addresses.map(({ url }) => `Address: ${url}`),
    'This file is no secret. On a PC that does not find its collector: aliquot-agent address set FILE',
  ];
  return armor(ARMOR, headers, encodeSigned(signed));
}

/**
 * What stands in such a file, still to be verified; undefined when it is no such file, or damaged.
 */
export function readAddressesFile(text: string): Signed | undefined {
  const read = dearmor(ARMOR, text);
  if (read.type !== 'bytes') return undefined;
  try {
    return decodeSigned(read.bytes);
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}
