/**
 * `node scripts/bundle.ts agent|collector`: makes the few files of `dist/program` out of a program's sources and its libraries. A start
 * that finds, opens and links forty files instead of four hundred takes half the time; what a command loads only when it runs stays in files of its
 * own. Not minified: the names in a stack trace remain readable, and compiled code is kept anyhow (`shared/src/cli/compile-cache.ts`).
 */
import { existsSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { build, type Plugin } from 'rolldown';
import { listThirdParty } from './lib/third-party.ts';

const root = join(import.meta.dirname, '..');

/** Natives that `ws` would use if somebody installed them; nobody does. */
const neverInstalled = ['bufferutil', 'utf-8-validate'];

/** All of level is bundled but the line that finds its native part. */
const levelBinding: Plugin = {
  name: 'level-binding',
  resolveId: {
    filter: { id: /^\.\/binding$/ },
    handler: (_id, importer) =>
      importer !== undefined && basename(dirname(importer)) === 'classic-level' ? { id: 'classic-level/binding.js', external: true } : null,
  },
};

/** Scripts of worker threads become programs beside the one that starts them, where `new URL('./x.js', import.meta.url)` looks. */
const workers: Plugin = {
  name: 'workers',
  transform: {
    filter: { code: /new URL\(.*import\.meta\.url\)/, id: { exclude: /node_modules/ } },
    handler(code, id) {
      for (const [, name = ''] of code.matchAll(/new URL\(.*'\.\/([\w-]+)\.js', import\.meta\.url\)/g)) {
        const script = join(dirname(id), `${name}.ts`);
        if (!existsSync(script)) this.error(`${relative(root, id)} starts ${name}.js, and there is no ${name}.ts beside it`);
        this.emitFile({ type: 'chunk', id: script, fileName: `${name}.js` });
      }
      return null;
    },
  },
};

/**
 * Bundles the program that begins in `main`, and the workers that it starts, into `folder`, which holds nothing else afterwards.
 * Throws also for what the bundler only warns of.
 */
export async function bundle(main: string, folder: string): Promise<void> {
  await build({
    cwd: root,
    input: { main },
    platform: 'node',
    resolve: { conditionNames: ['aliquot-source', 'node', 'module', 'default'] },
    external: neverInstalled,
    plugins: [levelBinding, workers, listThirdParty('THIRD-PARTY.txt')],
    output: {
      dir: folder,
      cleanDir: true,
      format: 'esm',
      // All in one folder, so that what is beside a source file is beside the bundled one. No hashes: the names stand in stack traces.
      entryFileNames: '[name].js',
      chunkFileNames: 'part-[name].js',
      // Read only where somebody wants to debug: shared/src/cli/source-maps.ts.
      sourcemap: true,
    },
    onLog: (level, log) => {
      if (level === 'warn') throw new Error(`bundling ${relative(root, main)}: ${log.message}`);
    },
  });
}

if (import.meta.main) {
  const [, , room = ''] = process.argv;
  const main = join(root, room, 'src', 'main.ts');
  if (!existsSync(main)) throw new Error('usage: node scripts/bundle.ts agent|collector');
  await bundle(main, join(root, room, 'dist', 'program'));
}
