import {
  chmodSync,
  chownSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { canHold } from '@aliquot/shared/durable/held-name';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { describe, expect, it } from 'vitest';
import { heldSource } from './held-source.ts';
import { compileRules } from './rules.ts';
import { nodeSource, type SourcePort } from './source-port.ts';
import { type Found, walk } from './walk.ts';

const noRules = compileRules({ exclude: [], folderResults: [], leaveOut: [] });
const bytes = (path: string) => Buffer.from(path);

/** A folder of somebody's with one in it, and one beside it that holds what he may not see. */
function world() {
  const top = realpathSync(temporaryFolder());
  const [home, outside] = [join(top, 'home'), join(top, 'outside')];
  mkdirSync(join(home, 'x/deep'), { recursive: true });
  writeFileSync(join(home, 'x/own.txt'), 'own');
  mkdirSync(join(outside, 'deep'), { recursive: true });
  writeFileSync(join(outside, 'id_rsa'), 'a private key');
  writeFileSync(join(outside, 'own.txt'), 'a private key');
  symlinkSync('a secret', join(outside, 'link'));
  const swap = (): void => {
    renameSync(join(home, 'x'), join(home, 'moved'));
    symlinkSync(outside, join(home, 'x'));
  };
  return { home, outside, swap };
}

/** Swaps the folder behind its listing, or its look. */
function swapping(swap: () => void, after: 'lstat' | 'readdir'): SourcePort {
  let isDone = false;
  const once = (): void => {
    if (!isDone) swap();
    isDone = true;
  };
  return {
    ...nodeSource,
    lstat(path) {
      const stat = nodeSource.lstat(path);
      if (after === 'lstat' && stat.kind === 'directory' && path.toString().endsWith('/x')) once();
      return stat;
    },
    *readdir(path) {
      const names = [...nodeSource.readdir(path)];
      if (after === 'readdir' && names.includes('own.txt')) once();
      yield* names;
    },
  };
}

const pathsOf = (found: readonly Found[]) => found.map(({ type, path }) => `${type} ${path}`);

describe.runIf(canHold)('a folder that is swapped for a link while it is walked', () => {
  it('P3: is not listed through the link', () => {
    const { home, swap } = world();
    const source = heldSource(swapping(swap, 'lstat'), []);
    const found = [...walk(source, home, noRules)];
    expect(pathsOf(found).join()).not.toContain('id_rsa');
    source.rest?.();
  });

  it('P3: gives the folders and links that were listed, from where they were listed', () => {
    const { home, outside, swap } = world();
    const source = heldSource(swapping(swap, 'readdir'), []);
    const found = [...walk(source, home, noRules)];
    const outer = nodeSource.lstat(bytes(join(outside, 'deep')));
    for (const one of found)
      if (one.type === 'item') expect([one.path, one.stat.ino]).not.toEqual([one.path, outer.ino]);
    source.rest?.();
  });

  it('P3: gives no file to read but its own', () => {
    const { home, swap } = world();
    chmodSync(home, 0o777);
    const source = heldSource(nodeSource, []);
    const own = bytes(join(home, 'x/own.txt'));
    const first = source.open(own);
    source.close(first);
    swap();
    // Held, it is still the one that it was.
    const descriptor = source.open(own);
    const text = Buffer.alloc(100);
    expect(text.toString('utf8', 0, source.read(descriptor, text, 0, 100))).toBe('own');
    source.close(descriptor);
    source.rest?.();
    expect(() => source.open(own)).toThrow('EFOREIGNLINK');
    expect(() => source.readlink(bytes(join(home, 'x/link')))).toThrow('EFOREIGNLINK');
    expect(readFileSync(join(home, 'moved/own.txt'), 'utf8')).toBe('own');
  });
});

describe.runIf(process.platform !== 'win32')('on a system that cannot hold folders', () => {
  it('P3: what was swapped between two looks is not read', () => {
    const { home, swap } = world();
    const source = heldSource(nodeSource, [], { canHold: false });
    const own = bytes(join(home, 'x/own.txt'));
    source.close(source.open(own));
    swap();
    expect(() => source.open(own)).toThrow('EFOLDERLINK');
    source.rest?.();
  });
});

describe.runIf(process.platform !== 'win32')('the agent’s own folders', () => {
  it('are known by device and inode, whatever they are called meanwhile', () => {
    const { home } = world();
    const { dev, ino } = nodeSource.lstat(bytes(join(home, 'x')));
    const source = heldSource(nodeSource, [{ dev, ino }]);
    renameSync(join(home, 'x'), join(home, 'else'));
    expect(pathsOf([...walk(source, home, noRules)])).toEqual([`item ${home}`]);
    expect([...walk(source, join(home, 'else'), noRules)]).toMatchObject([
      { type: 'problem', problem: { code: 'special' } },
    ]);
    expect(() => source.open(bytes(join(home, 'else/own.txt')))).toThrow('EOWNFOLDER');
    expect(() => source.lstat(bytes(join(home, 'else/deep')))).toThrow('EOWNFOLDER');
    source.rest?.();
  });
});

describe.runIf(canHold && process.geteuid?.() === 0)('a source behind a link', () => {
  it('of another user is named, not read, unless it leads to what is his', () => {
    const { home, outside } = world();
    chownSync(home, 65_534, 65_534);
    symlinkSync(outside, join(home, 'lead'));
    const source = heldSource(nodeSource, []);
    const [found] = [...walk(source, join(home, 'lead/deep'), noRules)];
    expect(found).toMatchObject({ type: 'problem' });
    expect(() => source.open(bytes(join(home, 'lead/id_rsa')))).toThrow('EFOREIGNLINK');
    source.rest?.();
  });
});
