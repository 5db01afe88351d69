import { join } from 'node:path';
import process from 'node:process';

/**
 * Loads a native addon of the installed program: the file `addons/PLATFORM-ARCH/NAME.node` beside
 * the folder that holds this code, and no other. Never by `require`, which would go on looking in
 * `node_modules` of every folder above, and on Windows anybody may make those in `C:\`. The bundler
 * puts this in the place of an addon's own loader (`scripts/lib/addons.ts`).
 *
 * Seam: imported by name only in bundles.
 *
 * @throws `ERR_DLOPEN_FAILED` where the file is missing or was made for another platform
 */
export function loadAddon(name: string): unknown {
  const addon = { exports: {} as unknown };
  process.dlopen(
    addon,
    join(
      import.meta.dirname,
      '..',
      'addons',
      `${process.platform}-${process.arch}`,
      `${name}.node`,
    ),
  );
  return addon.exports;
}
