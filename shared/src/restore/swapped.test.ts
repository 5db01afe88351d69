import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../testing/temp.ts';
import { blockingFiles, newFiles } from '../durable/blocking-files.ts';
import { type FilePort, nodeFiles } from '../durable/file-port.ts';
import { canHold } from '../durable/held-name.ts';
import { systemRandom } from '../ports.ts';
import { FileWriter } from './file-writer.ts';
import { thisRun } from './leftovers.ts';
import type { FileSpec } from './restore-target.ts';
import { targetFiles } from './target-files.ts';
import { WholeFolder } from './whole-folder.ts';
import { RestoreWriter } from './writer.ts';

const MTIME = 1_700_000_000_123_000_000n;

function spec(path: string, content: string): FileSpec {
  const sha256 = createHash('sha256').update(content).digest();
  const size = Buffer.byteLength(content);
  return { platform: 'posix', path: Buffer.from(path), mtimeNs: MTIME, mode: 0o644, size, sha256 };
}

const folderSpec = (path: string, mode: number) =>
  ({ platform: 'posix', path: Buffer.from(path), mtimeNs: MTIME, mode }) as const;

/** A target in a folder of somebody who may change it, and one that is nobody's business. */
function world() {
  const top = temporaryFolder();
  const [root, outside] = [join(top, 'out'), join(top, 'outside')];
  mkdirSync(root);
  mkdirSync(outside, { mode: 0o700 });
  mkdirSync(join(outside, 'b'));
  writeFileSync(join(outside, 'mine'), 'mine', { mode: 0o600 });
  const before = stateOf(outside);
  return {
    root,
    outside,
    /** The folder goes elsewhere, and a link stands in its place. */
    swap(name: string): string {
      renameSync(join(root, name), join(root, 'moved'));
      symlinkSync(outside, join(root, name));
      return join(root, 'moved');
    },
    untouched: () => expect(stateOf(outside)).toEqual(before),
  };
}

function stateOf(folder: string): unknown {
  return ['.', ...readdirSync(folder)].map((name) => {
    const { mode, mtimeMs, ctimeMs } = statSync(join(folder, name));
    return [name, mode, mtimeMs, ctimeMs];
  });
}

const open = (root: string) => RestoreWriter.open({ port: nodeFiles, random: systemRandom, root });

