import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { seededSource } from './random.ts';
import type { TortureContext, TortureCounts, TortureScenario } from './scenario.ts';

/** The files of a folder, by their paths in it. */
export type FolderImage = ReadonlyMap<string, Buffer>;

/** One way in which a folder's files are not what they were. */
export interface FileDamage {
  /** What kind of file it is: damages are counted by it. */
  readonly kind: string;
  /** The files that are not as they were. */
  readonly files: readonly string[];
  readonly name: string;
  /** Tried before others: these alone take minutes, all bits take days. */
  readonly isFirst: boolean;
  /** What those files are now; `undefined`: gone. */
  readonly now: (image: FolderImage) => ReadonlyMap<string, Buffer | undefined>;
}

/** What there is to know of a folder before it is damaged. */
export interface DamageOptions {
  /** The kind of a file; `undefined` for what is no part of the system. */
  readonly kindOf: (file: string) => string | undefined;
  /** Where something in a file ends: it is cut there, too. */
  readonly edgesOf: (file: string) => readonly number[];
  /** The same folder at an earlier time, in good order. */
  readonly older: FolderImage;
}

/** Files are cut at multiples of this, and at the edges that are told. */
const CUT_BYTES = 64;
/** One bit of each so many bytes is among the first, and one of each byte beside an edge. */
const FIRST_BIT_BYTES = 16;
const SAMPLE_SEED = 20_261_130;

/** Reads a folder that nobody has open. */
export function imageOf(dir: string): FolderImage {
  const files = new Map<string, Buffer>();
  for (const entry of readdirSync(dir, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    files.set(relative(dir, path), readFileSync(path));
  }
  return files;
}

/** Makes a folder that has exactly these files. */
export function layOut(image: FolderImage, dir: string, folders: readonly string[] = []): void {
  rmSync(dir, { recursive: true, force: true });
  for (const folder of folders) mkdirSync(join(dir, folder), { recursive: true });
  for (const [file, bytes] of image) {
    mkdirSync(dirname(join(dir, file)), { recursive: true });
    writeFileSync(join(dir, file), bytes, { mode: 0o600 });
  }
}

/** A folder's files after a damage. */
export function damaged(image: FolderImage, { now }: FileDamage): FolderImage {
  const files = new Map(image);
  for (const [file, bytes] of now(image))
    if (bytes === undefined) files.delete(file);
    else files.set(file, bytes);
  return files;
}

/**
 * Every single bit and every cut of each file, and the loss, the swap with another of its kind, and
 * the age of whole files. The first are all but most of the bits.
 */
export function damagesOf(image: FolderImage, options: DamageOptions): FileDamage[] {
  const kinds = new Map<string, string[]>();
  for (const file of [...image.keys()].sort()) {
    const kind = options.kindOf(file);
    if (kind !== undefined) kinds.set(kind, [...(kinds.get(kind) ?? []), file]);
  }
  return [...kinds].flatMap(([kind, files]) => [
    ...files.flatMap((file) => ofContent(kind, file, image, options)),
    ...files.map((file) => one(kind, file, 'gone', () => undefined)),
    ...files.flatMap((file, at) =>
      files.slice(at + 1).flatMap((other) => swapped(kind, file, other, image)),
    ),
  ]);
}

function ofContent(
  kind: string,
  file: string,
  image: FolderImage,
  { edgesOf, older }: DamageOptions,
): FileDamage[] {
  const size = image.get(file)?.length ?? 0;
  const edges = edgesOf(file);
  const beside = new Set(edges.flatMap((edge) => [edge - 1, edge]));
  const bits = Array.from({ length: size * 8 }, (_, bit): FileDamage => {
    const at = bit >> 3;
    const what = `bit ${bit % 8} of byte ${at} of ${size}`;
    // Which bit of a byte: another one in each.
    const isChosen = bit % 8 === (at + Math.floor(at / FIRST_BIT_BYTES)) % 8;
    const isFirst = isChosen && (at % FIRST_BIT_BYTES === 0 || beside.has(at));
    return { ...one(kind, file, what, (bytes) => flipped(bytes, bit)), isFirst };
  });
  const cuts = new Set(edges.filter((edge) => edge < size));
  for (let at = 0; at < size; at += CUT_BYTES) cuts.add(at);
  const cut = [...cuts].map((at) =>
    one(kind, file, `cut to ${at} of ${size} bytes`, (bytes) => bytes.subarray(0, at)),
  );
  const before = older.get(file);
  const isOlder = before !== undefined && image.get(file)?.equals(before) === false;
  const aged = isOlder ? [one(kind, file, 'as it was before', () => before)] : [];
  return [...bits, ...cut, ...aged];
}

function one(
  kind: string,
  file: string,
  what: string,
  change: (bytes: Buffer) => Buffer | undefined,
): FileDamage {
  const now = (image: FolderImage) => new Map([[file, change(image.get(file) ?? Buffer.alloc(0))]]);
  return { kind, files: [file], name: `${file}, ${what}`, isFirst: true, now };
}

function swapped(kind: string, file: string, other: string, image: FolderImage): FileDamage[] {
  const [a, b] = [image.get(file), image.get(other)];
  if (a === undefined || b === undefined || a.equals(b)) return [];
  const now = () => new Map([[file, b] as const, [other, a] as const]);
  const name = `${file} and ${other} in each other's place`;
  return [{ kind, files: [file, other], name, isFirst: true, now }];
}

function flipped(bytes: Buffer, bit: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit % 8));
  return copy;
}

