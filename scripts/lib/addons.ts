import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { basename, dirname, join } from 'node:path';
import type { Plugin } from 'rolldown';

const root = join(import.meta.dirname, '../..');

/**
 * The native addons: for each platform, in Node's words, the file in `node_modules` that a program
 * loads there.
 */
const addons: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'classic-level': {
    'linux-x64': 'classic-level/prebuilds/linux-x64/classic-level.node',
    'linux-arm64': 'classic-level/prebuilds/linux-arm64/classic-level.armv8.node',
    'darwin-x64': 'classic-level/prebuilds/darwin-x64+arm64/classic-level.node',
    'darwin-arm64': 'classic-level/prebuilds/darwin-x64+arm64/classic-level.node',
    'win32-x64': 'classic-level/prebuilds/win32-x64/classic-level.node',
  },
  koffi: { 'win32-x64': '@koromix/koffi-win32-x64/win32_x64/koffi.node' },
};

/**
 * Puts `addons/PLATFORM-ARCH/NAME.node` beside a program, for every platform that is installed
 * here: so a program finds its addons in a clone and in a package by the same way, which leads out
 * of neither.
 */
export function copyAddons(folder: string): void {
  for (const [name, files] of Object.entries(addons)) {
    for (const [platform, file] of Object.entries(files)) {
      const source = join(root, 'node_modules', file);
      if (!existsSync(source)) continue;
      mkdirSync(join(folder, platform), { recursive: true });
      copyFileSync(source, join(folder, platform, `${name}.node`));
    }
  }
}

/**
 * The addons for one platform, each by its name and its file in `node_modules`, which may not be
 * installed here.
 */
export function addonsFor(
  platform: string,
): readonly { readonly name: string; readonly file: string }[] {
  return Object.entries(addons).flatMap(([name, files]) =>
    files[platform] === undefined ? [] : [{ name, file: files[platform] }],
  );
}

const LOADING = '\0addon:';

/**
 * All of level is bundled; the line that finds its native part is ours. Of koffi there is only the
 * native part.
 */
export const nativeAddons: Plugin = {
  name: 'native-addons',
  resolveId: {
    filter: { id: /^(\.\/binding|@koromix\/koffi-win32-x64)$/ },
    handler: (id, importer) => {
      if (id !== './binding') return `${LOADING}koffi`;
      return importer !== undefined && basename(dirname(importer)) === 'classic-level'
        ? `${LOADING}classic-level`
        : null;
    },
  },
  load(id) {
    if (!id.startsWith(LOADING)) return null;
    const loader = JSON.stringify(join(root, 'shared/src/addon.ts'));
    return `module.exports = require(${loader}).loadAddon(${JSON.stringify(id.slice(LOADING.length))});`;
  },
};

const ABSENT = '\0absent:';

/**
 * What libraries would use if somebody installed it (natives of `ws`, colours of `debug`); nobody
 * does, and a user who may write in a folder above the program must not be able to. So the bundle
 * itself says that they are not there.
 */
export const neverInstalled: Plugin = {
  name: 'never-installed',
  resolveId: {
    filter: { id: /^(bufferutil|utf-8-validate|supports-color)$/ },
    handler: (id) => `${ABSENT}${id}`,
  },
  load: (id) =>
    id.startsWith(ABSENT)
      ? `module.exports = {}; throw new Error('${id.slice(ABSENT.length)} is never installed');`
      : null,
};

/**
 * Refuses a bundle that would still ask Node for a package: what stands in a `try` is left alone by
 * the bundler silently, and Node would look for it in every folder above the program.
 */
export const nothingOutside: Plugin = {
  name: 'nothing-outside',
  generateBundle(_options, files) {
    for (const file of Object.values(files)) {
      if (file.type !== 'chunk') continue;
      const asked = [
        ...file.imports,
        ...file.dynamicImports,
        ...[...file.code.matchAll(/\b__require\("([^"]+)"\)/g)].map(([, name = '']) => name),
      ];
      const outside = asked.find((name) => !isBuiltin(name) && files[name] === undefined);
      if (outside !== undefined)
        throw new Error(
          `${file.fileName} would look for ${outside} outside of the program: bundle it, or name it in neverInstalled (scripts/lib/addons.ts)`,
        );
    }
  },
};
