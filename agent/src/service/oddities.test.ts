import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { canHold } from '@aliquot/shared/durable/held-name';
import { NO_LINKS, posixOnly } from '@aliquot/shared/testing/platform';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { portWith } from '../../testing/capture/bench.ts';
import { find, openServiceBench, type ServiceBench } from '../../testing/service/bench.ts';
import { nodeSource } from '../source/source-port.ts';

let service: ServiceBench;
beforeEach(async () => {
  service = await openServiceBench();
});
afterEach(() => service.close());

const at = (name: string) => service.at(name);
const backup = () => service.backup(false);
const restore = (to: string) =>
  service.perform({ op: 'restore', paths: [service.bench.data], atMs: 0, to });
const target = () => join(service.bench.own, '..', 'back');
const back = (name: string) => join(target(), service.bench.data, name);
const problems = (done: Awaited<ReturnType<typeof backup>>) =>
  find(done, 'problem').map(
    ({ path, code }) => `${String(code)} ${String(path).slice(service.bench.data.length + 1)}`,
  );

test.runIf(posixOnly('its oddities are made with tools and names of POSIX'))(
  'P2: names of 255 bytes, in any spelling of Unicode or in none, come back byte for byte',
  async () => {
    const names = [
      Buffer.from('n'.repeat(255)),
      Buffer.from('試'.repeat(85)),
      Buffer.from('e\u0301'), // decomposed
      Buffer.from('\u00e9'), // composed
      Buffer.from('\u212b \u00c5 A\u030a'), // three spellings of one letter
      Buffer.from('\u202e reversed \u200b invisible \ufeff'),
      Buffer.from('line\nbreak, tab\t, escape \u001b[2J, delete \u007f'),
      Buffer.from(' leading and trailing '),
      Buffer.from('con.txt'),
      Buffer.from('-rf *'),
      Buffer.from([0xff, 0xfe, 0x80]), // no Unicode
      Buffer.from([0xed, 0xa0, 0x80]), // half a surrogate pair
      Buffer.from([0xc0, 0xaf]), // an overlong slash
      Buffer.concat([Buffer.from('x'.repeat(254)), Buffer.from([0xe8])]),
    ];
    for (const [index, name] of names.entries())
      writeFileSync(Buffer.concat([Buffer.from(`${service.bench.data}/`), name]), `file ${index}`);
    const done = await backup();
    expect({ code: done.code, problems: problems(done) }).toEqual({
      code: undefined,
      problems: [],
    });
    expect((await restore(target())).code).toBeUndefined();
    const restored = readdirSync(join(target(), service.bench.data), { encoding: 'buffer' });
    const sorted = (list: readonly Buffer[]) => list.map((name) => name.toString('hex')).sort();
    expect(sorted(restored)).toEqual(sorted(names));
    for (const [index, name] of names.entries()) {
      expect(
        readFileSync(
          Buffer.concat([Buffer.from(`${join(target(), service.bench.data)}/`), name]),
          'utf8',
        ),
      ).toBe(`file ${index}`);
    }
  },
);

/**
 * Makes a file at a path of so many bytes, by short steps, because no call takes the longest ones
 * whole.
 */
function makeDeep(root: string, bytes: number): string {
  const script = `
    const { mkdirSync, writeFileSync } = require('node:fs');
    process.chdir(process.argv[1]);
    let made = Buffer.byteLength(process.argv[1]);
    const step = 'd'.repeat(200);
    let path = process.argv[1];
    while (made + 201 < Number(process.argv[2]) - 2) {
      mkdirSync(step);
      process.chdir(step);
      made += 201;
      path += '/' + step;
    }
    const name = 'f'.repeat(Number(process.argv[2]) - made - 1);
    writeFileSync(name, 'deep');
    process.stdout.write(path + '/' + name);
  `;
  return execFileSync(process.execPath, ['-e', script, root, String(bytes)], { encoding: 'utf8' });
}

