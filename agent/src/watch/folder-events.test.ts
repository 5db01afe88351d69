import {
  chmodSync,
  lstatSync,
  mkdirSync,
  renameSync,
  rmSync,
  utimesSync,
  watch,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { bytePath, fromText } from '../source/paths.ts';
import { nodeSource } from '../source/source-port.ts';
import type { Subscription } from './event-port.ts';
import { FolderEvents } from './folder-events.ts';
import type { PoolOptions } from './watch-pool.ts';

let root: string;
let told: Set<string>;
let opened: string[];
let lost: string[];
let limited: (string | undefined)[];
let open: Subscription[];

beforeEach(() => {
  root = join(temporaryFolder(), 'data');
  mkdirSync(root);
  told = new Set();
  opened = [];
  lost = [];
  limited = [];
  open = [];
});
afterEach(() => {
  for (const subscription of open) subscription.close();
});

const at = (name: string): string => (name === '.' ? root : join(root, name));
const name = (path: string): string => path.slice(fromText(root, '/').length + 1) || '.';

function follow(options: PoolOptions = {}, events = new FolderEvents(options)): Subscription {
  const subscription = events.subscribe(
    { root: fromText(root, '/'), excluded: (path) => path.endsWith('left-out') },
    {
      paths: (paths) => {
        for (const path of paths) told.add(name(path));
      },
      opened: (folder) => void opened.push(name(folder)),
      lost: (because) => void lost.push(because),
      limited: (because) => void limited.push(because),
      ended: (because) => void lost.push(`ended: ${because}`),
    },
  );
  open.push(subscription);
  return subscription;
}
/** A look comes by a folder, as it is on the disk now. */
const met = (subscription: Subscription, folder: string): boolean =>
  subscription.met(fromText(at(folder), '/'), nodeSource.lstat(Buffer.from(at(folder))));
/** A scan that comes by these folders; those that got their watch only now. */
const scan = (subscription: Subscription, ...folders: string[]): string[] => {
  subscription.scanBegins();
  const fresh = folders.filter((folder) => met(subscription, folder));
  subscription.scanEnded();
  return fresh;
};
const heard = (...names: string[]) =>
  vi.waitFor(() => expect([...told]).toEqual(expect.arrayContaining(names)), { timeout: 240_000 });

describe.runIf(process.platform === 'linux')('one watch for each folder', () => {
  test('files that are written, changed, renamed and removed in folders that a look came by are named', async () => {
    mkdirSync(at('run'));
    writeFileSync(at('old'), '1');
    const subscription = follow();
    expect(scan(subscription, '.', 'run')).toEqual(['.', 'run']);
    expect(scan(subscription, '.', 'run')).toEqual([]);
    writeFileSync(at('run/new'), '1');
    await heard('run/new');
    renameSync(at('run/new'), at('moved'));
    await heard('moved');
    rmSync(at('old'));
    await heard('old');
    utimesSync(at('moved'), 1, 1);
    expect(lost).toEqual([]);
  });

  test('a name that is not UTF-8 comes as it is', async () => {
    const subscription = follow();
    scan(subscription, '.');
    const raw = Buffer.concat([Buffer.from(`${root}/`), Buffer.from([0x66, 0xff, 0xfe])]);
    writeFileSync(raw, '1');
    await heard(name(bytePath(raw)));
  });

  test('a new folder is watched at once, and named so that what is in it already is looked for; a left-out one is not', async () => {
    scan(follow(), '.');
    mkdirSync(at('left-out'));
    mkdirSync(at('run'));
    await vi.waitFor(() => expect(opened).toEqual(['run']), { timeout: 240_000 });
    writeFileSync(at('run/first'), '1');
    await heard('run/first');
    writeFileSync(at('left-out/x'), '1');
    writeFileSync(at('run/last'), '1');
    await heard('run/last');
    expect([...told]).not.toContain('left-out/x');
  });

  test('a folder that was replaced by another of its name is watched anew, whether by removing or by renaming', async () => {
    mkdirSync(at('a'));
    const subscription = follow();
    scan(subscription, '.', 'a');
    rmSync(at('a'), { recursive: true });
    mkdirSync(at('a'));
    await vi.waitFor(() => expect(opened).toContain('a'), { timeout: 240_000 });
    writeFileSync(at('a/1'), '1');
    await heard('a/1');
    renameSync(at('a'), at('b'));
    await heard('b');
    mkdirSync(at('a'));
    await vi.waitFor(() => expect(opened.filter((one) => one === 'a').length).toBeGreaterThan(1), {
      timeout: 240_000,
    });
    writeFileSync(at('a/2'), '1');
    writeFileSync(at('b/3'), '1');
    await heard('a/2', 'b/3');
  });

  test('a look notices by the inode that a folder below a moved one is another', async () => {
    mkdirSync(at('a/deep'), { recursive: true });
    const subscription = follow();
    scan(subscription, '.', 'a', 'a/deep');
    renameSync(at('a'), at('b'));
    mkdirSync(at('a/deep'), { recursive: true });
    await heard('a', 'b');
    met(subscription, 'a');
    expect(met(subscription, 'a/deep')).toBe(true);
    writeFileSync(at('a/deep/f'), '1');
    await heard('a/deep/f');
  });

  test('what a whole scan does not come by is not watched any more', async () => {
    mkdirSync(at('a'));
    const subscription = follow();
    scan(subscription, '.', 'a');
    scan(subscription, '.');
    writeFileSync(at('a/f'), '1');
    writeFileSync(at('g'), '1');
    await heard('g');
    expect([...told]).not.toContain('a/f');
    expect(scan(subscription, '.', 'a')).toEqual(['a']);
  });

  test('a root that is moved away asks for a scan; a mode that changes names the folder', async () => {
    mkdirSync(at('a'));
    const subscription = follow();
    scan(subscription, '.', 'a');
    chmodSync(at('a'), 0o700);
    await heard('a');
    renameSync(root, `${root}-away`);
    await vi.waitFor(() => expect(lost).toEqual(['the folder was moved, removed or replaced']), {
      timeout: 240_000,
    });
    mkdirSync(root);
    expect(scan(subscription, '.')).toEqual(['.']);
  });

  test('more events at once than the kernel keeps ask for a scan', async () => {
    scan(follow(), '.');
    writeFileSync(at('a'), '1');
    // Nothing is read meanwhile: this thread is busy. Each renaming is two events.
    for (let round = 0; round < 5000; round += 1) {
      renameSync(at('a'), at('b'));
      renameSync(at('b'), at('a'));
    }
    await vi.waitFor(() => expect(lost).toContain('more happened at once than the system keeps'), {
      timeout: 240_000,
    });
  });

  test('a folder that cannot be read, or is gone, costs nothing but its own events', () => {
    const subscription = follow({
      watch: ((path: Buffer, ...rest: unknown[]) => {
        if (path.toString().endsWith('closed'))
          throw Object.assign(new Error('EACCES'), { code: 'EACCES', syscall: 'watch' });
        return (watch as (...all: unknown[]) => unknown)(path, ...rest);
      }) as typeof watch,
    });
    mkdirSync(at('closed'));
    mkdirSync(at('gone'));
    const stat = nodeSource.lstat(Buffer.from(at('gone')));
    rmSync(at('gone'), { recursive: true });
    subscription.scanBegins();
    expect(subscription.met(fromText(at('gone'), '/'), stat)).toBe(false);
    expect([met(subscription, '.'), met(subscription, 'closed')]).toEqual([true, false]);
    subscription.scanEnded();
    expect(limited).toEqual([]);
  });

  test.each([
    ['ENOSPC', 'the system gives no more watches; raise fs.inotify.max_user_watches'],
    [
      'EMFILE',
      'too many programs of this account watch files; raise fs.inotify.max_user_instances',
    ],
    ['ENOMEM', 'the system has no memory for more watches'],
  ])(
    '%s is said once with its remedy, the other folders go on, and a raised limit is noticed',
    async (code, because) => {
      let left = 3;
      const subscription = follow({
        watch: ((...all: unknown[]) => {
          left -= 1;
          if (left < 0) throw Object.assign(new Error(code), { code, syscall: 'watch' });
          return (watch as (...all: unknown[]) => unknown)(...all);
        }) as typeof watch,
      });
      for (const folder of ['a', 'b', 'c', 'd']) mkdirSync(at(folder));
      // The oldest goes without.
      for (const [age, folder] of ['d', 'c', 'b', 'a'].entries())
        utimesSync(at(folder), 1000 + age, 1000 + age);
      expect(scan(subscription, '.', 'a', 'b', 'c', 'd')).toEqual(['.', 'a', 'b']);
      scan(subscription, '.', 'a', 'b', 'c', 'd');
      expect(limited).toEqual([because]);
      writeFileSync(at('b/f'), '1');
      await heard('b/f');
      left = 100;
      scan(subscription, '.', 'a', 'b', 'c', 'd');
      expect(limited).toEqual([because, undefined]);
      writeFileSync(at('d/f'), '1');
      await heard('d/f');
    },
  );

  test('of more folders than may be watched those that changed last are; a scan without news opens none', async () => {
    const folders = Array.from({ length: 100 }, (_, index) => `f${String(index).padStart(3, '0')}`);
    for (const [index, folder] of folders.entries()) {
      mkdirSync(at(folder));
      utimesSync(at(folder), 1000 + index, 1000 + index);
    }
    const events = new FolderEvents({ mostFolders: 20 });
    const subscription = follow({}, events);
    scan(subscription, '.', ...folders);
    expect(limited).toEqual(['only the 20 folders that changed last are watched']);
    expect(scan(subscription, '.', ...folders)).toEqual([]);
    writeFileSync(at('f099/f'), '1');
    writeFileSync(at('f090/f'), '1');
    writeFileSync(at('f000/f'), '1');
    await heard('f099/f', 'f090/f');
    expect([...told]).not.toContain('f000/f');
    // What changed meanwhile changed last, as the next scan finds.
    expect(lstatSync(at('f000')).mtimeMs).toBeGreaterThan(1_000_000_000);
    expect(scan(subscription, '.', ...folders)).toEqual(['f000']);
    // Gone folders make room for any.
    scan(subscription, '.', 'f050', 'f051');
    expect(scan(subscription, '.', 'f050', 'f051')).toEqual(['f050', 'f051']);
    expect(scan(subscription, '.', 'f050', 'f051')).toEqual([]);
    expect(limited.at(-1)).toBeUndefined();
  });

  test('after it was closed nothing is told', async () => {
    const subscription = follow();
    scan(subscription, '.');
    writeFileSync(at('f'), '1');
    subscription.close();
    expect(met(subscription, '.')).toBe(false);
    const other = follow();
    scan(other, '.');
    writeFileSync(at('g'), '1');
    await heard('g');
    expect([...told]).not.toContain('f');
  });
});
