import {
  chmodSync,
  chownSync,
  lchownSync,
  mkdirSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmdirSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../testing/temp.ts';
import { nodeFiles } from './file-port.ts';
import { heldFiles } from './held-files.ts';
import {
  HeldFolders,
  type HoldingOptions,
  type HoldingRule,
  holderOf,
  realPath,
} from './held-folders.ts';
import { canHold } from './held-name.ts';

const never: HoldingRule = { links: 'never' };
const trusted: HoldingRule = { links: 'trusted' };

const holding = (rule: HoldingRule, options: HoldingOptions = {}) =>
  new HeldFolders(holderOf(nodeFiles), rule, options);

const openHere = (): number => readdirSync('/proc/self/fd').length;
const SOMEBODY = 65_534;
const isRoot = process.getuid?.() === 0;

describe.runIf(canHold)('holding folders', () => {
  it('keeps few of them open, however many are asked for, and none afterwards', async () => {
    const root = realpathSync(temporaryFolder());
    const folders = holding(never);
    const before = openHere();
    const port = heldFiles(nodeFiles, folders);
    for (let at = 0; at < 300; at += 1) {
      mkdirSync(join(root, `${at}`));
      await port.mkdir(join(root, `${at}`, 'below'));
    }
    expect(openHere() - before).toBeLessThan(70);
    const held = await folders.hold(Buffer.from(join(root, '7')));
    folders.rest();
    expect(readdirSync(held.self)).toEqual(['below']);
    held.release();
    await expect.poll(openHere).toBe(before);
  });

  it('closes what it opened when it does not get there', async () => {
    const root = realpathSync(temporaryFolder());
    symlinkSync('/', join(root, 'link'));
    const folders = holding(never);
    const before = openHere();
    for (const name of ['link', 'link/etc', 'none', 'none/below'])
      await expect((async () => folders.hold(Buffer.from(join(root, name))))()).rejects.toThrow();
    folders.rest();
    await expect.poll(openHere).toBe(before);
  });

  it('goes to paths that are longer than the system takes at once', async () => {
    const root = realpathSync(temporaryFolder());
    const folders = holding(never);
    const port = heldFiles(nodeFiles, folders);
    let path = Buffer.from(root);
    for (let at = 0; at < 150; at += 1) {
      path = Buffer.concat([path, Buffer.from(`/${'n'.repeat(200)}`)]);
      await port.mkdir(path);
    }
    expect(path.length).toBeGreaterThan(30_000);
    const file = await port.open(Buffer.concat([path, Buffer.from('/x')]), 'createNew');
    await file.close();
    const names: string[] = [];
    for await (const { name } of port.list(path)) names.push(name.toString());
    expect(names).toEqual(['x']);
    // What takes the temporary folder away cannot.
    await port.unlink(Buffer.concat([path, Buffer.from('/x')]));
    for (; path.length > root.length; path = path.subarray(0, path.length - 201))
      await port.rmdir(path);
    folders.rest();
  });

  it('changes the mode and the time of a link itself, and of nothing behind it', async () => {
    const root = realpathSync(temporaryFolder());
    mkdirSync(join(root, 'there'), { mode: 0o700 });
    symlinkSync('there', join(root, 'link'));
    const folders = holding(never);
    const port = heldFiles(nodeFiles, folders);
    const before = await nodeFiles.lstat(join(root, 'there'));
    await port.setLinkTimes(join(root, 'link'), 5_000_000_000n, 5_000_000_000n);
    expect((await nodeFiles.lstat(join(root, 'link'))).mtimeNs).toBe(5_000_000_000n);
    await expect(port.chmod(join(root, 'link'), 0o777)).rejects.toThrow();
    expect(await nodeFiles.lstat(join(root, 'there'))).toEqual(before);
    folders.rest();
  });

  it('stays in a folder whose name leads elsewhere by now, also when it is gone', async () => {
    const root = realpathSync(temporaryFolder());
    mkdirSync(join(root, 'a'));
    mkdirSync(join(root, 'other'));
    const folders = holding(never);
    const held = await folders.hold(Buffer.from(join(root, 'a')));
    renameSync(join(root, 'a'), join(root, 'moved'));
    symlinkSync('other', join(root, 'a'));
    mkdirSync(held.at(Buffer.from('new')));
    expect(readdirSync(join(root, 'moved'))).toEqual(['new']);
    rmdirSync(join(root, 'moved/new'));
    rmdirSync(join(root, 'moved'));
    expect(() => mkdirSync(held.at(Buffer.from('new')))).toThrow('ENOENT');
    expect(readdirSync(join(root, 'other'))).toEqual([]);
    held.release();
    folders.rest();
  });
});

describe.runIf(isRoot).each([true, false])('links on the way, held: %s', (holds) => {
  const options = { canHold: holds && canHold };
  const realOf = async (path: string): Promise<string> => {
    const folders = holding(trusted, options);
    try {
      const folder = await folders.hold(Buffer.from(path));
      folder.release();
      return folder.real.toString();
    } finally {
      folders.rest();
    }
  };

  it('are followed where only root can have put them', async () => {
    const root = realpathSync(temporaryFolder());
    mkdirSync(join(root, 'a/b/c'), { recursive: true });
    symlinkSync('../a/./b', join(root, 'a/up'));
    symlinkSync('a/up', join(root, 'twice'));
    symlinkSync(join(root, 'twice'), join(root, 'absolute'));
    for (const name of ['a/up', 'twice', 'absolute'])
      expect(await realOf(join(root, name, 'c'))).toBe(join(root, 'a/b/c'));
    symlinkSync('circle', join(root, 'circle'));
    await expect(realOf(join(root, 'circle/x'))).rejects.toMatchObject({ code: 'ELOOP' });
  });

  it('are followed forty times at most for one path, as by the system', async () => {
    const root = realpathSync(temporaryFolder());
    mkdirSync(join(root, 'a'));
    for (let at = 0; at < 41; at += 1) symlinkSync('a', join(root, `l${at}`));
    const over = (count: number) =>
      `${Array.from({ length: count }, (_, at) => `l${at}/..`).join('/')}/a`;
    symlinkSync(over(39), join(root, 'forty'));
    symlinkSync(over(40), join(root, 'more'));
    expect(await realOf(join(root, 'forty'))).toBe(join(root, 'a'));
    for (const find of [realOf, (path: string) => realPath(nodeFiles, Buffer.from(path))])
      await expect(find(join(root, 'more'))).rejects.toMatchObject({ code: 'ELOOP' });
    expect(() => statSync(join(root, 'more'))).toThrow('ELOOP');
  });

  it('are followed to what is its maker’s own, and to nothing else', async () => {
    const root = realpathSync(temporaryFolder());
    for (const name of ['home', 'home/his', 'his', 'private']) mkdirSync(join(root, name));
    for (const name of ['home', 'home/his', 'his']) chownSync(join(root, name), SOMEBODY, SOMEBODY);
    const link = (name: string, target: string, owner: number) => {
      symlinkSync(target, join(root, name));
      lchownSync(join(root, name), owner, owner);
    };
    link('home/own', 'his', SOMEBODY);
    link('home/other', '../his', SOMEBODY);
    link('home/bad', '../private', SOMEBODY);
    // He may give another name to what root made in his folder.
    link('home/of-root', '../private', 0);
    expect(await realOf(join(root, 'home/own'))).toBe(join(root, 'home/his'));
    expect(await realOf(join(root, 'home/other'))).toBe(join(root, 'his'));
    for (const name of ['bad', 'of-root'])
      await expect(realOf(join(root, 'home', name))).rejects.toMatchObject({
        code: 'EFOREIGNLINK',
      });
  });

  it('are not followed in a folder that all may write to, but for one where each keeps his own', async () => {
    const root = realpathSync(temporaryFolder());
    mkdirSync(join(root, 'there'));
    mkdirSync(join(root, 'open'));
    symlinkSync('../there', join(root, 'open/link'));
    for (const [mode, followed] of [
      [0o777, false],
      [0o775, true],
      [0o1777, true],
    ] as const) {
      chmodSync(join(root, 'open'), mode);
      const real = realOf(join(root, 'open/link'));
      if (followed) expect(await real).toBe(join(root, 'there'));
      else await expect(real).rejects.toMatchObject({ code: 'EFOREIGNLINK' });
    }
    chownSync(join(root, 'open'), 0, SOMEBODY);
    chmodSync(join(root, 'open'), 0o775);
    await expect(realOf(join(root, 'open/link'))).rejects.toMatchObject({ code: 'EFOREIGNLINK' });
  });
});
