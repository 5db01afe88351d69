import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../../testing/temp.ts';
import { utf8 } from '../crypto/bytes.ts';
import { sha256 } from '../crypto/primitives.ts';
import { nodeFiles } from '../durable/file-port.ts';
import { canHold } from '../durable/held-name.ts';
import { systemRandom } from '../ports.ts';
import { WholeFolder } from './whole-folder.ts';

const spec = { platform: 'posix', path: utf8('/data/run.D') } as const;
const MTIME_NS = 1_700_000_000_000_000_000n;

function opened(root: string, version = 'v1') {
  return WholeFolder.open({ port: nodeFiles, random: systemRandom, root }, spec, version);
}

async function write({ writer }: WholeFolder, name: string, words: string): Promise<void> {
  const bytes = utf8(words);
  const path = utf8(`/data/run.D/${name}`);
  const of = { platform: 'posix', path, mtimeNs: MTIME_NS, mode: 0o644 } as const;
  const sink = await writer.file({ ...of, size: bytes.length, sha256: sha256(bytes) });
  await sink.write(bytes);
  await sink.finish();
}

const folder = ({ writer }: WholeFolder, mode: number) =>
  writer.directory({ ...spec, mtimeNs: MTIME_NS, mode });

it('P2: has no name before it is whole, and then its recorded mode and time', async () => {
  const root = temporaryFolder();
  const whole = await opened(root);
  await folder(whole, 0o500);
  await write(whole, 'sub/a', 'a');
  await whole.writer.finish();
  expect(await readdir(root)).toEqual([expect.stringMatching(/^\.aq-.*\.whole$/)]);
  await whole.keep();
  expect(await readdir(root)).toEqual(['data']);
  const run = join(root, 'data/run.D');
  expect(await readFile(join(run, 'sub/a'), 'utf8')).toBe('a');
  const facts = await stat(run);
  expect(facts.mtimeMs).toBe(Number(MTIME_NS / 1_000_000n));
  if (process.platform !== 'win32') expect(facts.mode & 0o777).toBe(0o500);
  await chmod(run, 0o700);
});

it('is taken away with all that was written, folders closed to their owner too', async () => {
  const root = temporaryFolder();
  const whole = await opened(root);
  await folder(whole, 0o000);
  await write(whole, 'sub/a', 'a');
  await whole.writer.finish();
  await whole.discard();
  expect(await readdir(root)).toEqual([]);
  await whole.discard();
});

it('goes on with what is there of the same version, and leaves that of another alone', async () => {
  const root = temporaryFolder();
  const cut = await opened(root);
  await write(cut, 'a', 'a');
  const again = await opened(root);
  expect(again.temporary).toEqual(cut.temporary);
  await write(again, 'b', 'b');
  await again.writer.finish();
  const other = await opened(root, 'v2');
  expect(other.temporary).not.toEqual(cut.temporary);
  await write(other, 'c', 'c');
  await again.keep();
  expect((await readdir(join(root, 'data/run.D'))).toSorted()).toEqual(['a', 'b']);
  await other.writer.finish();
  await expect(other.keep()).rejects.toMatchObject({ code: 'RESTORE_EXISTS' });
  expect((await readdir(join(root, 'data/run.D'))).toSorted()).toEqual(['a', 'b']);
});

it('takes the place of nothing, be it a file or an empty folder, and is never the target itself', async () => {
  const root = temporaryFolder();
  await mkdir(join(root, 'data'));
  await writeFile(join(root, 'data/run.D'), 'mine');
  await expect(opened(root)).rejects.toMatchObject({ code: 'RESTORE_EXISTS' });
  expect(await readdir(root)).toEqual(['data']);
  const top = { platform: 'posix', path: utf8('/') } as const;
  const options = { port: nodeFiles, random: systemRandom, root };
  await expect(WholeFolder.open(options, top, 'v')).rejects.toMatchObject({
    code: 'RESTORE_BAD_PATH',
  });
});

it.runIf(canHold)('keeps no folder open that it entered when it refuses', async () => {
  const root = temporaryFolder();
  await mkdir(join(root, 'data/run.D'), { recursive: true });
  const openHere = async () => (await readdir('/proc/self/fd')).length;
  const before = await openHere();
  await expect(opened(root)).rejects.toMatchObject({ code: 'RESTORE_EXISTS' });
  await expect.poll(openHere).toBeLessThanOrEqual(before);
});
