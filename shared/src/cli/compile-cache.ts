import { enableCompileCache } from 'node:module';
import { fileURLToPath } from 'node:url';

/**
 * Lets Node keep compiled code beside the installed program, which halves the start of a command. Beside the program, because
 * whoever may write there may change the program anyhow; a place such as /tmp would let others plant code. Where this user may not write,
 * nothing is kept and nothing fails.
 */
export function keepCompiledCode(program: string): void {
  if (import.meta.url.endsWith('.ts')) return;
  enableCompileCache(fileURLToPath(new URL(`../../../node_modules/.cache/${program}`, import.meta.url)));
}
