import { currentLauncher } from './launcher.ts';
import { names } from './targets.ts';
import { below, file, type Tree, tree } from './tree.ts';
import { isWindows, type Order } from './version-folder.ts';

/** The folder must be there, or nothing is kept (shared/src/cli/compile-cache.ts); whoever may write in it may change the program. */
const cacheWords = 'Compiled code that Node keeps between starts. Without this folder nothing is kept.\n';

/**
 * A folder install: `current` names the version that runs, `versions/` holds each, and
 * `bin/COMMAND` starts the current one. The service host joins it where there is one.
 */
export function folderInstall({ product, target, version }: Order, content: Tree): Tree {
  const windows = isWindows(target);
  const { command } = names[product];
  return tree(
    [file('current', `${version}\n`), file(`bin/${command}${windows ? '.cmd' : ''}`, currentLauncher(command, windows), true)],
    below(`versions/${version}`, [...content, file('compile-cache/README.txt', cacheWords)]),
  );
}
