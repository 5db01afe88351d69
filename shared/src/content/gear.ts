import { hkdf } from '../crypto/primitives.ts';

const LABEL = 'aliquot/v1/gear-table';

/**
 * The 256 random 32-bit words of a vault's rolling hash (the "gear" table of Xia et al., FastCDC,
 * USENIX ATC 2016).
 *
 * The table is a secret of the vault: with a public one, the sizes of the stored chunks would tell
 * an observer which known file was stored. It comes from the seed of dedup epoch 1 and stays when
 * later epochs open, because new cut points would store everything again.
 *
 * @param gearSeed 32 bytes, from `VaultKeys.gearSeed`.
 */
export function gearTable(gearSeed: Uint8Array): Int32Array {
  const stream = hkdf(gearSeed, new Uint8Array(0), LABEL, 256 * 4);
  const view = new DataView(stream.buffer, stream.byteOffset, stream.byteLength);
  const table = new Int32Array(256);
  for (let value = 0; value < table.length; value += 1)
    table[value] = view.getInt32(value * 4, true);
  return table;
}
