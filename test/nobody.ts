import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** In front of a program: runs it as a user who owns nothing here. */
export const asNobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] as const;

let why: string | undefined | false = false;

/**
 * Why the built programs cannot be run as that user; undefined: they can, which is tried once. He
 * may not reach a checkout in a folder of root's own.
 */
export function whyNotAsNobody(): string | undefined {
  if (why === false) why = tried();
  return why;
}

function tried(): string | undefined {
  if (process.getuid?.() !== 0) return 'only root can be another user';
  const [setpriv, ...options] = asNobody;
  const program = fileURLToPath(new URL('../bin/aliquot', import.meta.url));
  const { status, error, stderr } = spawnSync(setpriv, [...options, program, '--version'], {
    encoding: 'utf8',
  });
  return status === 0 ? undefined : `another user cannot: ${error?.message ?? stderr.trim()}`;
}