describe.runIf(canHold)('a folder that is swapped for a link while a restore goes on', () => {
  it('P2: gets no small file written through it', async () => {
    const { root, swap, untouched } = world();
    const writer = await open(root);
    const placed = await writer.place(spec('/a/x', 'hello'));
    const moved = swap('a');
    await writer.whole(spec('/a/x', 'hello'), placed, Buffer.from('hello'));
    expect(readFileSync(join(moved, 'x'), 'utf8')).toBe('hello');
    expect(await writer.finish()).toEqual([]);
    untouched();
  });

  it('P2: gets no file of another thread either: that one refuses the link', async () => {
    const { root, swap, untouched } = world();
    const writer = await open(root);
    const thread = new FileWriter({
      target: targetFiles(blockingFiles, []),
      newFiles,
      random: systemRandom,
      run: thisRun(),
      overwrite: false,
    });
    const placed = await writer.place(spec('/a/b/x', 'hello'));
    swap('a');
    const refused = { code: 'RESTORE_THROUGH_LINK' };
    const whole = async () => thread.whole(spec('/a/b/x', 'hello'), placed, Buffer.from('hello'));
    await expect(whole()).rejects.toMatchObject(refused);
    await expect(thread.file(spec('/a/b/x', 'hello'), placed)).rejects.toMatchObject(refused);
    await thread.finish();
    await writer.finish();
    untouched();
  });

  it('P2: between the bytes and the name of a large file, it leads nowhere', async () => {
    const { root, swap, untouched } = world();
    const writer = await open(root);
    const sink = await writer.file(spec('/a/mine', 'hello'));
    await sink.write(Buffer.from('hello'));
    const moved = swap('a');
    expect(await sink.finish()).toBe('written');
    expect(readdirSync(moved)).toEqual(['mine']);
    await writer.finish();
    untouched();
  });

  it('P2: no folder, link, mode or time is made or set through it', async () => {
    const { root, swap, untouched } = world();
    const writer = await open(root);
    await writer.directory(folderSpec('/a/b', 0o777));
    await writer.directory(folderSpec('/a', 0o777));
    const moved = swap('a');
    await writer.directory(folderSpec('/a/c', 0o777));
    const linkTarget = Buffer.from('elsewhere');
    await writer.symlink({ ...folderSpec('/a/l', 0), linkTarget });
    expect(await writer.finish()).toEqual([]);
    expect(readdirSync(moved).sort()).toEqual(['b', 'c', 'l']);
    expect(statSync(join(moved, 'b')).mode & 0o777).toBe(0o777);
    untouched();
  });

  it('P2: what another folder took its place gets neither mode nor time, where it is not held', async () => {
    const { root, outside } = world();
    const target = targetFiles(nodeFiles, []);
    const writer = await open(root);
    await writer.directory(folderSpec('/a', 0o777));
    renameSync(join(root, 'a'), join(root, 'moved'));
    renameSync(outside, join(root, 'a'));
    // More folders than stay open.
    for (let at = 0; at < 80; at += 1) await writer.directory(folderSpec(`/n${at}`, 0o755));
    const failures = await writer.finish();
    expect(failures.map(({ error }) => error.code)).toEqual(['RESTORE_THROUGH_LINK']);
    expect(statSync(join(root, 'a')).mode & 0o777).toBe(0o700);
    target.folders.rest();
  });

  it('P2: a folder that is given back whole gets its name in the folder that was entered, or none', async () => {
    const { root, swap, untouched } = world();
    const options = { port: nodeFiles, random: systemRandom, root };
    const whole = await WholeFolder.open(options, folderSpec('/a/run.D', 0o755), 'v');
    const file = spec('/a/run.D/x', 'hello');
    await whole.writer.whole(file, await whole.writer.place(file), Buffer.from('hello'));
    await whole.writer.finish();
    mkdirSync(join(root, 'a'));
    swap('a');
    await expect(whole.keep()).rejects.toMatchObject({ code: 'RESTORE_THROUGH_LINK' });
    await whole.discard();
    untouched();
  });

  it('P2: a file that takes the name of a whole folder, or of one in it, gets no mode', async () => {
    const { root } = world();
    const mine = join(root, 'mine');
    writeFileSync(mine, 'mine', { mode: 0o640 });
    const takes = (path: string): void => {
      renameSync(path, `${path}-away`);
      linkSync(mine, path);
    };
    const port: FilePort = {
      ...nodeFiles,
      async rename(from, to) {
        await nodeFiles.rename(from, to);
        if (to.toString().endsWith('/run.D')) takes(join(root, 'a/run.D'));
      },
      async *list(path) {
        for await (const entry of nodeFiles.list(path)) {
          if (entry.name.toString() === 'swapped')
            takes(join(realpathSync(path.toString()), 'swapped'));
          yield entry;
        }
      },
    };
    const options = { port, random: systemRandom, root };
    const whole = await WholeFolder.open(options, folderSpec('/a/run.D', 0o500), 'v');
    await whole.writer.directory(folderSpec('/a/run.D', 0o500));
    await whole.writer.finish();
    await whole.keep();
    expect(statSync(join(root, 'a/run.D-away')).mode & 0o777).toBe(0o500);
    const other = await WholeFolder.open(options, folderSpec('/b', 0o755), 'v');
    await other.writer.directory(folderSpec('/b/swapped', 0o500));
    await other.writer.finish();
    await expect(other.discard()).rejects.toThrow('ENOTDIR');
    expect(statSync(mine).mode & 0o777).toBe(0o640);
    chmodSync(join(root, 'a/run.D-away'), 0o700);
  });

  it('P2: a file of another that got a name there has neither its mode nor its time changed', async () => {
    const { root } = world();
    const mine = join(root, 'mine');
    writeFileSync(mine, 'hello', { mode: 0o600 });
    mkdirSync(join(root, 'a'));
    linkSync(mine, join(root, 'a/x'));
    chmodSync(join(root, 'a'), 0o777);
    const before = statSync(mine);
    const file = spec('/a/x', 'hello');
    const restore = async (overwrite: boolean) => {
      const options = { port: nodeFiles, random: systemRandom, root, overwrite };
      const writer = await RestoreWriter.open(options);
      try {
        return await writer.whole(file, await writer.place(file), Buffer.from('hello'));
      } finally {
        await writer.finish();
      }
    };
    await expect(restore(false)).rejects.toMatchObject({ code: 'RESTORE_EXISTS' });
    expect(await restore(true)).toBe('written');
    // Alike in all, there is nothing to change.
    linkSync(join(root, 'a/x'), join(root, 'a/y'));
    expect(await restore(false)).toBe('same');
    const { mode, mtimeMs } = statSync(mine);
    expect({ mode, mtimeMs }).toEqual({ mode: before.mode, mtimeMs: before.mtimeMs });
  });

  it('P2: leftovers are not taken away through it', async () => {
    const { root, outside, swap } = world();
    const run = { ...thisRun(), isAlive: () => false };
    const name = `.aq-${run.place}-1-000000000000.part`;
    writeFileSync(join(outside, name), 'not ours');
    mkdirSync(join(root, 'a'));
    const writer = await RestoreWriter.open({ port: nodeFiles, random: systemRandom, root, run });
    swap('a');
    await expect(writer.place(spec('/a/x', 'hello'))).rejects.toMatchObject({
      code: 'RESTORE_THROUGH_LINK',
    });
    await writer.finish();
    expect(existsSync(join(outside, name))).toBe(true);
  });
});

