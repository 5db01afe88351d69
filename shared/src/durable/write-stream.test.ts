import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Fate, faultyFiles } from '../../testing/faulty-files.ts';
import { powerLossFiles } from '../../testing/power-loss-files.ts';
import { temporaryFolder } from '../../testing/temp.ts';
import { nodeFiles } from './file-port.ts';
import { writeStreamDurably } from './write-stream.ts';

async function* pieces(...sizes: readonly number[]): AsyncGenerator<Uint8Array, void, void> {
  for (const [at, size] of sizes.entries()) yield new Uint8Array(size).fill(at + 1);
}

describe('a file that arrives piece by piece', () => {
  it('is there whole, small pieces and large ones, and says how large it is', async () => {
    const path = join(temporaryFolder(), 'a');
    const sizes = [3, 700_000, 5, 0, 300_000, 2];
    expect(await writeStreamDurably(nodeFiles, path, pieces(...sizes))).toBe(1_000_010);
    const expected: Uint8Array[] = [];
    for await (const piece of pieces(...sizes)) expected.push(piece);
    expect(Buffer.compare(readFileSync(path), Buffer.concat(expected))).toBe(0);
  });

  it('D1: at any step, and after a power failure, the name holds the whole old or the whole new content', async () => {
    const seen = new Set<number>();
    for (let at = 0; at < 9; at += 1) {
      const path = join(temporaryFolder(), 'a');
      writeFileSync(path, 'old');
      const disk = powerLossFiles(nodeFiles);
      const port = faultyFiles(
        disk,
        (step): Fate => (step.index === at ? { crash: true } : undefined),
      );
      await writeStreamDurably(port, path, pieces(300_000, 300_000)).catch(() => undefined);
      disk.powerFails();
      seen.add(readFileSync(path).length);
    }
    expect(seen).toEqual(new Set([3, 600_000]));
  });

  it('that breaks off leaves what was there, and nothing beside it', async () => {
    const folder = temporaryFolder();
    const path = join(folder, 'a');
    writeFileSync(path, 'old');
    async function* broken(): AsyncGenerator<Uint8Array, void, void> {
      yield* pieces(400_000, 400_000);
      throw new Error('the other side is gone');
    }
    await expect(writeStreamDurably(nodeFiles, path, broken())).rejects.toThrow('gone');
    expect(readdirSync(folder)).toEqual(['a']);
    expect(readFileSync(path, 'utf8')).toBe('old');
  });

  it('for which there is no folder or no space says so', async () => {
    const path = join(temporaryFolder(), 'a');
    await expect(writeStreamDurably(nodeFiles, join(path, 'b'), pieces(1))).rejects.toMatchObject({
      code: 'FILE_MISSING',
    });
    const port = faultyFiles(
      nodeFiles,
      (step): Fate => (step.operation === 'write' ? { fail: 'ENOSPC' } : undefined),
    );
    await expect(writeStreamDurably(port, path, pieces(1))).rejects.toMatchObject({
      code: 'FILE_NO_SPACE',
    });
  });
});
