import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  mkdirSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import { NO_BIRTH, notUnderWine } from '@aliquot/shared/testing/platform';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Bench, openBench, portWith, systemError } from '../../testing/capture/bench.ts';
import { bytePath } from '../source/paths.ts';
import { PlaceBook } from '../source/places.ts';
import { nodeSource } from '../source/source-port.ts';
import { lookAt } from './host.ts';

let bench: Bench;
let mounted: string[];
beforeEach(async () => {
  bench = await openBench();
  mounted = [];
});
afterEach(async () => {
  for (const point of mounted.reverse()) execFileSync('umount', ['-l', point]);
  await bench.close();
});

const at = (name: string) => join(bench.data, name);
const write = (name: string, content = name) => writeFileSync(at(name), content);
const told = async (at?: string) =>
  (await bench.backup(at)).told.filter((line) => !line.startsWith('changed '));
const known = async () => {
  const names: string[] = [];
  for await (const { path, kind } of bench.queue.ledger.knownUnder(Buffer.from(bench.data)))
    if (kind !== 'directory') names.push(bytePath(path).slice(bench.root.length + 1));
  return names;
};
/** As another process would find it: nothing is remembered but what was written. */
const restart = async () => {
  bench.places = await PlaceBook.open(nodeFiles, bench.own);
};

/** Gone facts for what a person says is gone. */
const accept = (name = '.') =>
  bench.backup(name === '.' ? undefined : name, undefined, { acceptGone: true });

describe('I-A13 P6: a folder that is the same as before', () => {
  test('has lost what went while something else is still there', async () => {
    write('a');
    write('b');
    await bench.backup();
    rmSync(at('a'));
    expect(await told()).toEqual(['gone a']);
  });

  test.runIf(notUnderWine(NO_BIRTH))(
    'has lost nothing when all went at once, however often one looks, until a person says so',
    async () => {
      for (const name of ['a', 'b', 'c']) write(name);
      await bench.backup();
      for (const name of ['a', 'b', 'c']) rmSync(at(name));
      for (let again = 0; again < 3; again += 1) expect(await told()).toEqual(['all-gone .']);
      expect(await known()).toEqual(['a', 'b', 'c']);
      expect((await accept()).told).toEqual(expect.arrayContaining(['gone a', 'gone b', 'gone c']));
      expect(await told()).toEqual([]);
      expect(bench.problems.size).toBe(0);
    },
  );

  test.runIf(notUnderWine(NO_BIRTH))('does not vouch by what came after all went', async () => {
    write('a');
    await bench.backup();
    rmSync(at('a'));
    write('ransom-note');
    expect(await told()).toEqual(['all-gone .', 'new ransom-note']);
    expect(await told()).toEqual(['all-gone .']);
    await restart();
    expect(await told()).toEqual(['all-gone .']);
    expect((await accept()).told).toContain('gone a');
    expect(await known()).toEqual(['ransom-note']);
  });

  test.runIf(notUnderWine(NO_BIRTH))(
    'is in order again when what was there came back',
    async () => {
      write('a');
      write('b');
      await bench.backup();
      mkdirSync(join(bench.own, 'aside'));
      for (const name of ['a', 'b']) renameSync(at(name), join(bench.own, 'aside', name));
      expect(await told()).toEqual(['all-gone .']);
      renameSync(join(bench.own, 'aside', 'b'), at('b'));
      // One is back, so the place is; the other is gone.
      expect(await told()).not.toContain('new b');
      expect(await told()).not.toContain('all-gone .');
      expect(await known()).toEqual(['b']);
      expect(bench.problems.size).toBe(0);
    },
  );

  test('is in order when its only file was written anew under the same name', async () => {
    write('a');
    await bench.backup();
    rmSync(at('a'));
    write('a', 'another');
    expect(await told()).toEqual([]);
    expect(bench.problems.size).toBe(0);
  });

  test.runIf(notUnderWine(NO_BIRTH))('is judged the same by a look at one path in it', async () => {
    mkdirSync(at('d'));
    write('d/a');
    await bench.backup();
    rmSync(at('d'), { recursive: true });
    expect(await told('d')).toEqual(['all-gone .']);
    write('other');
    expect(await told()).toContain('all-gone .');
  });

  test.runIf(notUnderWine(NO_BIRTH))('loses empty folders without an alarm', async () => {
    mkdirSync(at('d'));
    await bench.backup();
    rmSync(at('d'), { recursive: true });
    expect(await told()).toEqual(['gone d']);
  });
});

