import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { expect, test } from 'vitest';
import { readMark, writeMark } from './durable-mark.ts';

test('P6 I-C5 a mark of which any one bit is wrong, or the end is gone, says nothing', async () => {
  const dir = join(temporaryFolder(), '10967b36d5caa9a0ca6c9f8be329202f');
  mkdirSync(dir);
  const mark = {
    history: { file: 1, offset: 9218 },
    packs: [{ pack: 1, syncedBytes: 15_023 }],
  };
  await writeMark(nodeFiles, dir, mark);
  expect(await readMark(nodeFiles, dir)).toMatchObject(mark);
  const path = join(dir, 'durable.json');
  const sound = readFileSync(path);
  const end = sound.length - 1; // the line's end says nothing
  for (let bit = 0; bit < end * 8; bit += 1) {
    const bytes = Buffer.from(sound);
    bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit % 8));
    writeFileSync(path, bytes);
    expect(await readMark(nodeFiles, dir), bytes.toString()).toBeUndefined();
  }
  for (let length = 0; length < end; length += 1) {
    writeFileSync(path, sound.subarray(0, length));
    expect(await readMark(nodeFiles, dir), `${length} bytes`).toBeUndefined();
  }
});
