import { createHash } from 'node:crypto';
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../../testing/temp.ts';
import { type FilePort, nodeFiles, type OpenFile } from '../durable/file-port.ts';
import { systemRandom } from '../ports.ts';
import type { RestoreRun } from './leftovers.ts';
import { RestoreWriter } from './writer.ts';

const living = new Set<number>();
const runOf = (pid: number, place = '0123abcd'): RestoreRun => ({
  place,
  pid,
  isAlive: (other) => living.has(other),
});

async function start(root: string, run: RestoreRun, path: string, content: Uint8Array) {
  living.add(run.pid);
  const opened: OpenFile[] = [];
  const port: FilePort = {
    ...nodeFiles,
    open: async (...how) => {
      const file = await nodeFiles.open(...how);
      opened.push(file);
      return file;
    },
  };
  const writer = await RestoreWriter.open({ port, random: systemRandom, root, run });
  const sha256 = createHash('sha256').update(content).digest();
  const spec = {
    platform: 'posix' as const,
    path: Buffer.from(path),
    mtimeNs: 0n,
    mode: 0o644,
    size: content.length,
    sha256,
  };
  const sink = await writer.file(spec);
  await sink.write(content);
  const die = async () => {
    living.delete(run.pid);
    // As the kernel does for a process that is killed.
    for (const file of opened) await file.close();
  };
  return { sink, die };
}

const names = (folder: string) => readdirSync(folder).sort();

it('P2: what a killed restore left is taken away by the next one into the same place, and by no other', async () => {
  const root = temporaryFolder();
  const killed = await start(root, runOf(11), '/data/x', Buffer.from('half'));
  await killed.die();
  expect(names(join(root, 'data'))).toHaveLength(1);
  await (await start(root, runOf(12), '/other/y', Buffer.from('y'))).sink.finish();
  expect(names(join(root, 'data'))).toHaveLength(1);
  const again = await start(root, runOf(13), '/data/x', Buffer.from('whole'));
  await again.sink.finish();
  expect(names(join(root, 'data'))).toEqual(['x']);
});

it('P2: nothing is taken from a restore that lives, or from one on another machine', async () => {
  const root = temporaryFolder();
  const first = await start(root, runOf(21), '/data/x', Buffer.from('first'));
  const far = await start(root, runOf(22, 'ffffffff'), '/data/z', Buffer.from('far'));
  await far.die();
  const second = await start(root, runOf(23), '/data/y', Buffer.from('second'));
  await second.sink.finish();
  await first.sink.finish();
  expect(names(join(root, 'data')).filter((name) => !name.startsWith('.aq-'))).toEqual(['x', 'y']);
  expect(
    names(join(root, 'data')).filter((name) => name.startsWith('.aq-ffffffff-22-')),
  ).toHaveLength(1);
});

it('only names that a restore makes are taken away, and never a folder', async () => {
  const root = temporaryFolder();
  const kept = [
    '.aq-notes.part',
    '.aq-0123abcd-31-abc.part',
    'x.part',
    '.aq-0123abcd-x-0123456789ab.part',
    '.aq-0011223344556677.part',
  ];
  for (const name of kept) writeFileSync(join(root, name), 'mine');
  mkdirSync(join(root, '.aq-0123abcd-31-0123456789ab.part'));
  symlinkSync('/nowhere', join(root, '.aq-0123abcd-31-ba9876543210.part'));
  await (await start(root, runOf(33), '/y', Buffer.from('y'))).sink.finish();
  expect(names(root)).toEqual([...kept, '.aq-0123abcd-31-0123456789ab.part', 'y'].sort());
});

it('P2: a long run of zeros is left as a hole, also at the end, and reads as the bytes that it was', async () => {
  const root = temporaryFolder();
  const content = Buffer.concat([
    Buffer.alloc(300_000),
    Buffer.from('island'),
    Buffer.alloc(5_000_000),
  ]);
  living.add(41);
  const writer = await RestoreWriter.open({
    port: nodeFiles,
    random: systemRandom,
    root,
    run: runOf(41),
  });
  const sha256 = createHash('sha256').update(content).digest();
  const spec = {
    platform: 'posix' as const,
    path: Buffer.from('/holes'),
    mtimeNs: 0n,
    mode: 0o644,
    size: content.length,
    sha256,
  };
  const sink = await writer.file(spec);
  for (const [from, to] of [
    [0, 300_000],
    [300_000, 300_006],
    [300_006, 3_000_000],
    [3_000_000, content.length],
  ]) {
    await sink.write(content.subarray(from, to));
  }
  expect(await sink.finish()).toBe('written');
  expect(readFileSync(join(root, 'holes')).equals(content)).toBe(true);
  expect(statSync(join(root, 'holes')).blocks * 512).toBeLessThan(1_000_000);
});