describe('I-A13 P6: a path given to backup', () => {
  test('is a place of its own: all of it gone at once is an alarm', async () => {
    mkdirSync(at('d'));
    write('d/a');
    write('other');
    await bench.backup();
    rmSync(at('d/a'));
    expect((await bench.backup('d', undefined, { named: true })).told).toContain('all-gone d');
    expect((await accept('d')).told).toContain('gone d/a');
  });

  test('that is not there any more is gone only by a person’s word', async () => {
    mkdirSync(at('d'));
    write('d/a');
    await bench.backup();
    rmSync(at('d'), { recursive: true });
    expect((await accept('d')).told).toEqual(['gone d', 'gone d/a']);
  });
});

describe('I-A13 P6: a root that is another folder than before', () => {
  const replace = () => {
    renameSync(bench.data, `${bench.data}.away`);
    mkdirSync(bench.data);
  };
  const putBack = () => {
    rmSync(bench.data, { recursive: true });
    renameSync(`${bench.data}.away`, bench.data);
  };

  for (const [what, fill] of [
    ['empty', () => undefined],
    ['with other things', () => write('x')],
    ['with a namesake', () => write('a', 'quite another')],
  ] as const) {
    test(`${what}: nothing is gone, not after a restart either, and all is well when it is put back`, async () => {
      write('a');
      write('b');
      await bench.backup();
      await bench.backup();
      replace();
      fill();
      expect(await told()).toContain('replaced .');
      expect(await told()).toContain('replaced .');
      await restart();
      expect(await told()).toContain('replaced .');
      expect(await known()).toEqual(expect.arrayContaining(['a', 'b']));
      putBack();
      await told();
      expect(await told()).toEqual([]);
      expect(await known()).toEqual(['a', 'b']);
      expect(bench.problems.size).toBe(0);
    });
  }

  test('but holds a file that was not touched: it was moved, and what is missing is gone', async () => {
    write('a');
    write('b');
    await bench.backup();
    replace();
    renameSync(`${bench.data}.away/a`, at('a'));
    // A move may set the change stamp; then only a person can tell.
    const first = await told();
    expect(first.some((line) => line === 'gone b' || line === 'replaced .')).toBe(true);
  });

  test('a whole copy is taken for the same, for nothing is missing', async () => {
    write('a');
    await bench.backup();
    const { atime, mtime } = statSync(at('a'));
    replace();
    write('a');
    utimesSync(at('a'), atime, mtime);
    await told();
    expect(bench.problems.size).toBe(0);
    write('b');
    await told();
    rmSync(at('b'));
    expect(await told()).toEqual(['gone b']);
  });

  test('is one that cannot be listed: unknown, and what is known stays', async () => {
    write('a');
    await bench.backup();
    const readdir = (path: Buffer) => {
      if (path.equals(Buffer.from(bench.data))) throw systemError('EACCES');
      return nodeSource.readdir(path);
    };
    bench.through(portWith({ readdir }));
    expect(await told()).toEqual(['unlistable .']);
    bench.through(nodeSource);
    expect(await told()).toEqual([]);
  });

  test('and cannot be listed at first: it is not taken for the one that it was', async () => {
    write('a');
    await bench.backup();
    replace();
    const readdir = (path: Buffer) => {
      if (path.equals(Buffer.from(bench.data))) throw systemError('EACCES');
      return nodeSource.readdir(path);
    };
    bench.through(portWith({ readdir }));
    expect(await told()).toEqual(['unlistable .']);
    bench.through(nodeSource);
    expect(await told()).toEqual(['replaced .']);
  });
});

test('I-A13 P6: a drive that goes while the walk is under way loses nothing', async () => {
  for (const name of ['a', 'b', 'c']) write(name);
  await bench.backup();
  let listed = false;
  const readdir = (path: Buffer) => {
    // The last moment at which nobody has seen it: the place was judged, the names come now.
    if (!listed) {
      listed = true;
      renameSync(bench.data, `${bench.data}.away`);
      mkdirSync(bench.data);
    }
    return nodeSource.readdir(path);
  };
  bench.through(portWith({ readdir }));
  expect(await told()).toEqual(['replaced .']);
  expect(await known()).toEqual(['a', 'b', 'c']);
});

