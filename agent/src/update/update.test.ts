import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MAX_RELEASE_DATA_BYTES } from '@aliquot/proto';
import { type FilePort, nodeFiles } from '@aliquot/shared/durable/file-port';
import { systemClock } from '@aliquot/shared/ports';
import type { UpdateSettings } from '@aliquot/shared/settings/update';
import { Vendor } from '@aliquot/shared/testing/release/vendor';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Problem } from '../source/problem.ts';
import { UplinkError } from '../uplink/errors.ts';
import { UpdateBook } from './book.ts';
import { type Install, isProved, ownPlatform } from './install.ts';
import { Updater } from './updater.ts';

const platform = ownPlatform() ?? 'linux-x64';
const nodeName = platform.startsWith('win-') ? 'node.exe' : 'node';
const DAY_MS = 86_400_000;
const [own, next] = ['0.1.0', '0.2.0'];
const now = () => systemClock.nowMs();

/** A PC with a folder install, a collector that may do anything, and a desk. */
class Pc {
  readonly folder = mkdtempSync(join(tmpdir(), 'aliquot-update-'));
  readonly root = join(this.folder, 'root');
  readonly data = join(this.folder, 'data');
  readonly vendor = new Vendor(now());
  /** What the collector hands out. */
  files: ReadonlyMap<string, Buffer> = new Map();
  software = 'aliquot 9.0.0';
  connected = true;
  paused = false;
  wish: UpdateSettings | undefined = { version: next };
  port: FilePort = { ...nodeFiles, freeBytes: async () => 2 ** 40 };
  nowMs: number | undefined;
  running = own;
  install: Install | undefined;
  asked: string[] = [];
  beforeAnswer: (name: string, offset: number) => void = () => undefined;
  problem: Problem | undefined;
  left = false;
  told = 0;
  acknowledges = true;

  constructor() {
    this.put(own, { [nodeName]: 'node 24', 'aliquot-agent': 'own' });
    mkdirSync(this.data);
    writeFileSync(join(this.root, 'current'), `${own}\n`);
    writeFileSync(join(this.root, 'versions', own, 'release-root.json'), this.vendor.root);
  }

  put(version: string, files: Readonly<Record<string, string>>): void {
    mkdirSync(join(this.root, 'versions', version), { recursive: true });
    for (const [name, text] of Object.entries(files))
      writeFileSync(join(this.root, 'versions', version, name), text);
  }

  /** The vendor makes a release, and the collector gets it. */
  release(version = next, node = 'node 24', termMs?: number): void {
    const files = {
      'aliquot-agent*': version,
      'program/main.js': `// ${version}`,
      'addons/x/y.node': 'z'.repeat(70_000),
    };
    this.files = this.vendor.release(
      { version, platform, node: Buffer.from(node), nodeVersion: `${node.length}.0.0`, files },
      now(),
      termMs,
    );
  }

  /** One start of the service with this many looks. */
  async look(times = 1): Promise<void> {
    const updater = await this.start();
    for (let at = 0; at < times; at += 1) await updater.look();
    await updater.stop();
  }

  async start(): Promise<Updater> {
    this.left = false;
    const node = join(this.root, 'versions', this.running, nodeName);
    const updater = new Updater({
      install: this.install ?? { kind: 'folder', root: this.root, version: this.running, node },
      book: await UpdateBook.open(this.port, this.data),
      port: this.port,
      clock: { nowMs: () => this.nowMs ?? now() },
      timers: { after: () => () => undefined },
      log: pino({ level: 'silent' }),
      wish: () => this.wish,
      collector: () =>
        this.connected
          ? { software: this.software, fetch: (name, offset) => this.answer(name, offset) }
          : undefined,
      isPaused: async () => this.paused,
      beforeWork: async () => undefined,
      tellCentral: async () => {
        this.told += 1;
        return this.acknowledges;
      },
      nameProblem: async (problem) => {
        this.problem = problem;
      },
      leave: () => {
        this.left = true;
      },
    });
    return updater;
  }

