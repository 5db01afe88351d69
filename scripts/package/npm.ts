import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { readTar } from './tar.ts';

/** A package of npm as a lock names it; `integrity` is npm's `sha512-` and base64. */
export interface Locked {
  readonly name: string;
  readonly version: string;
  readonly integrity: string;
}

/**
 * The files of a package for another platform than this one, which `npm ci` does not install. npm
 * itself fetches it, from the registry that this machine uses, or from npm's cache; what it brings
 * must be what the lock says.
 */
export function fetchPackage({ name, version, integrity }: Locked): ReadonlyMap<string, Buffer> {
  const folder = mkdtempSync(join(tmpdir(), 'aliquot-package-'));
  try {
    const args = [
      'pack',
      `${name}@${version}`,
      '--json',
      '--ignore-scripts',
      '--pack-destination',
      folder,
    ];
    const { status, stdout, stderr } = spawnSync('npm', args, { cwd: folder, encoding: 'utf8' });
    if (status !== 0)
      throw new Error(`npm could not fetch ${name}@${version}: ${lastError(stderr)}`);
    const [packed] = JSON.parse(stdout) as readonly { readonly filename: string }[];
    if (packed === undefined) throw new Error(`npm packed nothing for ${name}@${version}`);
    // Scoped packages: npm tells "@a/b-1.0.0.tgz" and writes "a-b-1.0.0.tgz".
    const bytes = readFileSync(join(folder, packed.filename.replace(/^@/, '').replace('/', '-')));
    checkIntegrity(bytes, { name, version, integrity });
    const files = readTar(gunzipSync(bytes));
    return new Map([...files].map(([path, content]) => [path.replace(/^[^/]+\//, ''), content]));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Throws unless the packed bytes are those that the lock names. */
export function checkIntegrity(bytes: Buffer, { name, version, integrity }: Locked): void {
  const found = `sha512-${createHash('sha512').update(bytes).digest('base64')}`;
  if (found !== integrity)
    throw new Error(
      `${name}@${version} is not what the lock names: it has ${found}, the lock ${integrity}`,
    );
}

function lastError(stderr: string): string {
  const lines = stderr
    .split('\n')
    .filter((line) => /^npm (error|ERR!)/.test(line) && !line.includes('complete log'));
  return (
    lines
      .map((line) => line.replace(/^npm (error|ERR!) ?/, ''))
      .filter(Boolean)
      .slice(0, 2)
      .join('; ') || 'npm said nothing'
  );
}

/** A package as the project's own lock file names it, installed here or not. */
export function lockedPackage(lock: string, name: string): Locked {
  const { packages } = JSON.parse(lock) as {
    readonly packages: Record<string, { readonly version: string; readonly integrity?: string }>;
  };
  const found = packages[`node_modules/${name}`];
  if (found?.integrity === undefined) throw new Error(`package-lock.json does not name ${name}`);
  return { name, version: found.version, integrity: found.integrity };
}

/** A file below `node_modules` by its package, scoped or not, and its path in there. */
export function moduleFile(path: string): {
  readonly packageName: string;
  readonly within: string;
} {
  const [packageName = '', within = ''] = path.split(/(?<=^(?:@[^/]+\/)?[^@/]+)\//);
  return { packageName, within };
}
