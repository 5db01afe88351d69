import { existsSync } from 'node:fs';
import { enableCompileCache } from 'node:module';
import { fileURLToPath } from 'node:url';

/**
 * Lets Node keep compiled code in `compile-cache` beside the program's folder, which halves the
 * start of a command. Only where that folder is there already: a build makes it, and a package may;
 * a place that this had to make first might be one where others can make it too, and plant code.
 * Where this user may not write, nothing is kept and nothing fails.
 */
export function keepCompiledCode(): void {
  if (import.meta.url.endsWith('.ts')) return;
  const folder = fileURLToPath(new URL('../compile-cache', import.meta.url));
  if (existsSync(folder)) enableCompileCache(folder);
}
