import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { nodeDisk } from '../src/derived/node-level.ts';
import { AppendFile } from '../src/durable/append-file.ts';
import {
  ensureDirectory,
  readFileIfThere,
  removeDurably,
  writeFileDurably,
  writeFully,
} from '../src/durable/durable.ts';
import { type FilePort, parentOf } from '../src/durable/file-port.ts';
import { type CrashScenario, enumerate, type LifeStep } from './enumerate.ts';
import { NO_FOLDER_FLUSH, posixOnly } from './platform.ts';
import { seededSource } from './random.ts';
import { nothingSurvives, SimulatedDisk } from './simulated-disk.ts';
import { temporaryFolder } from './temp.ts';

const levelPort = { createIfMissing: true, cacheSize: 0, writeBufferSize: 1 << 20 };

/** Writes some names, one after the other, and believes each once `put` has returned. */
function namesLife(
  put: (files: FilePort, path: string, bytes: Uint8Array) => Promise<void>,
): CrashScenario {
  return {
    name: 'names',
    about: 'names that were put are there',
    proves: ['P1'],
    begin: async (root) => {
      const told = new Map<string, string>();
      const step = (name: string, text: string): LifeStep<FilePort> => ({
        name,
        run: async (files) => {
          await put(files, join(root, name), Buffer.from(text));
          told.set(name, text);
        },
      });
      return {
        open: async (files) => files,
        steps: [step('a', 'one'), step('b', 'two'), step('a', 'three')],
        close: async () => undefined,
        judge: async (files) => {
          for (const [name, text] of told) {
            const found = (await readFileIfThere(files, join(root, name), 100))?.toString();
            // A put that was cut short may have been done.
            if (found !== text && !(name === 'a' && found === 'three'))
              throw new Error(`${name} is ${found}, not ${text}`);
          }
        },
      };
    },
  };
}

describe.runIf(posixOnly(NO_FOLDER_FLUSH))('the enumeration of faults', () => {
  it('D1 passes what writes durably', async () => {
    const counts = await enumerate(namesLife(writeFileDurably), { seed: 1 });
    expect(counts.failed).toEqual([]);
    expect(counts.operations).toBe(15);
    expect(counts.injected).toBeGreaterThan(100);
    expect(counts).toMatchObject({ passed: counts.injected, whole: true });
  });

  const write = async (
    files: FilePort,
    path: string,
    bytes: Uint8Array,
    does: { content: boolean; folder: boolean; rename: boolean },
  ) => {
    const temporary = does.rename ? `${path}.new` : path;
    const file = await files.open(temporary, 'updateOrCreate');
    try {
      await file.truncate(0);
      await writeFully(file, bytes, 0);
      if (does.content) await file.sync();
    } finally {
      await file.close();
    }
    if (does.rename) await files.rename(temporary, path);
    if (does.folder) await files.syncDirectory(parentOf(path));
  };
  const sound = { content: true, folder: true, rename: true };
  const lifeOf = (does: typeof sound) =>
    namesLife((files, path, bytes) => write(files, path, bytes, does));

  it('finds a forgotten flush of the content, of the folder, and a file written in place', async () => {
    const failuresOf = async (does: typeof sound) =>
      (await enumerate(lifeOf(does), { seed: 1 })).failed.length;
    expect(await failuresOf(sound)).toBe(0);
    expect(await failuresOf({ ...sound, content: false })).toBeGreaterThan(0);
    expect(await failuresOf({ ...sound, folder: false })).toBeGreaterThan(0);
    expect(await failuresOf({ ...sound, rename: false })).toBeGreaterThan(0);
  });

  it('runs one case again by its number, and stops when time is up', async () => {
    const bad = lifeOf({ ...sound, rename: false });
    const [first] = (await enumerate(bad, { seed: 1 })).failed;
    const number = Number(/^case (\d+): /.exec(first ?? '')?.[1]);
    expect(number).toBeGreaterThan(0);
    expect(await enumerate(bad, { seed: 1, mine: (one) => one === number })).toMatchObject({
      injected: 1,
      failed: [first],
    });
    expect(await enumerate(bad, { seed: 1, over: () => true })).toMatchObject({
      injected: 0,
      whole: false,
    });
  });
});

describe.runIf(posixOnly(NO_FOLDER_FLUSH))('a simulated disk', () => {
  it('keeps after a power failure what was flushed, and of the rest what it is told', async () => {
    const root = temporaryFolder();
    const disk = new SimulatedDisk(root, nodeDisk);
    const { files } = disk.process();
    await ensureDirectory(files, join(root, 'kept'));
    const file = await AppendFile.open(files, join(root, 'kept', 'log'));
    await file.append(Buffer.from('flushed'));
    await file.sync();
    await file.append(Buffer.from(' and not'));
    await writeFileDurably(files, join(root, 'gone'), Buffer.from('x'));
    await removeDurably(files, join(root, 'gone'));
    await files.mkdir(join(root, 'unflushed'));
    await disk.powerFails({ content: { first: 4 }, names: 'none', level: 'none' });
    expect(readdirSync(root)).toEqual(['kept']);
    expect(readFileSync(join(root, 'kept', 'log'), 'utf8')).toBe('flushed and');
  });

  it('gives back nothing of what a failed flush left in the cache, although a later flush succeeds', async () => {
    const root = temporaryFolder();
    const disk = new SimulatedDisk(root, nodeDisk);
    const { files } = disk.process((step) =>
      step.index === 3 ? { dropped: { visible: true } } : undefined,
    );
    const file = await files.open(join(root, 'a'), 'createNew');
    await files.syncDirectory(root);
    await file.write(Buffer.from('lost'), 0);
    await expect(file.sync()).rejects.toMatchObject({ code: 'EIO' });
    await file.write(Buffer.from('kept'), 4);
    await file.sync();
    expect(readFileSync(join(root, 'a'), 'utf8')).toBe('lostkept');
    await disk.powerFails(nothingSurvives);
    expect(readFileSync(join(root, 'a'), 'latin1')).toBe('\0\0\0\0kept');
  });

  it('gives back of a LevelDB folder the last flushed moment, or damages it', async () => {
    const root = temporaryFolder();
    const disk = new SimulatedDisk(root, nodeDisk);
    const path = join(root, 'db');
    const valueAfter = async (level: Parameters<SimulatedDisk['powerFails']>[0]['level']) => {
      const process = disk.process();
      await ensureDirectory(process.files, path);
      const db = await process.files.level.open(path, levelPort);
      const put = (value: string, sync: boolean) =>
        db.batch([{ type: 'put', key: Buffer.from('a'), value: Buffer.from(value) }], { sync });
      await put('flushed', true);
      await put('not flushed', false);
      await process.end();
      await disk.powerFails({ content: 'all', names: 'all', level });
      const next = disk.process();
      try {
        const level = await next.files.level.open(path, levelPort);
        return (await level.get(Buffer.from('a')))?.toString();
      } finally {
        await next.end();
      }
    };
    expect(await valueAfter('all')).toBe('not flushed');
    expect(await valueAfter('none')).toBe('flushed');
    expect(await valueAfter('torn')).toBe('flushed');
    expect(await valueAfter('missing')).toBeUndefined();
    await expect(valueAfter({ corrupted: seededSource(1) })).rejects.toThrow();
  });
});
