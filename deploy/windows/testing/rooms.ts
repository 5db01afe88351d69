import { spawnSync } from 'node:child_process';
import { existsSync, globSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fetchPackage, lockedPackage } from '../../../scripts/package/npm.ts';
import { type Check, type LifetimePlace, must } from './lifetime.ts';
import type { TestTally } from './vitest-stand-in.ts';

const root = join(import.meta.dirname, '../../..');
const wineScript = join(import.meta.dirname, '../wine.sh');
/** Files of one process: so one that dies, or holds on to memory, does not take all with it. */
const FILES_AT_ONCE = 25;
const KOFFI_NAME = '@koromix/koffi-win32-x64';

/** A line of what run-tests.ts tells. */
interface Line {
  readonly file?: string;
  /** It begins now. */
  readonly test?: string;
  readonly tally?: TestTally;
  readonly loose?: string;
}

/** The counts of all files. */
interface Counts {
  passed: number;
  failed: number;
  skipped: number;
  readonly posix: Map<string, number>;
}

const onWindows = (path: string): string => `Z:${path.replaceAll('/', '\\')}`;
const indented = (text: string, lines: number): string =>
  text.split('\n').slice(0, lines).join('\n').replace(/^/gm, '       ');

/** The rooms' own tests, or those whose files' paths hold one of the texts, on Windows' Node. */
export async function rooms(
  { windows: { folder } }: LifetimePlace,
  check: Check,
  only: readonly string[],
): Promise<void> {
  const files = globSync(
    ['{proto,shared,agent,collector}/{src,testing}/**/*.test.ts', 'test/pair/**/*.test.ts'],
    {
      cwd: root,
    },
  )
    .sort()
    .filter((file) => only.length === 0 || only.some((part) => file.includes(part)));
  const { passed, failed, skipped, posix } = runAll(folder, files);
  const reasons = [...posix].sort((a, b) => b[1] - a[1]);
  for (const [reason, many] of reasons)
    console.log(`    ${String(many).padStart(4)} only for POSIX: ${reason}`);
  if (skipped > 0) console.log(`    ${String(skipped).padStart(4)} skipped for another reason`);
  console.log(
    `  ${passed} passed, ${failed} failed, ${reasons.reduce((sum, [, many]) => sum + many, 0)} only for POSIX`,
  );
  await check('the rooms’ own tests pass', async () =>
    must(failed === 0 && passed > 0, `${failed} failed, each named above`),
  );
}

/**
 * Runs all, a process after the other; the file at which one died counts as failed, and those
 * behind it get another.
 */
function runAll(folder: string, files: readonly string[]): Counts {
  const counts: Counts = { passed: 0, failed: 0, skipped: 0, posix: new Map() };
  const koffi = koffiIn(folder);
  let left = [...files];
  while (left.length > 0) {
    const lines = runIn(folder, koffi, left.slice(0, FILES_AT_ONCE));
    let done = 0;
    for (const { file, tally, loose } of lines) {
      if (tally !== undefined) {
        done += 1;
        count(nameOf(file), tally, counts);
      } else if (loose !== undefined)
        console.log(`       beside ${nameOf(file)}: ${loose.split('\n')[0]}`);
    }
    if (done < Math.min(FILES_AT_ONCE, left.length)) {
      counts.failed += 1;
      const said = readFileSync(join(folder, 'tests.err'), 'utf8')
        .replaceAll('\r', '')
        .trimEnd()
        .split('\n')
        .slice(-15);
      const last =
        lines.findLast(({ test }) => test !== undefined)?.test ?? 'before its first test';
      console.log(
        `    FAIL ${left[done]}: its process died (${last})\n${indented(said.join('\n'), 15)}`,
      );
      done += 1;
    }
    left = left.slice(done);
  }
  return counts;
}

function nameOf(path = ''): string {
  return path.slice(onWindows(root).length + 1).replaceAll('\\', '/');
}

function count(file: string, { passed, failed, skipped, posix }: TestTally, counts: Counts): void {
  counts.passed += passed;
  counts.failed += failed.length;
  counts.skipped += skipped;
  for (const [reason, many] of Object.entries(posix))
    counts.posix.set(reason, (counts.posix.get(reason) ?? 0) + many);
  if (failed.length === 0) return;
  console.log(`    FAIL ${file}: ${passed} passed, ${failed.length} failed`);
  for (const { name, says } of failed) console.log(`      ${name}\n${indented(says, 12)}`);
}

/** Runs files in one process of Windows and answers with what it told, line by line. */
function runIn(folder: string, koffi: string, files: readonly string[]): readonly Line[] {
  const at = (name: string): string => join(folder, name);
  writeFileSync(at('tests.list'), files.map((file) => `${onWindows(join(root, file))}\n`).join(''));
  writeFileSync(at('tests.told'), '');
  const hooks = `--import=file:///Z:${join(import.meta.dirname, 'hooks.ts')}`;
  const program = [
    join(import.meta.dirname, 'run-tests.ts'),
    at('tests.list'),
    at('tests.told'),
  ].map(onWindows);
  spawnSync(wineScript, ['run', folder, 'node', '--conditions=aliquot-source', hooks, ...program], {
    env: { ...process.env, ALIQUOT_TEST_KOFFI: onWindows(koffi) },
    stdio: ['ignore', openSync(at('tests.out'), 'w'), openSync(at('tests.err'), 'w')],
  });
  const told = readFileSync(at('tests.told'), 'utf8').split('\n');
  return told.filter((line) => line !== '').map((line): Line => JSON.parse(line));
}

/** koffi's part for Windows, which `npm ci` installs on Windows only. */
function koffiIn(folder: string): string {
  const index = join(folder, 'koffi/index.js');
  if (existsSync(index)) return index;
  const lock = readFileSync(join(root, 'package-lock.json'), 'utf8');
  for (const [path, bytes] of fetchPackage(lockedPackage(lock, KOFFI_NAME))) {
    mkdirSync(dirname(join(folder, 'koffi', path)), { recursive: true });
    writeFileSync(join(folder, 'koffi', path), bytes);
  }
  return index;
}
