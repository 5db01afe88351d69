import { spawnSync } from 'node:child_process';
import { root } from './targets.ts';

/**
 * Runs a tool of packaging in the project's root; throws with its own words when it fails, or with
 * where it comes from when it is missing.
 */
export function run(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): void {
  const { error, status, stdout, stderr } = spawnSync(command, args, {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, LC_ALL: 'C', ...env },
  });
  if (error !== undefined)
    throw new Error(
      `there is no ${command}; on Debian: apt-get install ${packages[command] ?? command}`,
    );
  if (/fatal error: .*: No such file/.test(stderr))
    throw new Error(
      `${command} has no headers; on Debian: apt-get install ${packages[command] ?? command}`,
    );
  if (status !== 0)
    throw new Error(
      `${command} failed: ${(stderr + stdout).trim().split('\n').slice(-5).join(' | ')}`,
    );
}

const packages: Readonly<Record<string, string>> = {
  'dpkg-deb': 'dpkg',
  rpmbuild: 'rpm',
  'musl-gcc': 'musl-tools',
  'x86_64-linux-gnu-strip': 'binutils-x86-64-linux-gnu',
  'aarch64-linux-gnu-strip': 'binutils-aarch64-linux-gnu',
  'aarch64-linux-gnu-gcc': 'gcc-aarch64-linux-gnu libc6-dev-arm64-cross',
};