test('I-A13 P6: a file system without numbers and times of its own is known by what is in it', async () => {
  write('a');
  write('b');
  await bench.backup();
  // After it was mounted again every folder has another number, as on FAT or some shares.
  let shift = 1_000_000n;
  const lstat = (path: Buffer) => {
    const stat = nodeSource.lstat(path);
    return stat.kind === 'directory' ? { ...stat, ino: stat.ino + shift } : stat;
  };
  bench.through(portWith({ lstat, bornNs: () => 0n }));
  rmSync(at('a'));
  expect(await told()).toEqual(['gone a']);
  shift = 2_000_000n;
  write('b', 'another state');
  // Nothing that was not touched is left: nobody can tell, and what is there is captured.
  rmSync(at('b'));
  write('c');
  expect(await told()).toEqual(['new c', 'replaced .']);
});

test('I-A13 P6: what waits for its first look at a drive is not taken for what was there', async () => {
  write('a');
  await bench.backup();
  renameSync(bench.data, `${bench.data}.away`);
  mkdirSync(bench.data);
  write('new');
  // An event brings a look at the new file before any whole scan.
  expect(await told('new')).toEqual(['new new']);
  expect(await told()).toEqual(['replaced .']);
  expect(await known()).toEqual(['a', 'new']);
});

const canMount = (() => {
  if (process.platform !== 'linux' || process.geteuid?.() !== 0) return false;
  try {
    execFileSync('unshare', ['-m', 'true']);
    return true;
  } catch {
    return false;
  }
})();

const mountNote = canMount ? '' : ' (skipped: only root may mount here)';

