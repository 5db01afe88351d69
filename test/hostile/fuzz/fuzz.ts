import { createHash } from 'node:crypto';
import { AliquotError } from '@aliquot/proto';
import type { SeededRandom } from '@aliquot/shared/testing/random';
import { mutated } from '../../../proto/testing/mutate.ts';

/** Something that takes bytes which somebody else wrote. */
export interface FuzzTarget {
  /** Names its folder in `proto/corpus`: `room-what`. */
  readonly name: string;
  /** Sound inputs to begin from. */
  readonly seeds: () => readonly Uint8Array[];
  /** Words of a text format, put in whole. */
  readonly words?: readonly string[];
  /** Mends checksums after a mutation, so that it is not over at the door. */
  readonly repair?: (bytes: Uint8Array) => Uint8Array;
  /**
   * May throw an `AliquotError` and nothing else. Gives anything: what differs counts as a new way
   * through.
   */
  readonly run: (bytes: Uint8Array) => unknown;
}

/**
 * No input of a megabyte may keep a reader busy for longer; a hundred times what the slowest sound
 * one takes.
 */
const MAX_INPUT_MS = 10_000;
/** The pool keeps so many inputs that went new ways. */
const MAX_POOL = 400;

export interface FuzzFinding {
  readonly input: Uint8Array;
  readonly what: string;
}

/** Runs one input. The answer is the way that it took, or what is wrong with the target. */
export async function attempt(
  target: FuzzTarget,
  input: Uint8Array,
): Promise<{ readonly way: string } | { readonly wrong: string }> {
  const began = performance.now();
  let way = 'taken';
  try {
    const result = await target.run(input);
    if (result !== undefined)
      way = `taken ${JSON.stringify(result)?.replace(/\d+/g, '0').slice(0, 80)}`;
  } catch (error) {
    if (!(error instanceof AliquotError)) {
      const trace =
        error instanceof Error
          ? (error.stack ?? error.message).split('\n').slice(0, 4).join(' | ')
          : String(error);
      return { wrong: `not an AliquotError: ${trace}` };
    }
    // Numbers and digests aside, a message tells which check refused.
    way = `${error.code} ${error.message.replace(/[0-9a-f]{8,}|\d+/g, '0').slice(0, 80)}`;
  }
  const took = performance.now() - began;
  return took > MAX_INPUT_MS
    ? { wrong: `took ${Math.round(took)} ms for ${input.length} bytes` }
    : { way };
}

/**
 * Mutates sound inputs and those that went new ways. Gives what was found; stops at the first few.
 */
export async function fuzz(
  target: FuzzTarget,
  random: SeededRandom,
  options: {
    readonly more: (done: number) => boolean;
    readonly corpus: readonly Uint8Array[];
    readonly newCode?: () => Promise<boolean>;
  },
): Promise<{
  readonly runs: number;
  readonly ways: ReadonlyMap<string, Uint8Array>;
  readonly findings: readonly FuzzFinding[];
}> {
  const pool: Uint8Array[] = [...target.seeds(), ...options.corpus];
  const ways = new Map<string, Uint8Array>();
  const findings: FuzzFinding[] = [];
  const words = (target.words ?? []).map((word) => new Uint8Array(Buffer.from(word)));
  const keep = (input: Uint8Array): void => {
    if (pool.length < MAX_POOL) pool.push(input);
    else pool[random.below(MAX_POOL)] = input;
  };
  const take = async (input: Uint8Array): Promise<void> => {
    const result = await attempt(target, input);
    if ('wrong' in result) findings.push({ input, what: result.wrong });
    else if (!ways.has(result.way)) {
      ways.set(result.way, input);
      keep(input);
    }
  };
  for (const input of [...pool]) await take(input);
  let runs = 0;
  let batch: Uint8Array[] = [];
  while (findings.length < 3 && options.more(runs)) {
    const base = pool[random.below(pool.length)] ?? new Uint8Array(0);
    const changed = mutated(base, random, words.length > 0 && random.below(2) === 0 ? words : pool);
    const input =
      target.repair !== undefined && random.below(4) > 0 ? target.repair(changed) : changed;
    await take(input);
    runs += 1;
    batch.push(input);
    if (options.newCode === undefined || batch.length < 64) continue;
    if (await options.newCode()) for (const one of batch.slice(-4)) keep(one);
    batch = [];
  }
  return { runs, ways, findings };
}

/** A short name for an input. */
export function digestName(input: Uint8Array): string {
  return createHash('sha256').update(input).digest('hex').slice(0, 12);
}
