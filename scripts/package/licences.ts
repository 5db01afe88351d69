import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fetchPackage, type Locked } from './npm.ts';
import { root, type Target } from './targets.ts';
import { file, type Tree } from './tree.ts';

/** A library in an addon, and where the text of its licence lies in the clone. */
interface NativeLibrary {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  readonly text: string;
}

const LEVEL = 'node_modules/classic-level/deps';

/** What is compiled into the addon of classic-level. */
const inLevel: readonly NativeLibrary[] = [
  {
    name: 'LevelDB',
    version: '1.20',
    license: 'BSD-3-Clause',
    text: `${LEVEL}/leveldb/leveldb-1.20/LICENSE`,
  },
  {
    name: 'Snappy',
    version: '1.1.4',
    license: 'BSD-3-Clause',
    text: `${LEVEL}/snappy/snappy/COPYING`,
  },
];

/** koffi's part for Windows, whose npm package brings no licence text. */
function koffi(): NativeLibrary {
  const { optionalDependencies } = JSON.parse(
    readFileSync(join(root, 'shared/package.json'), 'utf8'),
  );
  const version: string = optionalDependencies['@koromix/koffi-win32-x64'];
  return { name: 'koffi', version, license: 'MIT', text: 'scripts/package/koffi-licence.txt' };
}

/** Libraries of a target that are not bundled npm packages, for the list of parts. */
export function nativeLibraries(target: Target): readonly NativeLibrary[] {
  return target.startsWith('win-') ? [...inLevel, koffi()] : inLevel;
}

/**
 * The licences of all that a package carries: ours, those of the bundled packages
 * (`thirdParty`, as the bundler wrote it), of what is compiled into the addons, and Node's, which
 * holds those of V8, OpenSSL and its other parts.
 */
export function licences(
  target: Target,
  thirdParty: string,
  node: ReadonlyMap<string, Buffer>,
  linuxNode: Locked,
): Tree {
  const native = nativeLibraries(target).map(
    ({ name, version, license, text }) =>
      `${name} ${version} (${license})\n\n${readFileSync(join(root, text), 'utf8').trim()}\n`,
  );
  // Not every build of Node on npm brings its licence.
  const nodeLicence = node.get('LICENSE') ?? fetchPackage(linuxNode).get('LICENSE');
  if (nodeLicence === undefined)
    throw new Error(`${linuxNode.name}@${linuxNode.version} has no LICENSE`);
  return [
    file('LICENSE', readFileSync(join(root, 'LICENSE'))),
    file('NODE.txt', nodeLicence),
    file('THIRD-PARTY.txt', [thirdParty.trimEnd(), ...native].join(`\n\n${'-'.repeat(80)}\n\n`)),
  ];
}
