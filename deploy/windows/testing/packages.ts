import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { folderInstall } from '../../../scripts/package/folder-install.ts';
import { buildHost } from '../../../scripts/package/host.ts';
import { file, type Tree, tree, writeFolder } from '../../../scripts/package/tree.ts';
import { versionFolder } from '../../../scripts/package/version-folder.ts';
import { buildSetup } from '../../../scripts/package/windows-setup.ts';

/** What makes a version of the agent another one: a test's broken program, say. */
export type PackageChange = (content: Tree) => Tree;

/**
 * A setup of the agent, as `npm run package` makes it, only packed in a hurry. Returns its path.
 * Test only.
 */
export function makeSetup(
  folder: string,
  version: string,
  node: string | undefined,
  change: PackageChange = (content) => content,
): string {
  const order = {
    product: 'agent',
    target: 'win-x64',
    version,
    ...(node === undefined ? {} : { node }),
  } as const;
  const setup = join(folder, `aliquot-agent-${version}-setup.exe`);
  if (existsSync(setup)) return setup;
  const installed = join(folder, `install-${version}`);
  writeFolder(
    installed,
    tree(folderInstall(order, change(versionFolder(order))), [
      file('host.exe', buildHost(version), true),
    ]),
  );
  writeFileSync(setup, buildSetup(installed, version, 1, true));
  return setup;
}

/** A version whose program is another text. */
export const withProgram =
  (text: string): PackageChange =>
  (content) =>
    content.map((entry) => (entry.path === 'program/main.js' ? file(entry.path, text) : entry));
