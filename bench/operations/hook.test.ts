import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'aliquot-operations-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Runs a program of this text with its operations counted; gives the counts by thread. */
function countsOf(text: string): Map<string, Record<string, number>> {
  const [program, left] = [join(folder, 'program.mjs'), join(folder, 'left')];
  writeFileSync(program, text);
  const args = ['--no-warnings', '--conditions=aliquot-source'];
  const hook = join(import.meta.dirname, 'hook.ts');
  execFileSync(process.execPath, [...args, '--import', hook, program], {
    env: { ...process.env, OPERATIONS_OUT: left },
  });
  const [name = ''] = readdirSync(folder).filter((found) => found.startsWith('left-'));
  const threads = JSON.parse(readFileSync(join(folder, name), 'utf8')) as readonly {
    readonly name: string;
    readonly counts: Record<string, number>;
  }[];
  return new Map(threads.map((thread) => [thread.name, thread.counts]));
}

test('what the platform does is counted in each thread, in one that is terminated too', () => {
  const counts = countsOf(`
    import { createHash, hash, randomBytes, createCipheriv, createSecretKey } from 'node:crypto';
    import { isMainThread, parentPort, Worker } from 'node:worker_threads';
    if (isMainThread) {
      for (let at = 0; at < 3; at += 1) hash('sha256', 'x');
      createCipheriv('aes-256-gcm', createSecretKey(randomBytes(32)), randomBytes(12));
      const worker = new Worker(new URL(import.meta.url), { name: 'capture', execArgv: [] });
      worker.once('message', () => worker.terminate());
    } else {
      createHash('sha256').update('y').digest();
      createHash('sha512').update('y').digest();
      parentPort.postMessage('done');
      setInterval(() => {}, 1000);
    }`);
  expect(counts.get('main')).toMatchObject({ 'SHA-256': 3, 'AES-GCM': 1, 'key objects': 1 });
  expect(counts.get('main')).toMatchObject({ 'ciphers with raw keys': 0, 'other hashes': 0 });
  expect(counts.get('capture')).toMatchObject({ 'SHA-256': 1, 'other hashes': 1, 'AES-GCM': 0 });
});

test('rows of LevelDB and functions of ours are counted', () => {
  const rooms = join(import.meta.dirname, '../..');
  const counts = countsOf(`
    import { hkdf } from '${join(rooms, 'shared/src/crypto/primitives.ts')}';
    import { nodeDisk } from '${join(rooms, 'shared/src/derived/node-level.ts')}';
    hkdf(new Uint8Array(32), new Uint8Array(32), 'aliquot/v1/test', 32);
    const options = { createIfMissing: true, cacheSize: 1 << 20, writeBufferSize: 1 << 20 };
    const level = await nodeDisk.level.open('${join(folder, 'level')}', options);
    const key = (name) => Buffer.from(name);
    await level.batch([
      { type: 'put', key: key('a'), value: key('1') },
      { type: 'put', key: key('b'), value: key('2') },
      { type: 'del', key: key('c') },
    ], { sync: true });
    await level.getMany([key('a'), key('c')]);
    await level.get(key('b'));
    const iterator = level.iterator({ gte: key('a') });
    await iterator.nextv(10);
    await iterator.close();
    await level.close();`);
  expect(counts.get('main')).toMatchObject({
    HKDF: 1,
    'LevelDB, batches': 1,
    'LevelDB, rows put': 2,
    'LevelDB, rows put: a': 1,
    'LevelDB, rows deleted: c': 1,
    'LevelDB, rows deleted': 1,
    'LevelDB, keys asked for': 3,
    'LevelDB, questions for many': 1,
    'LevelDB, rows read in order': 2,
  });
});
