import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { copyFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { SmallVersion, Vendor } from '@aliquot/shared/testing/release/vendor';
import { pinnedNode } from '../../scripts/lib/pinned-node.ts';
import { packagedLauncher } from '../../scripts/package/launcher.ts';

/**
 * Folder installs as `npm run package` lays them out, made of this build; what is not whole of it
 * says so by not starting.
 */

const project = join(import.meta.dirname, '../..');
export const platform = `linux-${process.arch === 'arm64' ? 'arm64' : 'x64'}` as const;
const node = pinnedNode().binary;

/** The files of a version, with another launcher where it is a bad one. */
export function filesOf(launcher = goodLauncher()): Record<string, Buffer> {
  const files: Record<string, Buffer> = {
    'launcher*': Buffer.from(launcher),
    'compile-cache/README.txt': Buffer.from('Kept code.\n'),
  };
  const program = join(project, 'agent/dist/program');
  for (const name of readdirSync(program)) {
    if (!/\.map$|^(BUNDLED|THIRD-PARTY)\.txt$/.test(name))
      files[`program/${name}`] = readFileSync(join(program, name));
  }
  const addons = join(project, 'agent/dist/addons', platform);
  for (const name of readdirSync(addons))
    files[`addons/${platform}/${name}`] = readFileSync(join(addons, name));
  return files;
}

/** What starts the program of a version, as packages have it. */
export function goodLauncher(): string {
  return packagedLauncher(readFileSync(join(project, 'bin/aliquot-agent'), 'utf8'), false);
}

/**
 * The same program, which first or meanwhile does something that it should not; `more` is shell.
 */
export function badLauncher(more: string): string {
  return goodLauncher().replace(/^#!.*\n/, (line) => `${line}${more}\n`);
}

export function smallVersion(
  version: string,
  files: Readonly<Record<string, Buffer>>,
): SmallVersion {
  return { version, platform, node: readFileSync(node), nodeVersion: '24.0.0', files };
}

/** An install folder with one version and the service host. */
export async function install(
  root: string,
  version: string,
  host: string,
  vendor: Vendor,
): Promise<void> {
  const folder = join(root, 'versions', version);
  for (const [name, bytes] of Object.entries(filesOf())) {
    const path = join(folder, name.replace('*', ''));
    mkdirSync(join(path, '..'), { recursive: true });
    writeFileSync(path, bytes, { mode: name.endsWith('*') ? 0o755 : 0o644 });
  }
  putNode(join(folder, 'node'));
  writeFileSync(join(folder, 'release-root.json'), vendor.root);
  writeFileSync(join(root, 'current'), `${version}\n`);
  await mkdir(root, { recursive: true });
  await copyFile(host, join(root, 'host'));
}

function putNode(path: string): void {
  try {
    linkSync(node, path);
  } catch {
    cpSync(node, path); // another disk
  }
}

/** The host of an install folder, running the agent. */
export class Host {
  readonly root: string;
  readonly data: string;
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  said = '';

  constructor(root: string, data: string) {
    [this.root, this.data] = [root, data];
    this.#child = spawn(join(root, 'host'), ['run', '--data', data], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#child.stderr?.on('data', (bytes: Buffer) => {
      this.said += bytes.toString();
    });
    this.#ended = once(this.#child, 'exit');
  }

  /** A file of the install folder; empty when it is not there. */
  text(name: string): string {
    const path = join(this.root, name);
    return existsSync(path) ? readFileSync(path, 'utf8') : '';
  }

  /** Waits until the host, or the agent under it, has come so far. */
  async until(what: string, reached: () => boolean): Promise<void> {
    while (!reached()) {
      if (this.#child.exitCode !== null)
        throw new Error(`the host ended before ${what}: ${this.said.slice(-3000)}`);
      await setTimeout(100);
    }
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGTERM');
    await this.#ended;
  }

  /** Ends it at once, and with it, a moment later, the agent. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
    await setTimeout(1000);
  }
}
