import { sha256 } from '@aliquot/shared/crypto/primitives';
import { numberKey } from '../log/index-keys.ts';

/**
 * So many files can be continued at a time; a state has some 10 KB. Two paths that share a place
 * take turns: the other is read whole.
 */
const GROWTH_SLOTS = 4096;
const NAME_BYTES = 32;

/** Where the state of a path is kept, and what it begins with. */
export function growthSlot(path: Uint8Array): {
  readonly key: Uint8Array;
  readonly name: Uint8Array;
} {
  const name = sha256(path);
  const slot =
    new DataView(name.buffer, name.byteOffset, name.byteLength).getUint32(0) % GROWTH_SLOTS;
  return { key: numberKey('g', slot), name };
}

/** The state in a place, if it is this path's. */
export function growthIn(value: Uint8Array | undefined, name: Uint8Array): Uint8Array | undefined {
  if (value === undefined || Buffer.compare(value.subarray(0, NAME_BYTES), name) !== 0)
    return undefined;
  return new Uint8Array(value.subarray(NAME_BYTES));
}