  async answer(name: string, offset: number) {
    if (offset === 0) this.asked.push(name);
    this.beforeAnswer(name, offset);
    const file = this.files.get(name);
    return {
      size: file?.length ?? 0,
      bytes: file?.subarray(offset, offset + MAX_RELEASE_DATA_BYTES) ?? new Uint8Array(0),
    };
  }

  text(...path: string[]): string | undefined {
    const file = join(this.root, ...path);
    return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
  }

  /** Nothing was taken, and it is said why. */
  refused(says: string | RegExp): void {
    expect(this.left).toBe(false);
    expect(this.text('staged')).toBeUndefined();
    expect(existsSync(join(this.root, 'versions', next))).toBe(false);
    expect(this.problem?.code).toBe('release-refused');
    expect(this.problem?.message).toMatch(says);
  }
}

let pc: Pc;
beforeEach(() => {
  pc = new Pc();
});
afterEach(() => rmSync(pc.folder, { recursive: true, force: true }));

describe('a release that the vendor and the desk name', () => {
  it('is fetched, verified, unpacked beside the version that runs, and left to the host', async () => {
    pc.release();
    await pc.look();
    expect(pc.problem).toBeUndefined();
    expect(pc.left).toBe(true);
    expect(pc.text('staged')).toBe(`${next}\n`);
    expect(pc.text('current')).toBe(`${own}\n`);
    expect(pc.text('versions', next, 'program', 'main.js')).toBe(`// ${next}`);
    expect(pc.text('versions', own, 'aliquot-agent')).toBe('own');
    expect(readdirSync(join(pc.root, 'versions')).sort()).toEqual([own, next]);
    if (process.platform !== 'win32')
      expect(statSync(join(pc.root, 'versions', next, 'aliquot-agent')).mode & 0o777).toBe(0o755);
    expect(readdirSync(join(pc.data, 'update')).filter((name) => name.endsWith('.part'))).toEqual(
      [],
    );
  });

  it('brings its Node only where this PC does not have that one', async () => {
    pc.release();
    await pc.look();
    expect(pc.asked.filter((name) => name.includes('node-'))).toEqual([]);
    const file = (version: string) => statSync(join(pc.root, 'versions', version, nodeName));
    if (process.platform !== 'win32') expect(file(next).ino).toBe(file(own).ino);

    const other = new Pc();
    other.release(next, 'another node');
    await other.look();
    expect(other.left).toBe(true);
    expect(other.text('versions', next, nodeName)).toBe('another node');
    rmSync(other.folder, { recursive: true });
  });

  it('goes on with a file where the session broke off, however often', async () => {
    const large = 'n'.repeat(3 * MAX_RELEASE_DATA_BYTES);
    pc.files = pc.vendor.release(
      {
        version: next,
        platform,
        node: Buffer.from('node 24'),
        files: { 'aliquot-agent*': next, noise: Buffer.from(noise(large.length)) },
      },
      now(),
    );
    const offsets: number[] = [];
    let broken = 0;
    pc.beforeAnswer = (name, offset) => {
      if (!name.startsWith('targets/')) return;
      offsets.push(offset);
      broken += 1;
      if (broken % 2 === 0) throw new UplinkError('UPLINK_CLOSED', 'the connection ended');
    };
    for (let looks = 0; looks < 8 && !pc.left; looks += 1) await pc.look();
    expect(pc.left).toBe(true);
    expect(new Set(offsets).size).toBeGreaterThan(2);
    expect(offsets.filter((offset) => offset === 0)).toHaveLength(1);
  });

  it('is told and done with when it runs', async () => {
    pc.release();
    await pc.look();
    pc.running = next;
    writeFileSync(join(pc.root, 'current'), `${next}\n`);
    await pc.look();
    expect(pc.problem).toBeUndefined();
    expect(pc.left).toBe(false);
  });

  it('removes older versions before the host changes over, and keeps the one that runs', async () => {
    pc.put('0.0.9', { 'aliquot-agent': 'old' });
    pc.put('0.3.0.part', { half: '' });
    pc.release();
    await pc.look();
    expect(readdirSync(join(pc.root, 'versions')).sort()).toEqual([own, next]);
  });
});