describe.runIf(canMount)(`I-A13 P6: where something is mounted below a source${mountNote}`, () => {
  const mount = (name: string, ...how: string[]) => {
    execFileSync('mount', [...(how.length > 0 ? how : ['-t', 'tmpfs', 'none']), at(name)]);
    mounted.push(at(name));
  };
  const unmount = (name: string) => {
    execFileSync('umount', ['-l', at(name)]);
    mounted.splice(mounted.lastIndexOf(at(name)), 1);
  };
  const share = async (name = 'share') => {
    mkdirSync(at(name), { recursive: true });
    write('mine');
    mount(name);
    write(`${name}/a`);
    write(`${name}/b`);
    await bench.backup();
  };

  test('and goes away: nothing is gone, after a restart neither, and the problem names what was mounted', async () => {
    await share();
    unmount('share');
    expect(await told()).toEqual(['mount-missing share']);
    await restart();
    expect(await told()).toEqual(['mount-missing share']);
    expect(await told('share/a')).toEqual(['mount-missing share']);
    expect(await known()).toEqual(['mine', 'share/a', 'share/b']);
    for await (const { message } of bench.queue.ledger.problems())
      expect(message).toContain('tmpfs none');
  });

  test('and its folder goes too', async () => {
    await share();
    unmount('share');
    rmSync(at('share'), { recursive: true });
    expect(await told()).toEqual(['mount-missing share']);
    expect(await known()).toEqual(['mine', 'share/a', 'share/b']);
  });

  test('and a person says that it is gone', async () => {
    await share();
    unmount('share');
    await told();
    expect((await accept('share')).told).toEqual(
      expect.arrayContaining(['gone share/a', 'gone share/b']),
    );
    expect(await told()).toEqual([]);
    expect(bench.problems.size).toBe(0);
    // From here on it is a folder like any other.
    write('share/c');
    await told();
    rmSync(at('share/c'));
    expect(await told()).toEqual(['gone share/c']);
  });

  test('and another share takes its place, by the same number, with a namesake', async () => {
    await share();
    unmount('share');
    mount('share');
    write('share/a', 'of another share');
    expect(await told()).toEqual(['replaced share']);
    expect(await told()).toEqual(['replaced share']);
    expect(await known()).toEqual(['mine', 'share/a', 'share/b']);
  });

  test('and what is written into the empty mount point meanwhile is captured, and vouches for nothing', async () => {
    await share();
    unmount('share');
    write('share/local');
    expect(await told()).toEqual(['mount-missing share', 'new share/local']);
    expect(await told()).toEqual(['mount-missing share']);
    expect(await known()).toEqual(['mine', 'share/a', 'share/b', 'share/local']);
  });

  test('and a disk that came back under another number is known by its files', async () => {
    const image = join(bench.own, 'disk');
    execFileSync('truncate', ['-s', '4M', image]);
    try {
      execFileSync('mkfs.ext4', ['-q', image], { stdio: 'ignore' });
    } catch {
      return;
    }
    mkdirSync(at('share'));
    write('mine');
    try {
      mount('share', '-o', 'loop', image);
    } catch {
      return;
    }
    write('share/a');
    write('share/b');
    await bench.backup();
    unmount('share');
    expect(await told()).toEqual(['mount-missing share']);
    mount('share', '-o', 'loop', image);
    rmSync(at('share/b'));
    expect(await told()).toEqual(['gone share/b']);
    expect(bench.problems.size).toBe(0);
  });

  test('and the rules leave it out: nobody looks at it, for it may hang', async () => {
    const rules = { ...bench.source.rules, exclude: [{ glob: 'share', below: bench.root }] };
    Object.assign(bench.source, { rules });
    mkdirSync(at('share'));
    write('mine');
    mount('share');
    const looked: string[] = [];
    const look = bench.host.look.bind(bench.host);
    bench.host.look = async (path) => {
      looked.push(path);
      return look(path);
    };
    expect(await told()).toEqual(['new .', 'new mine']);
    expect(looked).toContain(bench.root);
    expect(looked).not.toContain(bytePath(Buffer.from(at('share'))));
  });

  test('by a bind mount of the same file system', async () => {
    const elsewhere = join(bench.own, 'elsewhere');
    mkdirSync(elsewhere);
    mkdirSync(at('share'));
    write('mine');
    mount('share', '--bind', elsewhere);
    write('share/a');
    await bench.backup();
    unmount('share');
    expect(await told()).toEqual(['mount-missing share']);
    mount('share', '--bind', elsewhere);
    expect(await told()).toEqual([]);
    expect(bench.problems.size).toBe(0);
    expect(lookAt(nodeSource, bytePath(Buffer.from(at('share/a'))))).toMatchObject({
      kind: 'file',
    });
  });

  test('one in the other: the inner one goes, then the outer one', async () => {
    await share('outer');
    mkdirSync(at('outer/inner'));
    mount('outer/inner');
    write('outer/inner/x');
    await bench.backup();
    unmount('outer/inner');
    expect(await told()).toEqual(['mount-missing outer/inner']);
    rmSync(at('outer/b'));
    expect(await told()).toEqual(['gone outer/b', 'mount-missing outer/inner']);
    unmount('outer');
    expect(await told()).toEqual(
      expect.arrayContaining(['mount-missing outer', 'mount-missing outer/inner']),
    );
    expect(await known()).toEqual(['mine', 'outer/a', 'outer/inner/x']);
  });

  test('over a folder in which things are known: they are hidden, not gone', async () => {
    mkdirSync(at('share'));
    write('share/a');
    write('mine');
    await bench.backup();
    mount('share');
    expect(await told()).toEqual(['replaced share']);
    unmount('share');
    expect(await told()).toEqual([]);
    expect(await known()).toEqual(['mine', 'share/a']);
  });

  test('or the source itself is mounted, and goes away', async () => {
    execFileSync('mount', ['-t', 'tmpfs', 'none', bench.data]);
    write('a');
    write('b');
    await bench.backup();
    execFileSync('umount', ['-l', bench.data]);
    expect(await told()).toEqual(['mount-missing .']);
    await restart();
    appendFileSync(at('written-under-it'), 'x');
    expect(await told()).toEqual(['mount-missing .', 'new written-under-it']);
    expect(await told()).toEqual(['mount-missing .']);
    expect(await known()).toEqual(['a', 'b', 'written-under-it']);
  });

  test('and goes in the very moment after it was found', async () => {
    mkdirSync(at('share'));
    write('mine');
    await bench.backup();
    mount('share');
    write('share/a');
    // An event brings a look at the new file; no whole scan has seen the mount.
    expect(await told('share/a')).toEqual(['new share/a']);
    await restart();
    unmount('share');
    expect(await told()).toEqual(['mount-missing share']);
  });
});