test.runIf(posixOnly('its oddities are made with tools and names of POSIX'))(
  'P2 P6: a path of 4,000 bytes comes back; where it would become longer than the system takes at once, it does so name by name, or is named',
  async () => {
    const deep = makeDeep(service.bench.data, 4000);
    expect(Buffer.byteLength(deep)).toBe(4000);
    const done = await backup();
    expect({ code: done.code, problems: problems(done) }).toEqual({
      code: undefined,
      problems: [],
    });
    expect((await restore(target())).code).toBeUndefined();
    expect(readFileSync(join(target(), deep), 'utf8')).toBe('deep');
    const longer = join(target(), 't'.repeat(100));
    const far = await restore(longer);
    expect(far.code).toBe(canHold ? undefined : 'PARTIAL');
    if (canHold) {
      const found = execFileSync('find', [longer, '-type', 'f', '-size', '-2'], { cwd: '/' });
      expect(found.length).toBeGreaterThan(4096);
      // What takes the temporary folder away may not come there.
      execFileSync('rm', ['-rf', longer]);
      return;
    }
    expect(find(far, 'problem').filter(({ path }) => path === deep)).toMatchObject([
      { message: expect.stringMatching(/too long|ENAMETOOLONG/) },
    ]);
  },
);

test.runIf(posixOnly('its oddities are made with tools and names of POSIX'))(
  'P6: a path that is longer than the system takes is named, with what to do',
  async () => {
    makeDeep(service.bench.data, 4400);
    const done = await backup();
    expect(done.code).toBe('PARTIAL');
    expect(find(done, 'problem')).toHaveLength(1);
    expect(find(done, 'problem')[0]?.['message']).toMatch(/ENAMETOOLONG.*shorten a folder/);
    execFileSync('rm', ['-rf', service.bench.data]);
  },
);

test.runIf(posixOnly('its oddities are made with tools and names of POSIX'))(
  'P6: fifos, sockets and devices are named each by itself, hang nothing, and the files beside them are protected',
  async () => {
    execFileSync('mkfifo', [at('fifo')]);
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(at('socket'), resolve));
    const hasDevice = spawnSync('mknod', [at('device'), 'c', '1', '3']).status === 0;
    writeFileSync(at('file'), 'x');
    const done = await backup();
    expect(problems(done)).toEqual([
      ...(hasDevice ? ['special device'] : []),
      'special fifo',
      'special socket',
    ]);
    expect(find(done, 'summary')[0]).toMatchObject({ files: 1 });
    await new Promise((resolve) => server.close(resolve));
  },
);

test.runIf(posixOnly(NO_LINKS))(
  'P2: loops of links come back as the links that they are',
  async () => {
    mkdirSync(at('a'));
    symlinkSync('../a', at('a/up'));
    symlinkSync('two', at('one'));
    symlinkSync('one', at('two'));
    symlinkSync(service.bench.data, at('whole'));
    writeFileSync(at('a/file'), 'x');
    expect((await backup()).code).toBeUndefined();
    expect((await restore(target())).code).toBeUndefined();
    expect(readFileSync(back('a/up/up/up/file'), 'utf8')).toBe('x');
    expect(readdirSync(back('.')).sort()).toEqual(['a', 'one', 'two', 'whole']);
  },
);

test.runIf(posixOnly('its oddities are made with tools and names of POSIX'))(
  'P2: a file with holes comes back with the same bytes',
  async () => {
    execFileSync('truncate', ['-s', '30M', at('holes')]);
    writeFileSync(at('holes'), 'in the middle', { flag: 'r+' });
    execFileSync('truncate', ['-s', '31M', at('holes')]);
    const done = await backup();
    expect(done.code).toBeUndefined();
    expect(Number(find(done, 'summary')[0]?.['sentBytes'])).toBeLessThan(100_000);
    await restore(target());
    expect(readFileSync(back('holes')).equals(readFileSync(at('holes')))).toBe(true);
  },
);

