import type { KnownFiles } from '../queue/ledger/ledger.ts';
import { allExcludedProblem, type Excluded } from '../source/excludes.ts';
import { type BytePath, bytePath, isWithin, pathBytes, separator } from '../source/paths.ts';
import {
  type CompiledRules,
  compileRules,
  excludedFrom,
  RESTORED_FOLDER,
} from '../source/rules.ts';
import type { Source } from '../source/source.ts';
import { type Change, judged } from './compare.ts';
import { knownAt, Presence, type PresenceParts } from './presence.ts';

/** One look at a source, or at a path in it. Changes nothing. */
export interface Look extends PresenceParts {
  readonly queue: { readonly ledger: Omit<KnownFiles, 'refresh' | 'knownUnder'> };
  readonly source: Source;
  readonly nowMs: number;
  /** The source's root, or a path in it. */
  readonly at: BytePath;
  /**
   * Set when `at` is what a person named, a source or a path for `backup`: hears what the exclude
   * patterns took. Nothing left of it is then a problem (`all-excluded`).
   */
  readonly onExcluded?: (excluded: Excluded) => void;
  /** A person said that what is not there is gone, whatever the places say (see `Presence`). */
  readonly acceptGone?: boolean;
  /** Only a person's question: nothing may be remembered. */
  readonly dryRun?: boolean;
  /**
   * Of what is as it was captured only these paths are told, and the members of these folder
   * results; the rest is counted (`alike`). Everything is told unless it is set.
   */
  readonly wanted?: readonly BytePath[];
}

/**
 * Everything below `at` that differs from what is known, and what does not, in byte order of whole
 * paths. Looks at the disk as it is now.
 *
 * A missing root is a problem. A missing path below a root that is there is gone, unless it went
 * with all else (see `Presence`).
 */
export async function* scan(look: Look): AsyncGenerator<Change, void, void> {
  for await (const batch of scanBatches(look)) yield* batch;
}

/** `scan`, many changes at a time. */
export async function* scanBatches(look: Look): AsyncGenerator<readonly Change[], void, void> {
  const { source, at, onExcluded } = look;
  const named = at === source.root || onExcluded !== undefined;
  const rules = compileRules(source.rules);
  const scope = {
    root: source.root,
    at,
    named,
    acceptGone: look.acceptGone === true,
    dryRun: look.dryRun === true,
    isLeftOut: (path: BytePath) => excludedFrom(rules, path, source.root),
  };
  const presence = new Presence(look, scope);
  await presence.begin();
  const seen = await look.host.look(at);
  const isMissing = seen === 'ENOENT' || seen === 'ENOTDIR';
  if (isMissing && (at !== source.root || scope.acceptGone))
    yield* whatWasAt(look, rules, presence);
  else yield* whatIsAt(look, rules, presence);
  if (at === source.root && source.trouble !== undefined)
    yield [{ type: 'problem', path: at, problem: source.trouble }];
  const held = await presence.finish();
  if (held.length > 0)
    yield held.map(({ path, problem }): Change => ({ type: 'problem', path, problem }));
}

/** Everything known at a path where nothing is any more. */
async function* whatWasAt(
  { queue, source, at }: Look,
  rules: CompiledRules,
  presence: Presence,
): AsyncGenerator<readonly Change[], void, void> {
  for await (const batch of knownAt(queue.ledger, at)) {
    const gone: Change[] = [];
    presence.nextBatch();
    for (const known of batch) {
      const path = bytePath(known.path);
      if (!excludedFrom(rules, path, source.root) && (await presence.isGone(path)))
        gone.push({ type: 'gone', path, known });
    }
    yield gone;
  }
}

async function* whatIsAt(
  look: Look,
  rules: CompiledRules,
  presence: Presence,
): AsyncGenerator<readonly Change[], void, void> {
  const { host, queue, places, source, nowMs, at, onExcluded } = look;
  const { ledger } = queue;
  let excluded: Excluded | undefined;
  const request = {
    ...{ root: at, sourceRoot: source.root, rules: source.rules, nowMs },
    // While a place was searched in vain, whatever is seen of it counts.
    wanted: places.searching ? undefined : look.wanted,
  };
  const below = at.endsWith(separator) ? at : at + separator;
  const blocks = ledger.knownBlocks(pathBytes(at), pathBytes(below));
  yield* judged(host.compare(request, blocks), ledger, presence, (taken) => {
    excluded = taken;
  });
  if (onExcluded === undefined) return;
  onExcluded(excluded ?? { counts: [], left: 0 });
  // A folder that holds only restored files has nothing to back up; a person who names such a
  // folder is told so.
  const onlyRestored =
    excluded?.counts.every(({ glob }) => glob === RESTORED_FOLDER) === true &&
    !excludedFrom(rules, at, source.root);
  if (excluded?.left === 0 && !onlyRestored)
    yield [{ type: 'problem', path: at, problem: allExcludedProblem(excluded) }];
}

/** The source that a path belongs to: the innermost root that holds it. */
export function sourceFor(sources: readonly Source[], path: BytePath): Source | undefined {
  let best: Source | undefined;
  for (const source of sources) {
    if (
      isWithin(path, source.root) &&
      (best === undefined || source.root.length > best.root.length)
    )
      best = source;
  }
  return best;
}

/** The path of a result for people: its folder, or the file itself. */
export function resultPath(path: BytePath, resultPathLength: number): BytePath {
  return resultPathLength > 0 ? path.slice(0, resultPathLength) : path;
}
