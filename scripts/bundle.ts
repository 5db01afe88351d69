/**
 * `node scripts/bundle.ts agent|collector`: makes the few files of `dist/program` out of a
 * program's sources and its libraries. A start that finds, opens and links forty files instead of
 * four hundred takes half the time; what a command loads only when it runs stays in files of its
 * own. Not minified: the names in a stack trace remain readable, and compiled code is kept anyhow
 * (`shared/src/cli/compile-cache.ts`).
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { build, type Plugin } from 'rolldown';
import { nodeFlagsFile, type Program } from '../deploy/node-flags.ts';
import { copyAddons, nativeAddons, neverInstalled, nothingOutside } from './lib/addons.ts';
import { thirdPartyText } from './lib/native-libraries.ts';
import { oneByte } from './lib/one-byte.ts';
import { pinnedNode } from './lib/pinned-node.ts';
import { listThirdParty } from './lib/third-party.ts';

const root = join(import.meta.dirname, '..');

/**
 * Scripts of worker threads become programs beside the one that starts them, where `new
 * URL('./x.js', import.meta.url)` looks.
 */
const workers: Plugin = {
  name: 'workers',
  transform: {
    filter: { code: /new URL\(.*import\.meta\.url\)/, id: { exclude: /node_modules/ } },
    handler(code, id) {
      for (const [, name = ''] of code.matchAll(
        /new URL\(.*'\.\/([\w-]+)\.js', import\.meta\.url\)/g,
      )) {
        const script = join(dirname(id), `${name}.ts`);
        if (!existsSync(script))
          this.error(
            `${relative(root, id)} starts ${name}.js, and there is no ${name}.ts beside it`,
          );
        this.emitFile({ type: 'chunk', id: script, fileName: `${name}.js` });
      }
      return null;
    },
  },
};

/**
 * Bundles the program that begins in `main`, and the workers that it starts, into `folder`, which
 * holds nothing else afterwards; its native addons come into `addons` beside it. Throws also for
 * what the bundler only warns of, and for a module that would be looked for outside.
 */
export async function bundle(main: string, folder: string): Promise<void> {
  await build({
    cwd: root,
    input: { main },
    platform: 'node',
    resolve: { conditionNames: ['aliquot-source', 'node', 'module', 'default'] },
    plugins: [nativeAddons, neverInstalled, nothingOutside, workers, listThirdParty('BUNDLED.txt')],
    output: {
      dir: folder,
      cleanDir: true,
      format: 'esm',
      // All in one folder, so that what is beside a source file is beside the bundled one. No
      // hashes: the names stand in stack traces.
      entryFileNames: '[name].js',
      chunkFileNames: 'part-[name].js',
      // Read only where somebody wants to debug: shared/src/cli/source-maps.ts.
      sourcemap: true,
    },
    onLog: (level, log) => {
      if (level === 'warn') throw new Error(`bundling ${relative(root, main)}: ${log.message}`);
    },
  });
  for (const name of readdirSync(folder).filter((entry) => entry.endsWith('.js'))) {
    const path = join(folder, name);
    writeFileSync(path, oneByte(readFileSync(path, 'utf8'), name));
  }
  // Node asks the nearest package.json what kind of modules these are, and must not have to look
  // for it in the folders above.
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}\n');
  writeFileSync(join(folder, 'openssl.cnf'), OPENSSL_SETTINGS);
  copyAddons(join(folder, '../addons'));
}

/**
 * OpenSSL's settings can name libraries to load; launchers point Node to this file instead of the
 * machine's.
 */
const OPENSSL_SETTINGS =
  '# Empty on purpose: what this machine sets for OpenSSL, such as modules to load, is not for this program.\n';

const CACHE_WORDS = `Compiled code that Node keeps between starts (shared/src/cli/compile-cache.ts). Where this folder is missing, nothing is kept.
`;

/**
 * What only a clone has: a place for compiled code, the flags of the Node that its launchers start,
 * and the licences of all of it. Packages have their own of each.
 */
function finishClone(program: Program, dist: string): void {
  const cache = join(dist, 'compile-cache');
  rmSync(cache, { recursive: true, force: true });
  mkdirSync(cache);
  writeFileSync(join(cache, 'README.txt'), CACHE_WORDS);
  const { name, version } = pinnedNode();
  const inProgram = (file: string) => join(dist, 'program', file);
  writeFileSync(inProgram('node-flags'), nodeFlagsFile(program, version));
  const bundled = readFileSync(inProgram('BUNDLED.txt'), 'utf8');
  const licence = `node_modules/${name}/LICENSE`;
  writeFileSync(
    inProgram('THIRD-PARTY.txt'),
    thirdPartyText(bundled, process.platform, { version, licence }),
  );
}

if (import.meta.main) {
  const [, , room = ''] = process.argv;
  const program = room === 'agent' || room === 'collector' ? room : undefined;
  const main = join(root, room, 'src', 'main.ts');
  if (program === undefined) throw new Error('usage: node scripts/bundle.ts agent|collector');
  await bundle(main, join(root, room, 'dist', 'program'));
  finishClone(program, join(root, room, 'dist'));
}
