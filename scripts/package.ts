/**
 * `npm run package -- --target T --out DIR [--only agent|collector] [--node VERSION] [--version V]`:
 * makes what is installed on machines, on Linux, from the built programs, the lock file and npm's
 * packages of Node. `--version` names the packages otherwise than package.json does, to try an upgrade. Twice gives the same bytes: `SOURCE_DATE_EPOCH`, or the time of the last commit, is every
 * file's time. `ALIQUOT_SIGN` is called for what carries a signature (`package/sign.ts`).
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
import { buildSetup } from './package/windows-setup.ts';
import { writeZip } from './package/zip.ts';

const usage = `usage: npm run package -- --target ${targets.join('|')} --out DIR [--only ${products.join('|')}] [--node VERSION] [--version V]`;

/** What is wrong with how it was called; said in one line, without a trace. */
class UsageError extends Error {}

/** What the options ask for, or a line that says what is wrong with them. */
export function parseOptions(args: readonly string[], ownVersion: string): { readonly orders: readonly Order[]; readonly out: string } {
  const option = { type: 'string' } as const;
  let values: {
    readonly target?: string;
    readonly out?: string;
    readonly only?: string;
    readonly node?: string;
    readonly version?: string;
  };
  try {
    ({ values } = parseArgs({ args: [...args], options: { target: option, out: option, only: option, node: option, version: option } }));
  } catch (error) {
    throw new UsageError(`${error instanceof Error ? error.message : error}\n${usage}`);
  }
  const target = targets.find((known) => known === values.target);
  if (target === undefined)
    throw new UsageError(`--target ${values.target ?? 'is missing; it'} must be one of ${targets.join(', ')}\n${usage}`);
  if (values.out === undefined) throw new UsageError(`--out is missing: the folder that the packages come into\n${usage}`);
  const only = products.find((known) => known === values.only);
  if (values.only !== undefined && only === undefined) throw new UsageError(`--only ${values.only} must be one of ${products.join(', ')}`);
  const version = values.version ?? ownVersion;
  if (!/^\d+\.\d+\.\d+(-[0-9a-z.]+)?$/.test(version)) throw new UsageError(`--version ${version} must be like 0.2.0 or 0.2.0-rc.1`);
  const node = values.node === undefined ? {} : { node: values.node };
  return {
    orders: (only === undefined ? products : [only]).map((product) => ({ product, target, version, ...node })),
    out: resolve(values.out),
  };
}

/** Seconds since 1970 that every file of a package shows. */
export function packageTime(epoch = process.env['SOURCE_DATE_EPOCH']): number {
  const text = epoch ?? spawnSync('git', ['log', '-1', '--format=%ct'], { cwd: root, encoding: 'utf8' }).stdout.trim();
  if (!/^\d{1,11}$/.test(text)) throw new Error(`SOURCE_DATE_EPOCH must be seconds since 1970, not "${text}"`);
  return Number(text);
}

/** The archive of a folder install: .zip where Windows opens it, .tar.gz elsewhere. */
function archive(target: Target, files: Tree, seconds: number): { readonly suffix: string; readonly bytes: Buffer } {
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
  writeFileSync(join(out, 'SHA256SUMS'), lines.sort((a, b) => (a.slice(66) < b.slice(66) ? -1 : 1)).join(''));
}

function makePackages(order: Order, out: string, seconds: number): void {
  const { package: name } = names[order.product];
  const stem = `${name}-${order.version}-${order.target}`;
  const content = versionFolder(order);
  const installed = tree(folderInstall(order, content), host(order));
  writeFolder(join(out, order.target, name), installed);
  const { suffix, bytes } = archive(order.target, below(name, installed), seconds);
  write(out, `${stem}${suffix}`, bytes);
  const parts = content.find((entry) => entry.path === 'sbom.json');
  if (parts !== undefined) write(out, `${stem}.sbom.json`, parts.bytes);
  if (order.product === 'agent' && isWindows(order.target))
    write(out, `${stem}-setup.exe`, buildSetup(join(out, order.target, name), order.version, seconds));
  if (isLinux(order.target)) {
    const made = linuxPackage(order, content);
    write(out, `${name}_${order.version}_${debArchitecture[order.target]}.deb`, buildDeb(order.product, made, order.target, seconds));
    write(out, `${name}-${order.version}-1.${rpmArchitecture[order.target]}.rpm`, buildRpm(order.product, made, order.target, seconds));
  }
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
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { readonly version: string };
    const { orders, out } = parseOptions(process.argv.slice(2), version);
    const seconds = packageTime();
    mkdirSync(out, { recursive: true });
    for (const order of orders) makePackages(order, out, seconds);
    writeSums(out);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    console.error(`package: ${error instanceof UsageError ? error.message : error.stack}`);
    process.exitCode = error instanceof UsageError ? 2 : 1;
  }
}
