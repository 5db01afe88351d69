/**
 * `npm run release -- --keys DIR --packages DIR --out DIR [--previous DIR] [--make-keys |
 * --new-root]`: a release of the agent for `aliquot release add`, made of the archives of `npm run
 * package` and signed with the vendor's keys (docs/releases.md). `ALIQUOT_RELEASE_PASSPHRASE` opens
 * them.
 */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { listMetadata, rootMetadata, type VendorTarget } from '@aliquot/shared/release/repository';
import { targetFile, targetsMetadata } from '@aliquot/shared/release/targets';
import { makeKeys, releaseKeys, rootKeys } from './release/keys.ts';
import { agentArchives, type MadeTarget, partsOf } from './release/parts.ts';

const USAGE = `usage: npm run release -- --keys DIR --make-keys                 the vendor's keys, and the first root
       npm run release -- --keys DIR --new-root                  a root of other keys or a longer term
       npm run release -- --keys DIR --packages DIR --out DIR [--previous DIR]
--out is the folder of the release before, which grows and has everything; or, with --previous, a new one for what is new.`;

const DAY_MS = 86_400_000;
/**
 * A lab's collector hears of the vendor when somebody adds a release to it, perhaps once a year.
 * When this term is over PCs go on as they are and take no release from that list. A collector that
 * holds a newer release back is seen at the desk, whose settings name it, so a shorter term would
 * prove little and stop many.
 */
const LISTS_MS = 400 * DAY_MS;
/**
 * Root keys are brought together once in years. A PC that has an older root follows every newer one
 * to the last.
 */
const ROOT_MS = 5 * 365 * DAY_MS;

class UsageError extends Error {}

/** Makes the keys and the root that goes into packages. */
function initialise(keysDir: string, passphrase: string | undefined, nowMs: number): void {
  makeKeys(keysDir, passphrase);
  const { keys, all } = rootKeys(keysDir, passphrase);
  writeFileSync(join(keysDir, '1.root.json'), rootMetadata(keys, all, 1, nowMs + ROOT_MS));
  console.log(
    `made the vendor's keys in ${keysDir}; 1.root.json there goes into packages: ALIQUOT_RELEASE_ROOT=${keysDir}/1.root.json`,
  );
}

function newRoot(keysDir: string, passphrase: string | undefined, nowMs: number): void {
  const version = newestRoot(keysDir) + 1;
  const { keys, all } = rootKeys(keysDir, passphrase);
  writeFileSync(
    join(keysDir, `${version}.root.json`),
    rootMetadata(keys, all, version, nowMs + ROOT_MS),
  );
  console.log(`made ${version}.root.json; the next release carries it to every PC`);
}

function newestRoot(dir: string): number {
  return Math.max(
    0,
    ...readdirSync(dir).map((name) => Number(/^(\d+)\.root\.json$/.exec(name)?.[1] ?? 0)),
  );
}

/**
 * Makes the next release: everything that the one before named, and what is new. Says the sizes.
 */
function release(
  keysDir: string,
  packages: string,
  out: string,
  previous: string,
  passphrase: string | undefined,
  nowMs: number,
): void {
  const keys = releaseKeys(keysDir, passphrase);
  for (const folder of ['metadata', 'targets']) mkdirSync(join(out, folder), { recursive: true });
  const targets = new Map<string, VendorTarget>(
    knownTargets(previous).map((target) => [target.name, target]),
  );
  for (const { version, platform, path } of agentArchives(packages)) {
    const { program, node } = partsOf(version, platform, path);
    if (targets.has(program.name))
      throw new UsageError(`${program.name} was released before: a version is released once`);
    targets.set(program.name, program);
    write(out, program);
    // A Node that was released before is not shipped again: PCs and collectors have it.
    const known = targets.get(node.name);
    if (known === undefined) write(out, node);
    targets.set(node.name, known ?? node);
  }
  const version = newestLists(previous) + 1;
  for (const [name, bytes] of listMetadata(keys, [...targets.values()], version, nowMs + LISTS_MS))
    writeFileSync(join(out, name), bytes);
  for (let root = 1; root <= newestRoot(keysDir); root += 1)
    copyFileSync(join(keysDir, `${root}.root.json`), join(out, `metadata/${root}.root.json`));
  console.log(`release ${version} of the lists in ${out}: aliquot release add ${out}`);
}

function write(out: string, target: MadeTarget): void {
  writeFileSync(join(out, targetFile(target.name, target.sha256)), target.bytes);
  console.log(`${target.name}: ${(target.length / 1e6).toFixed(1)} MB`);
}

function newestLists(dir: string): number {
  if (!existsSync(join(dir, 'metadata'))) return 0;
  return Math.max(
    0,
    ...readdirSync(join(dir, 'metadata')).map((name) =>
      Number(/^(\d+)\.targets\.json$/.exec(name)?.[1] ?? 0),
    ),
  );
}

function knownTargets(dir: string): readonly VendorTarget[] {
  const newest = newestLists(dir);
  if (newest === 0) return [];
  const list = targetsMetadata.parse(
    JSON.parse(readFileSync(join(dir, `metadata/${newest}.targets.json`), 'utf8')),
  );
  return Object.entries(list.signed.targets).map(([name, { length, hashes, custom }]) => ({
    name,
    length,
    sha256: hashes.sha256,
    custom,
  }));
}

/** Runs the command as its arguments ask. Throws `UsageError` where they ask for nothing. */
export function main(args: readonly string[], passphrase: string | undefined, nowMs: number): void {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean' } as const;
  const options = {
    keys: text,
    packages: text,
    out: text,
    previous: text,
    'make-keys': flag,
    'new-root': flag,
    help: flag,
  };
  const { values } = parseArgs({ args: [...args], options });
  if (values.help === true) {
    console.log(USAGE);
    return;
  }
  if (values.keys === undefined) throw new UsageError(USAGE);
  const keys = resolve(values.keys);
  if (values['make-keys'] === true || values['new-root'] === true) {
    const make = values['make-keys'] === true ? initialise : newRoot;
    make(keys, passphrase, nowMs);
    return;
  }
  if (values.packages === undefined || values.out === undefined) throw new UsageError(USAGE);
  const out = resolve(values.out);
  release(
    keys,
    resolve(values.packages),
    out,
    values.previous === undefined ? out : resolve(values.previous),
    passphrase,
    nowMs,
  );
}

if (import.meta.main) {
  try {
    main(process.argv.slice(2), process.env['ALIQUOT_RELEASE_PASSPHRASE'], Date.now());
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    console.error(`release: ${error.message}`);
    process.exitCode = error instanceof UsageError ? 2 : 1;
  }
}