describe('nothing is fetched', () => {
  const untouched = async () => {
    pc.release();
    await pc.look();
    expect(pc.asked).toEqual([]);
    expect(pc.left).toBe(false);
  };

  it('without the desk’s word, whatever the vendor has', async () => {
    pc.wish = undefined;
    await untouched();
    expect(pc.problem).toBeUndefined();
  });

  it('while the instrument is at work', async () => {
    pc.paused = true;
    await untouched();
    expect(pc.problem).toBeUndefined();
  });

  it('outside of the window', async () => {
    const hour = (at: number) =>
      `${`${(new Date(now()).getHours() + at) % 24}`.padStart(2, '0')}:00`;
    pc.wish = { version: next, window: `${hour(2)}-${hour(4)}` };
    await untouched();
    pc.wish = { version: next, window: `${hour(23)}-${hour(2)}` };
    await pc.look();
    expect(pc.left).toBe(true);
  });

  it('where the release is newer than the collector, which is named', async () => {
    pc.software = 'aliquot 0.1.9';
    await untouched();
    pc.refused(/newer than the collector's 0\.1\.9; update the collector first/);
    pc.software = 'aliquot 0.2.0';
    await pc.look();
    expect(pc.left).toBe(true);
  });

  it('where it is older than what runs', async () => {
    pc.wish = { version: '0.0.9' };
    await untouched();
    expect(pc.problem?.message).toMatch(/older than 0\.1\.0, which runs/);
  });

  it('where a package manager brings releases, or nobody does', async () => {
    pc.install = { kind: 'package', version: own };
    await untouched();
    expect(pc.problem).toMatchObject({
      code: 'release-by-others',
      message: expect.stringContaining('the package manager brings releases'),
    });
    pc.install = { kind: 'other', version: own };
    await untouched();
    pc.install = { kind: 'package', version: next };
    await untouched();
    expect(pc.problem).toBeUndefined();
  });

  it('where the disk has no room, and it is tried again', async () => {
    pc.port = { ...nodeFiles, freeBytes: async () => 2 ** 20 };
    pc.release();
    await pc.look();
    pc.refused(/needs \d+ MiB on the disk/);
    pc.port = { ...nodeFiles, freeBytes: async () => 2 ** 40 };
    await pc.look();
    expect(pc.left).toBe(true);
    expect(pc.problem).toBeUndefined();
  });

  it('where the installation has no root of the vendor', async () => {
    rmSync(join(pc.root, 'versions', own, 'release-root.json'));
    await untouched();
    pc.refused(/no root of the vendor/);
  });
});

describe('a hostile collector', () => {
  it('cannot go back to older lists, also after a restart', async () => {
    pc.release('0.1.5');
    const old = pc.files;
    pc.wish = { version: '0.1.5', window: undefined } as UpdateSettings;
    pc.release(next);
    await pc.look();
    expect(pc.left).toBe(true);
    rmSync(join(pc.root, 'staged'));
    pc.files = old;
    pc.wish = { version: '0.1.7' };
    await pc.look();
    expect(pc.problem?.message).toMatch(/older lists of releases than before/);
    expect(pc.left).toBe(false);
  });

  it('cannot hand out another vendor’s release', async () => {
    pc.release();
    pc.files = new Vendor(now()).release(
      { version: next, platform, node: Buffer.from('n'), files: { 'aliquot-agent*': 'evil' } },
      now(),
    );
    await pc.look();
    pc.refused(/not the vendor's, or were altered/);
  });

  it('cannot hand out a root that two of the three old keys did not sign', async () => {
    pc.release();
    const evil = new Vendor(now());
    const theirs = evil.release(
      { version: next, platform, node: Buffer.from('n'), files: { 'aliquot-agent*': 'evil' } },
      now(),
    );
    pc.files = new Map([...theirs, ['metadata/2.root.json', evil.root]]);
    await pc.look();
    pc.refused(/not the vendor's, or were altered/);
  });

  it('cannot change, cut or hide a list', async () => {
    pc.release();
    const whole = pc.files;
    const lists = [...whole.keys()].filter(
      (name) => name.startsWith('metadata/') && !name.includes('root'),
    );
    expect(lists).toHaveLength(3);
    for (const list of lists) {
      const bytes = whole.get(list) ?? Buffer.alloc(0);
      const spoilt = {
        changed: Buffer.from(
          bytes.toString().replace(/0\.2\.0|"version":1/, (text) => text.replace(/\d$/, '7')),
        ),
        cut: bytes.subarray(0, bytes.length / 2),
        empty: Buffer.from('{}'),
        nonsense: Buffer.from(
          '{"signed":{"_type":"timestamp","meta":7,"version":"x"},"signatures":[{}]}',
        ),
        hidden: Buffer.alloc(0),
        endless: Buffer.alloc(9 * 1024 * 1024, 0x20),
      };
      for (const bent of Object.values(spoilt)) {
        pc.files = new Map([...whole, [list, bent]]);
        await pc.look();
        pc.refused(/not the vendor's, or were altered|no releases|not as long/);
      }
    }
    pc.files = whole;
    await pc.look();
    expect(pc.left).toBe(true);
  });

  it('cannot change or hide a file', async () => {
    pc.release(next, 'another node');
    const whole = pc.files;
    for (const [name, bytes] of whole) {
      if (!name.startsWith('targets/')) continue;
      const changed = Buffer.from(bytes);
      changed[40] = (changed[40] ?? 0) ^ 1;
      for (const bent of [changed, bytes.subarray(1), Buffer.concat([bytes, bytes])]) {
        // What was fetched whole before is not asked for again.
        rmSync(join(pc.data, 'update'), { recursive: true, force: true });
        pc.files = new Map([...whole, [name, bent]]);
        await pc.look();
        pc.refused(/is not what the vendor's list says|not as long as the vendor's list says/);
      }
      rmSync(join(pc.data, 'update'), { recursive: true });
      pc.files = new Map([...whole].filter(([other]) => other !== name));
      await pc.look();
      pc.refused(/does not have/);
    }
    pc.files = whole;
    await pc.look();
    expect(pc.left).toBe(true);
  });

  it('cannot keep an expired list alive', async () => {
    pc.release(next, 'node 24', -DAY_MS);
    await pc.look();
    pc.refused(/past their term/);
  });

  it('is refused and remembered: also while there is no session after a restart', async () => {
    pc.files = new Vendor(now()).release(
      { version: next, platform, node: Buffer.from('n'), files: { x: 'evil' } },
      now(),
    );
    await pc.look();
    const said = pc.problem;
    pc.problem = undefined;
    pc.connected = false;
    await pc.look();
    expect(pc.problem).toEqual(said);
  });

  it('gets nothing unpacked elsewhere by an archive that the vendor’s stolen keys signed', async () => {
    pc.files = pc.vendor.release(
      { version: next, platform, node: Buffer.from('node 24'), files: { '../../current': 'evil' } },
      now(),
    );
    await pc.look();
    pc.refused(/names a file/);
    expect(pc.text('current')).toBe(`${own}\n`);
  });

  it('follows a new root that the old keys signed', async () => {
    // Keys are as they were; that a rotation of keys is followed is tuf-js' own test. The root that
    // came last is kept.
    pc.release();
    await pc.look();
    const book = JSON.parse(readFileSync(join(pc.data, 'update', 'book.json'), 'utf8'));
    expect(JSON.parse(book.lists.root).signed.version).toBe(1);
    expect(JSON.parse(book.lists.targets).signed.targets).toBeTypeOf('object');
  });
});

describe('a release that came back', () => {
  const comeBack = async (reason = 'died') => {
    pc.release();
    await pc.look();
    expect(pc.left).toBe(true);
    rmSync(join(pc.root, 'staged'));
    writeFileSync(join(pc.root, 'bad'), `${next} ${reason}\n`);
    await pc.look();
  };

  it('is told with its reason, and never staged again', async () => {
    await comeBack();
    expect(pc.problem).toMatchObject({
      code: 'release-bad',
      message: expect.stringContaining('0.2.0 ended three times; 0.1.0 runs again'),
    });
    await pc.look(3);
    expect(pc.left).toBe(false);
    expect(pc.text('staged')).toBeUndefined();
  });

  it('is tried anew when the desk takes it back and names it anew', async () => {
    await comeBack('no-session');
    expect(pc.problem?.message).toContain('did not reach the collector within ten minutes');
    pc.wish = undefined;
    await pc.look();
    expect(pc.problem).toBeUndefined();
    pc.wish = { version: next };
    await pc.look();
    expect(pc.left).toBe(true);
    expect(pc.text('staged')).toBe(`${next}\n`);
    expect(pc.text('bad')).toBe('');
  });

  it('leaves another version free to be tried', async () => {
    await comeBack();
    pc.release('0.2.1');
    pc.wish = { version: '0.2.1' };
    await pc.look();
    expect(pc.left).toBe(true);
    expect(pc.text('staged')).toBe('0.2.1\n');
  });

  it('is given up, and its folder removed, where the disk is so full that the host could write nothing', async () => {
    pc.release();
    await pc.look();
    rmSync(join(pc.root, 'staged'));
    writeFileSync(join(pc.root, 'trial'), `${next} ${own} 1\n`);
    await pc.look();
    expect(pc.problem?.message).toContain('left the disk so that nothing could be written');
    expect(existsSync(join(pc.root, 'versions', next))).toBe(false);
    await pc.look();
    expect(pc.left).toBe(false);
  });

  it('counts as bad when the host never tried it, three times with an hour between', async () => {
    pc.release();
    for (let asks = 0; asks < 3; asks += 1) {
      pc.nowMs = now() + asks * 2 * 3_600_000;
      await pc.look();
      expect(pc.left).toBe(true);
      await pc.look();
      expect(pc.left).toBe(false);
    }
    pc.nowMs = now() + 8 * 3_600_000;
    await pc.look();
    expect(pc.problem?.message).toContain('was never started');
  });
});

describe('a version on trial', () => {
  beforeEach(() => {
    pc.put(next, { [nodeName]: 'node 24' });
    pc.running = next;
    writeFileSync(join(pc.root, 'trial'), `${next} ${own} 2\n`);
  });

  it('confirms the start that runs, once central IT has acknowledged its heartbeat', async () => {
    pc.acknowledges = false;
    await pc.look(2);
    expect(pc.told).toBe(2);
    expect(pc.text('confirmed')).toBeUndefined();
    pc.acknowledges = true;
    await pc.look(3);
    expect(pc.text('confirmed')).toBe(`${next} 2\n`);
    expect(pc.told).toBe(3);
  });

  it('stages nothing else, and changes no format before it is proved', async () => {
    pc.wish = { version: '0.3.0' };
    pc.release('0.3.0');
    const install = { kind: 'folder', root: pc.root, version: next, node: '' } as const;
    expect(await isProved(nodeFiles, install)).toBe(false);
    await pc.look();
    expect(pc.left).toBe(false);
    rmSync(join(pc.root, 'trial'));
    writeFileSync(join(pc.root, 'current'), `${next}\n`);
    expect(await isProved(nodeFiles, install)).toBe(true);
    writeFileSync(join(pc.root, 'versions', next, 'release-root.json'), pc.vendor.root);
    await pc.look();
    expect(pc.left).toBe(true);
  });
});

/** Bytes that do not shrink; the same each time. */
function noise(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = 1;
  for (let at = 0; at < length; at += 1) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    bytes[at] = state >>> 16;
  }
  return bytes;
}
