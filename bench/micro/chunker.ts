import { Chunker } from '@aliquot/shared/content/chunker';
import { gearTable } from '@aliquot/shared/content/gear';
import { keys } from '../../agent/testing/queue/support.ts';
import { waveformBytes } from '../data/waveform.ts';
import type { MicroTask } from './task.ts';

const BYTES = 64 << 20;
const WINDOW = 4 << 20;

/** Finding the cuts of a stream, in windows as capture reads them. */
export const chunker: MicroTask = {
  name: 'chunker',
  unit: 'MB/s',
  async open() {
    const stream = waveformBytes('chunker', 1, BYTES, 8);
    const table = gearTable(keys.gearSeed);
    return {
      run() {
        const one = new Chunker(table, keys.parameters);
        for (let at = 0; at < BYTES; at += WINDOW) one.push(stream.subarray(at, at + WINDOW));
        return BYTES;
      },
    };
  },
};
