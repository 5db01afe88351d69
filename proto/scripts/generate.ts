/**
 * Makes `src/gen/messages.js` and its types from `schema/*.proto`.
 *
 * Two passes of pbjs: the types are derived from doc comments, which the module itself should not
 * carry to every start of an agent (they are two fifths of its bytes). With `--if-stale` nothing is
 * done while the module is newer than the schema: so a build of this room alone works in a fresh
 * clone, and costs nothing after turbo has run `generate`.
 */
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import pbjs from 'protobufjs-cli/pbjs.js';

const room = join(import.meta.dirname, '..');
const schema = join(room, 'schema');
const target = join(room, 'src', 'gen');
const main = promisify(pbjs.main);

const options = [
  '-t',
  'static-module',
  '-w',
  'esm',
  '-r',
  'aliquot',
  '--dependency',
  'protobufjs/minimal.js',
  '-p',
  schema,
];
// Only encode and decode are used: the door checks and converts by its own rules.
const lean = [
  '--no-create',
  '--no-verify',
  '--no-convert',
  '--no-delimited',
  '--no-typeurl',
  '--no-service',
  '--force-long',
];
const sources = readdirSync(schema)
  .filter((name) => name.endsWith('.proto'))
  .sort()
  .map((name) => join(schema, name));

const changedMs = (path: string): number => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
const newestSource = Math.max(...[...sources, import.meta.filename].map(changedMs));
if (process.argv.includes('--if-stale') && changedMs(join(target, 'messages.js')) > newestSource)
  process.exit(0);

mkdirSync(target, { recursive: true });
// Made aside and renamed, so that a test that runs meanwhile never loads half a module.
const aside = mkdtempSync(join(target, 'making-'));
try {
  await main([...options, ...lean, '--dts', '-o', join(aside, 'messages.js'), ...sources]);
  renameSync(join(aside, 'messages.d.ts'), join(target, 'messages.d.ts'));
  await main([...options, ...lean, '--no-comments', '-o', join(aside, 'messages.js'), ...sources]);
  renameSync(join(aside, 'messages.js'), join(target, 'messages.js'));
} finally {
  rmSync(aside, { recursive: true, force: true });
}
