import {
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
import { gzipSync } from 'node:zlib';
import { refreshLists } from '@aliquot/agent/update/lists';
import { ReleaseSource } from '@aliquot/agent/update/source';
import { unpackRelease } from '@aliquot/agent/update/stage';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import { programTarget, type ReleasePlatform } from '@aliquot/shared/release/targets';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { writeTar } from './package/tar.ts';
import { below, file, type Tree } from './package/tree.ts';
import { writeZip } from './package/zip.ts';
import { main } from './release.ts';

let folder: string;
const at = (...names: string[]) => join(folder, ...names);
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'aliquot-release-'));
  vi.spyOn(console, 'log').mockImplementation(() => undefined);
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true, force: true });
});

const now = () => Date.now();
const release = (...args: string[]) => main(['--keys', at('keys'), ...args], 'a passphrase', now());

/** An archive as `npm run package` makes it, with little in it. */
function packed(
  version: string,
  platform: ReleasePlatform,
  nodeVersion = '24.0.0',
  more: Tree = [],
): void {
  const windows = platform === 'win-x64';
  const parts = {
    components: [
      { name: `node-${platform}`, version: nodeVersion },
      { name: 'node-cron', version: '4.0.0' },
    ],
  };
  const content = [
    file(
      windows ? 'node.exe' : 'node',
      `Node ${nodeVersion} for ${platform} ${'x'.repeat(5000)}`,
      true,
    ),
    file(windows ? 'launcher.cmd' : 'launcher', '#!/bin/sh\n', true),
    file('sbom.json', JSON.stringify(parts)),
    ...below('program', [file('main.js', `// ${version}\n`)]),
    ...more,
  ];
  const installed = below('aliquot-agent', [
    file('current', `${version}\n`),
    ...below(`versions/${version}`, content),
  ]);
  mkdirSync(at('packages'), { recursive: true });
  const stem = at('packages', `aliquot-agent-${version}-${platform}`);
  if (windows) writeFileSync(`${stem}.zip`, writeZip(installed, 1e9));
  else writeFileSync(`${stem}.tar.gz`, gzipSync(writeTar(installed, 1e9)));
}

/** What a PC with an older version makes of a release folder. */
async function taken(dir: string, version: string, platform: ReleasePlatform): Promise<string> {
  const root = at('pc');
  mkdirSync(join(root, 'versions', '0.0.1'), { recursive: true });
  const fetch = async (name: string, offset: number) => {
    const bytes =
      statSync(join(dir, name), { throwIfNoEntry: false }) === undefined
        ? Buffer.alloc(0)
        : readFileSync(join(dir, name));
    return { size: bytes.length, bytes: bytes.subarray(offset) };
  };
  const source = new ReleaseSource(fetch);
  const first = readFileSync(at('keys', '1.root.json'), 'utf8');
  const lists = await refreshLists({
    port: nodeFiles,
    scratch: at('pc', 'lists'),
    kept: { root: first },
    source,
  });
  const program = await lists.find(programTarget(version, platform));
  if (program?.part.part !== 'program') throw new Error('not named');
  const { part } = program;
  const node = await lists.find(part.node.target);
  const install = {
    kind: 'folder',
    root,
    version: '0.0.1',
    node: join(root, 'versions', '0.0.1', 'node'),
  } as const;
  const port = { ...nodeFiles, freeBytes: async () => 2 ** 40 };
  await unpackRelease(
    { port, install, dir: at('pc', 'update'), source },
    { program: { ...program, part }, node },
  );
  return join(root, 'versions', version);
}

describe('npm run release', () => {
  it('makes a release of packages that a PC verifies and unpacks, with Node as it was', async () => {
    release('--make-keys');
    packed('0.2.0', 'linux-x64');
    packed('0.2.0', 'win-x64');
    release('--packages', at('packages'), '--out', at('out'));
    for (const platform of ['linux-x64', 'win-x64'] as const) {
      const unpacked = await taken(at('out'), '0.2.0', platform);
      const node = platform === 'win-x64' ? 'node.exe' : 'node';
      expect(readFileSync(join(unpacked, node), 'utf8')).toMatch(
        new RegExp(`^Node 24.0.0 for ${platform} x+$`),
      );
      expect(readFileSync(join(unpacked, 'program/main.js'), 'utf8')).toBe('// 0.2.0\n');
      if (platform === 'linux-x64' && process.platform !== 'win32') {
        for (const name of ['node', 'launcher'])
          expect(statSync(join(unpacked, name)).mode & 0o777).toBe(0o755);
        expect(statSync(join(unpacked, 'program/main.js')).mode & 0o777).toBe(0o644);
      }
      rmSync(at('pc'), { recursive: true });
    }
  });

  it('ships no Node again that was shipped before, and names every earlier version', async () => {
    release('--make-keys');
    packed('0.2.0', 'linux-x64');
    release('--packages', at('packages'), '--out', at('first'));
    rmSync(at('packages'), { recursive: true });
    packed('0.2.1', 'linux-x64');
    release('--packages', at('packages'), '--out', at('second'), '--previous', at('first'));
    expect(readdirSync(at('second', 'targets')).map((name) => name.slice(65))).toEqual([
      'program-0.2.1-linux-x64.tar.zst',
    ]);
    const list = JSON.parse(readFileSync(at('second', 'metadata', '2.targets.json'), 'utf8'));
    expect(Object.keys(list.signed.targets).sort()).toEqual([
      'node-24.0.0-linux-x64.tar.zst',
      'program-0.2.0-linux-x64.tar.zst',
      'program-0.2.1-linux-x64.tar.zst',
    ]);
    expect(() =>
      release('--packages', at('packages'), '--out', at('third'), '--previous', at('second')),
    ).toThrow(/a version is released once/);
  });

  it('carries a new root to PCs that have the first one', async () => {
    release('--make-keys');
    packed('0.2.0', 'linux-x64');
    // One of the three keys is lost, and two sign the next root.
    rmSync(at('keys', 'root-2.pem'));
    release('--new-root');
    release('--packages', at('packages'), '--out', at('out'));
    expect(readdirSync(at('out', 'metadata')).filter((name) => name.includes('root'))).toEqual([
      '1.root.json',
      '2.root.json',
    ]);
    await taken(at('out'), '0.2.0', 'linux-x64');
    rmSync(at('keys', 'root-1.pem'));
    expect(() => release('--new-root')).toThrow(/a root is signed by two of them/);
  });

  it('keeps keys under the passphrase, and overwrites none', () => {
    release('--make-keys');
    for (const name of readdirSync(at('keys')).filter((other) => other.endsWith('.pem'))) {
      expect(readFileSync(at('keys', name), 'utf8')).toContain('ENCRYPTED PRIVATE KEY');
      if (process.platform !== 'win32') expect(statSync(at('keys', name)).mode & 0o777).toBe(0o600);
    }
    expect(() => release('--make-keys')).toThrow(/is there already/);
    packed('0.2.0', 'linux-x64');
    expect(() =>
      main(
        ['--keys', at('keys'), '--packages', at('packages'), '--out', at('out')],
        'another',
        now(),
      ),
    ).toThrow(/does not open/);
  });

  it('says how it is used, and what is missing', () => {
    expect(() => main([], undefined, now())).toThrow(/usage: npm run release/);
    release('--make-keys');
    mkdirSync(at('empty'));
    expect(() => release('--packages', at('empty'), '--out', at('out'))).toThrow(
      /has no aliquot-agent-VERSION-PLATFORM archive/,
    );
  });
});
