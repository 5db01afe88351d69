/**
 * Carries the generated module into `dist`: the compiler copies neither JavaScript nor declaration
 * files.
 */
import { cpSync } from 'node:fs';
import { join } from 'node:path';

const room = join(import.meta.dirname, '..');
cpSync(join(room, 'src', 'gen'), join(room, 'dist', 'gen'), { recursive: true });
