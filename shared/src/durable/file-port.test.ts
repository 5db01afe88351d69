import { mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NO_LINKS, posixOnly } from '../../testing/platform.ts';
import { temporaryFolder } from '../../testing/temp.ts';
import { type DirectoryEntry, nodeFiles } from './file-port.ts';

describe('the file port of this machine', () => {
  // Node on Windows keeps seconds in 32 bits (uv_timespec_t).
  const lastNs =
    process.platform === 'win32' ? 2_147_483_647_000_000_000n : 4_000_000_000_000_000_000n;

  it('P2: sets times that show the same microsecond again, for any moment since 1970', async () => {
    const path = join(temporaryFolder(), 'a');
    const file = await nodeFiles.open(path, 'createNew');
    await fc.assert(
      fc.asyncProperty(fc.bigInt({ min: 0n, max: lastNs }), async (ns) => {
        await file.setTimes(ns, ns);
        const shown = (await file.facts()).mtimeNs;
        // There libuv adds the seconds since 1601 to a double, whose grid is 1.6 µs by then.
        if (process.platform === 'win32')
          expect(Math.abs(Number(shown - ns))).toBeLessThanOrEqual(2_000);
        else expect(shown / 1000n).toBe(ns / 1000n);
      }),
      { numRuns: 300 },
    );
    await file.close();
  });

  it.runIf(posixOnly('Node on Windows knows no times before 1970'))(
    'P2: sets times before 1970 to the millisecond',
    async () => {
      const path = join(temporaryFolder(), 'a');
      writeFileSync(path, '');
      await nodeFiles.setLinkTimes(path, -86_400_000_000_000n, -1_500_000_000n);
      expect((await nodeFiles.stat(path)).mtimeNs).toBe(-1_500_000_000n);
    },
  );

  it.runIf(posixOnly(NO_LINKS))(
    'tells what a name is, without following links, and sees the times in nanoseconds',
    async () => {
      const folder = temporaryFolder();
      writeFileSync(join(folder, 'file'), 'four');
      utimesSync(join(folder, 'file'), 1, 2);
      mkdirSync(join(folder, 'folder'));
      symlinkSync('file', join(folder, 'link'));
      expect(await nodeFiles.lstat(join(folder, 'file'))).toMatchObject({
        kind: 'file',
        size: 4,
        mtimeNs: 2_000_000_000n,
      });
      expect(await nodeFiles.lstat(join(folder, 'link'))).toMatchObject({ kind: 'symlink' });
      expect(await nodeFiles.stat(join(folder, 'link'))).toMatchObject({ kind: 'file' });
      const entries: DirectoryEntry[] = [];
      for await (const entry of nodeFiles.list(folder)) entries.push(entry);
      expect(entries.map(({ name, kind }) => `${name} ${kind}`).sort()).toEqual([
        'file file',
        'folder directory',
        'link symlink',
      ]);
    },
  );

  it.runIf(posixOnly(NO_LINKS))('does not follow a link when asked not to', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'file'), '');
    symlinkSync('file', join(folder, 'link'));
    await expect(nodeFiles.open(join(folder, 'link'), 'readNoFollow')).rejects.toMatchObject({
      code: 'ELOOP',
    });
    await (await nodeFiles.open(join(folder, 'link'), 'read')).close();
  });

  it('knows how much room there is', async () => {
    expect(await nodeFiles.freeBytes(temporaryFolder())).toBeGreaterThan(0);
  });
});
