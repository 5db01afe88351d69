import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fetchPackage, type Locked } from './npm.ts';
import { root } from './targets.ts';
import { file, type Tree } from './tree.ts';

/** What is compiled into the addon of classic-level, and where its licence lies in npm's package. */
const inLevel: readonly { readonly name: string; readonly version: string; readonly license: string; readonly text: string }[] = [
  { name: 'LevelDB', version: '1.20', license: 'BSD-3-Clause', text: 'deps/leveldb/leveldb-1.20/LICENSE' },
  { name: 'Snappy', version: '1.1.7', license: 'BSD-3-Clause', text: 'deps/snappy/snappy/COPYING' },
];

/** Libraries that are not npm packages of their own, for the list of parts. */
export const nativeLibraries = inLevel.map(({ name, version, license }) => ({ name, version, license }));

/**
 * The licences of all that a package carries: ours, those of the bundled packages
 * (`thirdParty`, as the bundler wrote it), of what is compiled into the addons, and Node's, which
 * holds those of V8, OpenSSL and its other parts.
 */
export function licences(thirdParty: string, node: ReadonlyMap<string, Buffer>, linuxNode: Locked): Tree {
  const native = inLevel.map(
    ({ name, version, license, text }) =>
      `${name} ${version} (${license})\n\n${readFileSync(join(root, 'node_modules/classic-level', text), 'utf8').trim()}\n`,
  );
  // Not every build of Node on npm brings its licence.
  const nodeLicence = node.get('LICENSE') ?? fetchPackage(linuxNode).get('LICENSE');
  if (nodeLicence === undefined) throw new Error(`${linuxNode.name}@${linuxNode.version} has no LICENSE`);
  return [
    file('LICENSE', readFileSync(join(root, 'LICENSE'))),
    file('NODE.txt', nodeLicence),
    file('THIRD-PARTY.txt', [thirdParty.trimEnd(), ...native].join(`\n\n${'-'.repeat(80)}\n\n`)),
  ];
}
