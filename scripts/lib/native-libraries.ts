import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');

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

/**
 * What the addons of a program hold, beside the npm packages that are bundled: for this system, in
 * Node's words.
 */
export function nativeLibraries(system: string): readonly NativeLibrary[] {
  return system === 'win32' ? [...inLevel, koffi()] : inLevel;
}

const SECTION = `\n\n${'-'.repeat(80)}\n\n`;

/**
 * THIRD-PARTY.txt: all that a program is shipped with. The bundled packages (`bundled`, as the
 * bundler wrote it), what is compiled into its addons for this system, and Node, whose own licence
 * names its parts and lies where `licence` says.
 */
export function thirdPartyText(
  bundled: string,
  system: string,
  node: { readonly version: string; readonly licence: string },
): string {
  const native = nativeLibraries(system).map(
    ({ name, version, license, text }) =>
      `${name} ${version} (${license})\n\n${readFileSync(join(root, text), 'utf8').trim()}\n`,
  );
  const runtime = `Node.js ${node.version} (MIT)\n\nIts licence, with those of V8, OpenSSL, libuv and its other parts: ${node.licence}\n`;
  return [bundled.trimEnd(), ...native, runtime].join(SECTION);
}