test.runIf(posixOnly('its oddities are made with tools and names of POSIX'))(
  'P2 P6: times that no clock should show come back, or as near as the format holds them',
  async () => {
    const dates = [
      '1901-12-14',
      '1969-12-31 23:59:59',
      '1970-01-01 00:00:00',
      '2038-01-20',
      '2199-12-31',
      '2400-01-01',
    ];
    for (const date of dates) execFileSync('touch', ['-d', `${date} UTC`, at(date)]);
    const done = await backup();
    expect(done.code).toBe('PARTIAL');
    expect(find(done, 'problem')).toMatchObject([{ path: at('2400-01-01'), code: 'odd-time' }]);
    expect((await restore(target())).code).toBeUndefined();
    for (const date of dates.slice(0, 5))
      expect(statSync(back(date)).mtimeMs).toBe(statSync(at(date)).mtimeMs);
    expect(statSync(back('2400-01-01')).mtime.getUTCFullYear()).toBe(2262);
    // And a second look finds nothing new.
    expect(find(await backup(), 'summary')[0]).toMatchObject({
      newFiles: 0,
      changed: 0,
      commits: 0,
    });
  },
);

test.runIf(posixOnly('its oddities are made with tools and names of POSIX'))(
  'P6: what another account may not read or enter is named, each with what to do, until the hole is mended',
  async ({ skip }) => {
    if (process.getuid?.() !== 0) return skip('only root can look with another account’s eyes');
    mkdirSync(at('closed'));
    writeFileSync(at('closed/inside'), 'x');
    mkdirSync(at('listable'));
    writeFileSync(at('listable/inside'), 'x');
    writeFileSync(at('secret'), 'x');
    writeFileSync(at('open'), 'x');
    chmodSync(at('closed'), 0o700);
    chmodSync(at('listable'), 0o744);
    chmodSync(at('secret'), 0o600);
    // Every call to the watched folder is made as nobody; the rest of the process stays who it is.
    const asNobody = <Args extends unknown[], Result>(call: (...args: Args) => Result) => {
      return (...args: Args): Result => {
        process.seteuid?.(65534);
        try {
          return call(...args);
        } finally {
          process.seteuid?.(0);
        }
      };
    };
    chmodSync(join(service.bench.data, '..'), 0o755);
    const { lstat, bornNs, readdir, readlink, open, fstat, read, close } = nodeSource;
    service.bench.through({
      lstat: asNobody(lstat),
      bornNs: asNobody(bornNs),
      readdir: asNobody((path: Buffer) => [...readdir(path)]),
      readlink: asNobody(readlink),
      open: asNobody(open),
      fstat,
      read,
      close,
    });
    const done = await backup();
    expect(done.code).toBe('PARTIAL');
    expect(problems(done)).toEqual([
      'unlistable closed',
      'unreadable listable/inside',
      'unreadable secret',
    ]);
    for (const { message } of find(done, 'problem'))
      expect(message).toMatch(/EACCES.*let the agent’s account read it/);
    expect(find(done, 'summary')[0]).toMatchObject({ files: 1, failed: 3 });
    const status = await service.perform({ op: 'status', results: false });
    expect(find(status, 'problem')).toHaveLength(3);
    service.bench.through(nodeSource);
    expect((await backup()).code).toBeUndefined();
    expect(service.bench.problems.size).toBe(0);
  },
);

test.runIf(posixOnly(NO_LINKS))(
  'a file whose place another thing takes between the look and the read is looked at again by the same backup',
  async () => {
    writeFileSync(at('f'), 'a file');
    let swaps = 0;
    service.bench.through(
      portWith({
        open: (path) => {
          swaps += 1;
          if (swaps === 1) {
            rmSync(path);
            symlinkSync('/nowhere', path);
          }
          return nodeSource.open(path);
        },
      }),
    );
    const done = await backup();
    expect(done.code).toBeUndefined();
    expect(find(done, 'summary')[0]).toMatchObject({ links: 1, failed: 0 });
  },
);

test.runIf(posixOnly(NO_LINKS))(
  'P6: a file that is another thing at every look is named',
  async () => {
    writeFileSync(at('f'), 'a file');
    service.bench.through(
      portWith({
        open: (path) => {
          rmSync(path);
          symlinkSync('/nowhere', path);
          try {
            return nodeSource.open(path);
          } finally {
            rmSync(path);
            writeFileSync(path, 'a file again');
          }
        },
      }),
    );
    const done = await backup();
    expect(problems(done)).toEqual(['changing f']);
  },
);
