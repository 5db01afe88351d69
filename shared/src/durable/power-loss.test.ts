import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Fate, faultyFiles } from '../../testing/faulty-files.ts';
import { NO_FOLDER_FLUSH, posixOnly } from '../../testing/platform.ts';
import { powerLossFiles } from '../../testing/power-loss-files.ts';
import { nothingSurvives, SimulatedDisk } from '../../testing/simulated-disk.ts';
import { temporaryFolder } from '../../testing/temp.ts';
import { nodeDisk } from '../derived/node-level.ts';
import { AppendFile } from './append-file.ts';
import { ensureDirectory, removeDurably, writeFileDurably } from './durable.ts';

const text = (path: string) => readFileSync(path, 'utf8');

describe('when the power fails', () => {
  it('D1: a file that was written durably is there, whole', async () => {
    const folder = temporaryFolder();
    const port = powerLossFiles(nodeDisk);
    await writeFileDurably(port, join(folder, 'a'), Buffer.from('new'));
    port.powerFails();
    expect(readdirSync(folder)).toEqual(['a']);
    expect(text(join(folder, 'a'))).toBe('new');
  });

  it('D1: at any step of a durable write, the name holds the whole old or the whole new content', async () => {
    const seen = new Set<string>();
    for (let at = 0; at < 6; at += 1) {
      const path = join(temporaryFolder(), 'a');
      writeFileSync(path, 'old');
      const disk = powerLossFiles(nodeDisk);
      const port = faultyFiles(
        disk,
        (step): Fate => (step.index === at ? { crash: true } : undefined),
      );
      await writeFileDurably(port, path, Buffer.from('new')).catch(() => undefined);
      disk.powerFails();
      seen.add(text(path));
    }
    expect(seen).toEqual(new Set(['old', 'new']));
  });

  it('D2: a file that was removed durably does not come back', async () => {
    const path = join(temporaryFolder(), 'a');
    writeFileSync(path, 'old');
    const port = powerLossFiles(nodeDisk);
    await removeDurably(port, path);
    port.powerFails();
    expect(existsSync(path)).toBe(false);
  });

  it('P1: an append file keeps what was flushed, and at most a torn tail of the rest', async () => {
    const path = join(temporaryFolder(), 'log');
    const port = powerLossFiles(nodeDisk);
    const file = await AppendFile.open(port, path);
    await file.append(Buffer.from('flushed'));
    await file.sync();
    await file.append(Buffer.from('not flushed'));
    await file.close();
    port.powerFails(3);
    expect(text(path)).toBe('flushednot');
  });

  it.runIf(posixOnly(NO_FOLDER_FLUSH))(
    'D1: a folder that an earlier process made, and died before it was durable, is durable once somebody has ensured it',
    async () => {
      const folder = temporaryFolder();
      const disk = new SimulatedDisk(folder, nodeDisk);
      const process = disk.process((step) =>
        step.operation === 'mkdir' ? { crash: 'after' } : undefined,
      );
      await expect(ensureDirectory(process.files, join(folder, 'data'))).rejects.toThrow('ECRASH');
      await ensureDirectory(disk.process().files, join(folder, 'data'));
      await disk.powerFails(nothingSurvives);
      expect(readdirSync(folder)).toEqual(['data']);
    },
  );

  it.runIf(posixOnly(NO_FOLDER_FLUSH))(
    'D3: what stood behind a flush that failed in an earlier process is durable once it was renewed, not by another flush',
    async () => {
      for (const renewed of [false, true]) {
        const path = join(temporaryFolder(), 'log');
        writeFileSync(path, 'flushed');
        const disk = new SimulatedDisk(dirname(path), nodeDisk);
        const first = disk.process((step) =>
          step.operation === 'datasync' ? { dropped: { visible: true } } : undefined,
        );
        const file = await AppendFile.open(first.files, path);
        await file.append(Buffer.from(' and not'));
        await expect(file.sync()).rejects.toMatchObject({ code: 'FILE_IO' });
        await first.end();
        const again = await AppendFile.open(disk.process().files, path);
        expect(again.size).toBe(15);
        if (renewed) await again.renew(7);
        else await again.sync();
        await again.close();
        await disk.powerFails(nothingSurvives);
        expect(text(path)).toBe(renewed ? 'flushed and not' : 'flushed');
      }
    },
  );
});