describe.runIf(process.platform !== 'win32')('on a system that cannot hold folders', () => {
  const without = (root: string) =>
    RestoreWriter.open({
      port: nodeFiles,
      random: systemRandom,
      root,
      holding: { canHold: false },
    });

  it('P2: a swapped folder is refused as soon as something is opened or made in it', async () => {
    const { root, swap } = world();
    const writer = await without(root);
    const placed = await writer.place(spec('/a/x', 'hello'));
    swap('a');
    const whole = async () => writer.whole(spec('/a/x', 'hello'), placed, Buffer.from('hello'));
    await expect(whole()).rejects.toMatchObject({ code: 'RESTORE_THROUGH_LINK' });
    await expect(writer.file(spec('/a/x', 'hello'), placed)).rejects.toMatchObject({
      code: 'RESTORE_THROUGH_LINK',
    });
    const failures = await writer.finish();
    expect(failures.map(({ error }) => error.code)).toEqual(['RESTORE_THROUGH_LINK']);
  });

  it('P2: a target is refused where another user may change a folder on the way', async () => {
    const { root } = world();
    await expect(without(root)).resolves.toBeDefined();
    chmodSync(root, 0o777);
    await expect(without(root)).rejects.toMatchObject({ code: 'RESTORE_SHARED_TARGET' });
    await expect(without(join(root, 'below'))).rejects.toMatchObject({
      code: 'RESTORE_SHARED_TARGET',
    });
    expect(readdirSync(root)).toEqual([]);
    chmodSync(root, 0o1777);
    await expect(without(join(root, 'below'))).resolves.toBeDefined();
  });

  it('P2: all else is as on others', async () => {
    const { root } = world();
    const writer = await without(root);
    const small = spec('/a/b/x', 'hello');
    await writer.whole(small, await writer.place(small), Buffer.from('hello'));
    await writer.directory(folderSpec('/a/b', 0o555));
    expect(await writer.finish()).toEqual([]);
    expect(readFileSync(join(root, 'a/b/x'), 'utf8')).toBe('hello');
    expect(statSync(join(root, 'a/b')).mode & 0o777).toBe(0o555);
  });
});
