import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { thirdPartyText } from '../lib/native-libraries.ts';
import { fetchPackage, type Locked } from './npm.ts';
import { root, systemOf, type Target } from './targets.ts';
import { file, type Tree } from './tree.ts';

/**
 * The licences of all that a package carries: ours, those of the bundled packages (`bundled`, as
 * the bundler wrote it), of what is compiled into the addons, and Node's, which holds those of V8,
 * OpenSSL and its other parts.
 */
export function licences(
  target: Target,
  bundled: string,
  node: { readonly version: string; readonly files: ReadonlyMap<string, Buffer> },
  linuxNode: Locked,
): Tree {
  // Not every build of Node on npm brings its licence.
  const nodeLicence = node.files.get('LICENSE') ?? fetchPackage(linuxNode).get('LICENSE');
  if (nodeLicence === undefined)
    throw new Error(`${linuxNode.name}@${linuxNode.version} has no LICENSE`);
  const about = { version: node.version, licence: 'NODE.txt, beside this file' };
  return [
    file('LICENSE', readFileSync(join(root, 'LICENSE'))),
    file('NODE.txt', nodeLicence),
    file('THIRD-PARTY.txt', thirdPartyText(bundled, systemOf(target), about)),
  ];
}
