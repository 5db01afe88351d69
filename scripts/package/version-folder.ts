import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { nodeFlagsFile } from '../../deploy/node-flags.ts';
import { addonsFor } from '../lib/addons.ts';
import { isLinux } from './deb.ts';
import { packagedLauncher } from './launcher.ts';
import { licences } from './licences.ts';
import { fetchPackage, lockedPackage, moduleFile } from './npm.ts';
import { bundledParts, sbom } from './sbom.ts';
import { signed } from './sign.ts';
import { stripped } from './strip.ts';
import { names, nodeBuild, type Product, platform, root, type Target } from './targets.ts';
import { below, file, type Tree, tree } from './tree.ts';

/** What is packed: which of the two, for which target, with which Node, under which version. */
export interface Order {
  readonly product: Product;
  readonly target: Target;
  readonly version: string;
  /** Another build of Node than the target's own. */
  readonly node?: string;
}

export const isWindows = (target: Target) => target.startsWith('win-');

/**
 * One version of a program, whole: Node as npm has it (byte for byte, but on Linux without its
 * symbols), the program, its addons, the launcher, licences and the list of parts. Folder installs
 * keep it under `versions/`, Linux packages under /usr/lib.
 */
export function versionFolder({ product, target, version, node }: Order): Tree {
  const build = nodeBuild(target, node);
  const nodeFiles = fetchPackage(build);
  const windows = isWindows(target);
  const name = windows ? 'node.exe' : 'node';
  const binary = nodeFiles.get(`bin/${name}`);
  if (binary === undefined) throw new Error(`${build.name}@${build.version} has no bin/${name}`);
  const read = (path: string) => readFileSync(join(root, path));
  const { command, package: packageName } = names[product];
  const bin = windows ? `${command}.cmd` : command;
  const bundled = read(`${product}/dist/program/BUNDLED.txt`).toString();
  const lock = read('package-lock.json').toString();
  const parts = bundledParts(bundled, lock);
  return tree(
    [
      file(name, isLinux(target) ? stripped(binary, target) : binary, true),
      file(
        windows ? 'launcher.cmd' : 'launcher',
        packagedLauncher(read(`bin/${bin}`).toString(), windows),
        true,
      ),
      ...(product === 'agent' ? releaseRoot() : []),
      file('sbom.json', sbom({ name: packageName, version, target }, build, parts)),
    ],
    below('program', program(product, build.version)),
    below('addons', addons(platform[target], lock)),
    below(
      'licences',
      licences(
        target,
        bundled,
        { version: build.version, files: nodeFiles },
        nodeBuild('linux-x64'),
      ),
    ),
  );
}

/**
 * The vendor's root, by which the agent verifies releases (docs/releases.md); an agent without one
 * takes none.
 */
function releaseRoot(): Tree {
  const path = process.env['ALIQUOT_RELEASE_ROOT'];
  return path === undefined || path === '' ? [] : [file('release-root.json', readFileSync(path))];
}

/**
 * The bundle with the flags of this Node, and without its source maps: these are half of it, and a
 * trace names the bundle's own lines.
 */
function program(product: Product, nodeVersion: string): Tree {
  const folder = join(root, product, 'dist/program');
  const files = readdirSync(folder)
    .filter((name) => !/\.map$|^(BUNDLED|THIRD-PARTY)\.txt$|^node-flags$/.test(name))
    .map((name) => file(name, readFileSync(join(folder, name))));
  return [...files, file('node-flags', nodeFlagsFile(product, nodeVersion))];
}

/**
 * Signed where `ALIQUOT_SIGN` says how. What is not installed here, because it is for another
 * platform, npm fetches by the lock.
 */
function addons(platform: string, lock: string): Tree {
  return addonsFor(platform).map(({ name, file: path }) => {
    const { packageName, within } = moduleFile(path);
    const installed = join(root, 'node_modules', path);
    const bytes = existsSync(installed)
      ? readFileSync(installed)
      : fetchPackage(lockedPackage(lock, packageName)).get(within);
    if (bytes === undefined) throw new Error(`${packageName} has no ${within}`);
    return signed(file(`${platform}/${name}.node`, bytes));
  });
}
