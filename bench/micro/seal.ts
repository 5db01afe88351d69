import { openChunk, refOf, type SealedChunk, sealChunk } from '@aliquot/shared/content/seal';
import { keys } from '../../agent/testing/queue/support.ts';
import { textFile } from '../data/text.ts';
import { waveformBytes } from '../data/waveform.ts';
import type { MicroTask } from './task.ts';

const BYTES = 8 << 20;
const CHUNK = 256 << 10;
const SMALL = 4 << 10;

function pieces(bytes: Uint8Array, size: number): Uint8Array[] {
  return Array.from({ length: Math.floor(bytes.length / size) }, (_, at) =>
    bytes.subarray(at * size, (at + 1) * size),
  );
}

function sealing(name: string, make: () => readonly Uint8Array[]): MicroTask {
  return {
    name,
    unit: 'MB/s',
    async open() {
      const chunks = make();
      const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
      return {
        run() {
          for (const chunk of chunks) sealChunk(keys, chunk);
          return bytes;
        },
      };
    },
  };
}

/** Encoding (filter and zstd), key, encryption and id of chunks of the average size. */
export const sealWaveform = sealing('seal, waveform', () =>
  pieces(waveformBytes('seal', 1, BYTES, 8), CHUNK),
);

/** The same of text. */
export const sealText = sealing('seal, text', () =>
  pieces(textFile('xml', 'seal', 1, BYTES), CHUNK),
);

/** The same of small files, which are one chunk each. */
export const sealSmall = sealing('seal, small files', () =>
  pieces(textFile('csv', 'small', 1, BYTES >> 1), SMALL),
);

/** The way back: id, key, decryption and decoding, as a restore and a check do it. */
export const unseal: MicroTask = {
  name: 'open, waveform',
  unit: 'MB/s',
  async open() {
    const sealed: SealedChunk[] = pieces(waveformBytes('open', 1, BYTES, 8), CHUNK).map((plain) =>
      sealChunk(keys, plain),
    );
    return {
      run() {
        for (const chunk of sealed) openChunk(keys.vaultId, refOf(chunk), chunk.key, chunk.sealed);
        return BYTES;
      },
    };
  },
};
