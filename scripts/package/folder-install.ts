import { currentLauncher } from './launcher.ts';
import { names } from './targets.ts';
import { below, file, type Tree, tree } from './tree.ts';
import { isWindows, type Order } from './version-folder.ts';

/**
 * A folder install: `current` names the version that runs, `versions/` holds each, and
 * `bin/COMMAND` starts the current one. The service host joins it where there is one. No folder for
 * compiled code (shared/src/cli/compile-cache.ts): it spares a command some 20 ms, and costs the
 * service 5 to 10 MB for as long as it runs.
 */
export function folderInstall({ product, target, version }: Order, content: Tree): Tree {
  const windows = isWindows(target);
  const { command } = names[product];
  return tree(
    [
      file('current', `${version}\n`),
      file(`bin/${command}${windows ? '.cmd' : ''}`, currentLauncher(command, windows), true),
    ],
    below(`versions/${version}`, content),
  );
}
