/**
 * `npm run package -- --target T --out DIR`: makes what is installed on machines, on Linux, from
 * the built programs, the lock file and npm's packages of Node. Twice gives the same bytes:
 * `SOURCE_DATE_EPOCH`, or the time of the last commit, is every file's time. `ALIQUOT_SIGN` is
 * called for what carries a signature (`package/sign.ts`).
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';
import { buildDeb, debArchitecture, isLinux } from './package/deb.ts';
import { folderInstall } from './package/folder-install.ts';
import { buildHost } from './package/host.ts';
import { linuxPackage } from './package/linux-tree.ts';
import { buildPosixHost } from './package/posix-host.ts';
import { buildRpm, rpmArchitecture } from './package/rpm.ts';
import { signed } from './package/sign.ts';
import { writeTar } from './package/tar.ts';
import { names, products, root, type Target, targets } from './package/targets.ts';
import { below, file, type Tree, tree, writeFolder } from './package/tree.ts';
import { isWindows, type Order, versionFolder } from './package/version-folder.ts';
import { buildMsi } from './package/windows-msi.ts';
import { buildSetup } from './package/windows-setup.ts';
import { writeZip } from './package/zip.ts';

const formats = ['folder', 'archive', 'setup', 'deb', 'rpm'] as const;
type Format = (typeof formats)[number];

const usage = [
  `usage: npm run package -- --target ${targets.join('|')} --out DIR`,
  `  --only ${products.join('|')}   one of the two`,
  `  --formats ${formats.join(',')}   some of what the target has`,
  '  --node VERSION   another build of Node that deploy/node-builds.json locks',
  '  --version V   another version than package.json has, to try an upgrade',
].join('\n');

/** What is wrong with how it was called; said in one line, without a trace. */
class UsageError extends Error {}

interface Asked {
  readonly orders: readonly Order[];
  readonly out: string;
  readonly formats: readonly Format[];
}

function optionValues(args: readonly string[]) {
  const option = { type: 'string' } as const;
  const options = {
    target: option,
    out: option,
    only: option,
    formats: option,
    node: option,
    version: option,
  };
  try {
    return parseArgs({ args: [...args], options }).values;
  } catch (error) {
    throw new UsageError(`${error instanceof Error ? error.message : error}\n${usage}`);
  }
}

/** What the options ask for, or a line that says what is wrong with them. */
export function parseOptions(args: readonly string[], ownVersion: string): Asked {
  const values = optionValues(args);
  const target = targets.find((known) => known === values.target);
  if (target === undefined)
    throw new UsageError(
      `--target ${values.target ?? 'is missing; it'} must be one of ${targets.join(', ')}\n${usage}`,
    );
  if (values.out === undefined)
    throw new UsageError(`--out is missing: the folder that the packages come into\n${usage}`);
  const only = products.find((known) => known === values.only);
  if (values.only !== undefined && only === undefined)
    throw new UsageError(`--only ${values.only} must be one of ${products.join(', ')}`);
  const version = values.version ?? ownVersion;
  if (!/^\d+\.\d+\.\d+(-[0-9a-z.]+)?$/.test(version))
    throw new UsageError(`--version ${version} must be like 0.2.0 or 0.2.0-rc.1`);
  const wanted = values.formats?.split(',') ?? formats;
  const unknown = wanted.find((word) => !formats.some((known) => known === word));
  if (unknown !== undefined)
    throw new UsageError(`--formats ${unknown} must be some of ${formats.join(', ')}`);
  const node = values.node === undefined ? {} : { node: values.node };
  return {
    orders: (only === undefined ? products : [only]).map((product) => ({
      product,
      target,
      version,
      ...node,
    })),
    out: resolve(values.out),
    formats: formats.filter((format) => wanted.includes(format)),
  };
}