/** A folder that is damaged, and how it is judged afterwards. */
export interface DamageTrial {
  readonly damages: readonly FileDamage[];
  /** Throws unless everything is there, or what is missing is named. Tells which it was. */
  judge(damage: FileDamage, root: string, number: number): Promise<'whole' | 'named'>;
}

/**
 * All damages of a folder, the first ones first, in an order that the seed draws, as a torture
 * scenario.
 */
export function damageScenario(
  about: Omit<TortureScenario, 'run'>,
  begin: (root: string) => Promise<DamageTrial>,
): TortureScenario {
  return { ...about, run: (context) => runDamages(begin, context) };
}

/** So many damages of a scenario, the same in each run: for a test beside the torture of all. */
export async function sampleOf(scenario: TortureScenario, cases: number): Promise<TortureCounts> {
  let done = 0;
  return scenario.run({
    ...{ seed: SAMPLE_SEED, random: seededSource(SAMPLE_SEED), log: () => undefined },
    mine: () => true,
    over: () => {
      done += 1;
      return done > cases;
    },
  });
}

async function runDamages(
  begin: (root: string) => Promise<DamageTrial>,
  { seed, over, mine, log }: TortureContext,
): Promise<TortureCounts> {
  const root = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'aliquot-damage-'));
  const failed: string[] = [];
  const tally = new Map<string, { injected: number; whole: number; named: number }>();
  let [injected, passed, isWhole] = [0, 0, true];
  try {
    const trial = await begin(root);
    const random = seededSource(seed).derive('order');
    const order = trial.damages
      .map((damage, at) => ({ damage, number: at + 1, key: random.below(2 ** 32) }))
      .filter(({ number }) => mine(number))
      .sort((a, b) => Number(b.damage.isFirst) - Number(a.damage.isFirst) || a.key - b.key);
    const first = order.filter(({ damage }) => damage.isFirst).length;
    for (const { damage, number } of order) {
      if (over()) {
        isWhole = false;
        break;
      }
      injected += 1;
      const counts = tally.get(damage.kind) ?? { injected: 0, whole: 0, named: 0 };
      tally.set(damage.kind, counts);
      counts.injected += 1;
      try {
        counts[await trial.judge(damage, join(root, 'case'), number)] += 1;
        passed += 1;
      } catch (error) {
        const line = `case ${number}: ${damage.name}: ${says(error).replaceAll(root, 'DIR')}`;
        failed.push(line);
        log(line);
      }
    }
    for (const [kind, { injected: of, whole, named }] of [...tally].sort())
      log(`${kind}: ${of} damages, ${whole} cost nothing, ${named} named`);
    log(
      `${Math.min(injected, first)} of the ${first} that come first here; ${trial.damages.length} damages in all`,
    );
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
  return { injected, passed, failed, whole: isWhole };
}

function says(error: unknown): string {
  return error instanceof Error
    ? (error.stack ?? error.message).split('\n').slice(0, 6).join(' | ')
    : String(error);
}
