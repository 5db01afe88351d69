import { existsSync } from 'node:fs';
import { cp, mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { decodeBlock, decodeSignedCommit, decodeStoredCommit } from '@aliquot/proto';
import { describe, expect, it } from 'vitest';
import { mustRun } from '../demo/programs.ts';
import { storedRecords } from './stored-records.ts';
import { World } from './world.ts';

/** libfaketime sets the clocks of programs that know nothing of it. */
const faketime = ['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu', '/usr/lib64']
  .map((folder) => join(folder, 'faketime', 'libfaketime.so.1'))
  .find((file) => existsSync(file));

/** From now on the clocks of programs that are started are a day and an hour ahead. */
function aDayLater(): void {
  Object.assign(process.env, {
    ...{ LD_PRELOAD: faketime, FAKETIME: '+90000', FAKETIME_DONT_FAKE_MONOTONIC: '1' },
  });
}

function today(): void {
  for (const name of ['LD_PRELOAD', 'FAKETIME', 'FAKETIME_DONT_FAKE_MONOTONIC'])
    delete process.env[name];
}

/** What opens the names of every commit of a collector's history. */
async function openings(data: string): Promise<Buffer[]> {
  const found: Buffer[] = [];
  for (const { kind, file, offset, length } of await storedRecords(data)) {
    if (kind !== 'commit') continue;
    const bytes = new Uint8Array((await readFile(file)).subarray(offset, offset + length));
    const { blocks } = decodeSignedCommit(decodeStoredCommit(bytes).commit);
    for (const { block, listBox, readBox } of blocks)
      for (const part of [decodeBlock(block).list, listBox, readBox]) found.push(Buffer.from(part));
  }
  return found;
}

/** How much of that is anywhere in a folder. */
async function countIn(folder: string, parts: readonly Buffer[]): Promise<number> {
  const all: Buffer[] = [];
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true }))
    if (entry.isFile()) all.push(await readFile(join(entry.parentPath, entry.name)));
  const disk = Buffer.concat(all);
  return parts.filter((part) => disk.includes(part)).length;
}

const note = faketime === undefined ? ' (skipped: libfaketime is not installed here)' : '';

describe.skipIf(faketime === undefined)(`a purge by the installed programs${note}`, () => {
  it('I-C33 I-C34: takes names off the disk, and is done again where the history was put back, before anything is served', async () => {
    const world = await World.open();
    try {
      const agent = await world.agent('hplc-1');
      const keyOf = (name: string) => join(world.folder, `${name}.key`);
      for (const name of ['maria', 'ines'])
        await mustRun(
          'aliquot',
          [
            ...['operator', 'add', name, '--kit', world.kit],
            ...['--purposes', 'retention', '--out', keyOf(name)],
          ],
          world.environment(),
        );
      await world.write('other/c.raw', 'another result');
      await world.backup(agent, [await world.place('other')]);
      const copied = async (name: string): Promise<string> => {
        await world.unserve();
        const copy = join(world.folder, name);
        await cp(world.collectorData, copy, { recursive: true });
        await world.serve();
        return copy;
      };
      const early = await copied('early');
      await world.write('data/p-0815/a.raw', 'of a subject');
      await world.write('data/p-0816/b.raw', 'of another subject');
      const data = await world.place('data');
      await world.backup(agent, [data]);
      const before = await copied('before');
      const earlier = (await openings(early)).length;
      const mine = (await openings(before)).slice(earlier);
      expect(mine.length).toBeGreaterThan(0);
      expect(await countIn(world.collectorData, mine)).toBe(mine.length);

      const path = join(data, 'p-0815', '**');
      const ordered = await world.aliquot([
        ...['purge', 'order', '--agent', 'hplc-1', '--path', path, '--reason', 'request'],
        ...['--by', keyOf('maria'), '--json'],
      ]);
      const purge = String(ordered.lines[0]?.['purge']);
      const approve = ['purge', 'approve', purge, '--by', keyOf('ines'), '--kit', world.kit];
      expect((await world.tryAliquot(approve)).stderr).toContain('approved from');
      await world.unserve();
      aDayLater();
      await world.serve();
      await world.tryAliquot(['collector', 'clock', '--confirm']);
      await world.aliquot(approve);

      const isGone = async (): Promise<void> => {
        expect(await countIn(world.collectorData, mine)).toBe(0);
        const kit = ['--kit', world.kit];
        const ls = await world.aliquot(['ls', '--agent', 'hplc-1', ...kit, '--json']);
        const paths = ls.lines.map((line) => String(line['path']).replace(world.folder, ''));
        expect(paths.sort()).toEqual(['/data/p-0816/b.raw', '/other/c.raw']);
        const file = ['--agent', 'hplc-1', '--path', join(data, 'p-0815/a.raw'), ...kit];
        const versions = await world.tryAliquot(['versions', ...file]);
        expect(versions.stdout).not.toContain('of a subject');
        expect((await world.aliquot(['explain', ...file])).stdout).toContain('purged');
        await world.aliquot(['check', ...kit]);
        const [listed] = (await world.aliquot(['purge', 'list', '--json'])).lines;
        expect(listed).toMatchObject({ state: 'approved', approved: { by: 'ines' }, swept: null });
      };
      await isGone();

      /** Everything of the vault as it was, but for the purges that it keeps. */
      const putBack = async (copy: string): Promise<void> => {
        await world.unserve();
        const vaults = join(world.collectorData, 'vaults');
        const [vault = ''] = await readdir(vaults);
        const kept = join(world.folder, 'kept');
        await rename(join(vaults, vault, 'purges'), kept);
        await rm(join(vaults, vault), { recursive: true });
        await mkdir(vaults, { recursive: true });
        await cp(join(copy, 'vaults', vault), join(vaults, vault), { recursive: true });
        await rename(kept, join(vaults, vault, 'purges'));
        await world.serve();
      };
      await putBack(before);
      expect(await countIn(world.collectorData, mine)).toBe(0);
      await world.tryAliquot(['log', 'reopen', '--kit', world.kit]);
      await isGone();

      // The PC sends again what that history never had: it comes as the purge has left it.
      await putBack(early);
      await world.tryAliquot(['log', 'reopen', '--kit', world.kit]);
      await world.backup(agent, [data]).catch(() => undefined);
      await world.tryAliquot(['log', 'reopen', '--kit', world.kit]);
      await world.backup(agent, [data]);
      await isGone();
      await world.unserve();
      const fsck = await world.tryAliquot(['fsck', '--data', world.collectorData, '--json']);
      expect([fsck.stdout, fsck.code]).toEqual([expect.stringContaining('"faults":0'), 0]);
    } finally {
      today();
      await world.close();
    }
  });
});