/** Seconds since 1970 that every file of a package shows. */
export function packageTime(epoch = process.env['SOURCE_DATE_EPOCH']): number {
  const text =
    epoch ??
    spawnSync('git', ['log', '-1', '--format=%ct'], { cwd: root, encoding: 'utf8' }).stdout.trim();
  if (!/^\d{1,11}$/.test(text))
    throw new Error(`SOURCE_DATE_EPOCH must be seconds since 1970, not "${text}"`);
  return Number(text);
}

/** The archive of a folder install: .zip where Windows opens it, .tar.gz elsewhere. */
function archive(
  target: Target,
  files: Tree,
  seconds: number,
): { readonly suffix: string; readonly bytes: Buffer } {
  return isWindows(target)
    ? { suffix: '.zip', bytes: writeZip(files, seconds) }
    : { suffix: '.tar.gz', bytes: gzipSync(writeTar(files, seconds), { level: 9 }) };
}

/** The sums of all packages in a folder, as `sha256sum --check` reads them. */
function writeSums(out: string): void {
  const lines = readdirSync(out, { withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name !== 'SHA256SUMS')
    .map(
      ({ name }) =>
        `${createHash('sha256')
          .update(readFileSync(join(out, name)))
          .digest('hex')}  ${name}\n`,
    );
  writeFileSync(
    join(out, 'SHA256SUMS'),
    lines.sort((a, b) => (a.slice(66) < b.slice(66) ? -1 : 1)).join(''),
  );
}

function makePackages(order: Order, out: string, wanted: readonly Format[], seconds: number): void {
  const { product, target, version } = order;
  const { package: name } = names[product];
  const stem = `${name}-${version}-${target}`;
  const content = versionFolder(order);
  const parts = content.find((entry) => entry.path === 'sbom.json');
  if (parts !== undefined) write(out, `${stem}.sbom.json`, parts.bytes);
  const installed = tree(folderInstall(order, content), host(order));
  const folder = join(out, target, name);
  const hasSetup = product === 'agent' && isWindows(target) && wanted.includes('setup');
  if (hasSetup || wanted.includes('folder')) writeFolder(folder, installed);
  if (wanted.includes('archive')) {
    const { suffix, bytes } = archive(target, below(name, installed), seconds);
    write(out, `${stem}${suffix}`, bytes);
  }
  if (hasSetup) {
    const setup = buildSetup(folder, version, seconds);
    write(out, `${stem}-setup.exe`, setup);
    write(out, `${stem}.msi`, buildMsi(setup, version, seconds));
  }
  if (!isLinux(target)) return;
  const made = linuxPackage(order, content);
  if (wanted.includes('deb'))
    write(
      out,
      `${name}_${version}_${debArchitecture[target]}.deb`,
      buildDeb(product, made, target, seconds),
    );
  if (wanted.includes('rpm'))
    write(
      out,
      `${name}-${version}-1.${rpmArchitecture[target]}.rpm`,
      buildRpm(product, made, target, seconds),
    );
}

/**
 * A folder install of the agent is started by the host, which changes versions; .deb and .rpm leave
 * that to their manager. On Windows it is the service, too.
 */
function host({ product, target, version }: Order): Tree {
  if (product !== 'agent') return [];
  if (isWindows(target)) return [signed(file('host.exe', buildHost(version), true))];
  return isLinux(target) ? [file('host', buildPosixHost(target), true)] : [];
}

function write(out: string, name: string, bytes: Buffer): void {
  writeFileSync(join(out, name), bytes);
  console.log(`${name}: ${(bytes.length / 1e6).toFixed(1)} MB`);
}

if (import.meta.main) {
  try {
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      readonly version: string;
    };
    const { orders, out, formats: wanted } = parseOptions(process.argv.slice(2), version);
    const seconds = packageTime();
    mkdirSync(out, { recursive: true });
    for (const order of orders) makePackages(order, out, wanted, seconds);
    writeSums(out);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    console.error(`package: ${error instanceof UsageError ? error.message : error.stack}`);
    process.exitCode = error instanceof UsageError ? 2 : 1;
  }
}
