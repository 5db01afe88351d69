import { Capturer, type CapturerParts, type CapturerQueue } from '../capture/capturer.ts';
import type { Change } from '../capture/compare.ts';
import { Presence } from '../capture/presence.ts';
import { scan } from '../capture/scan.ts';
import { throwIfStopped } from '../capture/stop.ts';
import type { CaptureTask } from '../capture/task.ts';
import type { QueueIntake } from '../queue/intake/intake.ts';
import type { ContentCache, FileReferences, KnownFiles } from '../queue/ledger/ledger.ts';
import type { FileReference } from '../queue/log/facts.ts';
import { type BytePath, bytePath, nameOf } from '../source/paths.ts';
import type { PlaceBook } from '../source/places.ts';
import { compileRules, excludedFrom } from '../source/rules.ts';
import type { Source } from '../source/source.ts';
import { countOutcome, newTally, type Tally } from './tally.ts';

/** What capturing what waits needs of the queue. */
export interface ReferencePassQueue extends CapturerQueue {
  readonly intake: Pick<QueueIntake, 'capture' | 'space'>;
  readonly ledger: ContentCache & KnownFiles;
  readonly references: Pick<FileReferences, 'list' | 'drop' | 'lose'>;
}

export interface ReferencePassParts extends CapturerParts {
  readonly queue: ReferencePassQueue;
  readonly places: PlaceBook;
  /**
   * The source that a waiting file is captured under; undefined when it should not be captured any
   * more.
   */
  readonly sourceOf: (path: BytePath, className: string) => Source | undefined;
  /** Which waiting files to look at. */
  readonly where: (path: BytePath) => boolean;
  /** Looks also at those whose class has no space now, to notice what went. */
  readonly all: boolean;
  /**
   * A waiting file is in another state now: it has to settle first. Undefined: it is captured as it
   * is.
   */
  readonly onChanged: ((path: BytePath) => void) | undefined;
}

/**
 * Captures what waits at its source for space in the queue, the longest waiting first. What has
 * gone meanwhile is named lost, what still finds no space goes on waiting.
 */
export async function captureReferences(
  parts: ReferencePassParts,
  signal: AbortSignal,
): Promise<Tally> {
  const tally = newTally();
  const capturer = new Capturer(parts, (outcome) => countOutcome(tally, outcome));
  await capturer.run(waiting(parts, signal), signal);
  return tally;
}

async function* waiting(
  parts: ReferencePassParts,
  signal: AbortSignal,
): AsyncGenerator<readonly CaptureTask[], void, void> {
  const { queue, references } = parts;
  const hasSpace = spaceOf(queue.intake);
  for await (const reference of queue.references.list()) {
    throwIfStopped(signal);
    const path = bytePath(reference.path);
    if (!parts.where(path) || !(parts.all || (await hasSpace(reference.class)))) continue;
    const source = parts.sourceOf(path, reference.class);
    if (source === undefined) {
      await queue.references.drop(reference.path);
      continue;
    }
    const presence = await presenceOf(parts, source, path);
    if (presence === 'unknown') continue;
    if (presence === 'gone') {
      const known = await queue.ledger.known(reference.path);
      if (known !== undefined) yield [{ type: 'gone', source, path, known }];
      else await references.gone(reference.path);
    } else {
      const change = await lookAgain(parts, source, path);
      if (change === undefined) {
        // Only rules may end it silently. A file that went between the two looks, maybe with its
        // drive, waits for the next pass.
        if (excludedFrom(compileRules(source.rules), path, source.root))
          await queue.references.drop(reference.path);
      } else if (change.type === 'same')
        await references.settled(reference.path, stateOf(change).size, stateOf(change).mtimeNs);
      else if (change.type === 'put') {
        if (parts.onChanged !== undefined && !isAsReferred(reference, change))
          parts.onChanged(path);
        else
          yield [
            {
              type: 'put',
              source,
              item: change.item,
              known: change.known,
              completion: 'assumed',
            },
          ];
      }
    }
  }
}

type Seen = Extract<Change, { type: 'put' | 'same' }>;

/** The one change at this very path, without what lies below it. */
async function lookAgain(
  { host, queue, places, clock }: ReferencePassParts,
  source: Source,
  path: BytePath,
): Promise<Change | undefined> {
  for await (const change of scan({ host, queue, places, source, nowMs: clock.nowMs(), at: path }))
    return change;
  return undefined;
}

function stateOf({ item: { stat } }: Seen): { readonly size: number; readonly mtimeNs: bigint } {
  return { size: stat.kind === 'file' ? stat.size : 0, mtimeNs: stat.mtimeNs };
}

function isAsReferred(reference: FileReference, seen: Seen): boolean {
  const { size, mtimeNs } = stateOf(seen);
  return size === reference.size && mtimeNs === reference.mtimeNs;
}

/**
 * Certainly gone: it is not there, and its place is (see `Presence`), or the folder above a file
 * that a person named. Unknown while that is not there either: with an unplugged drive nothing has
 * gone, and what is only on it goes on waiting.
 */
async function presenceOf(
  parts: ReferencePassParts,
  source: Source,
  path: BytePath,
): Promise<'there' | 'gone' | 'unknown'> {
  const { host } = parts;
  const seen = await host.look(path);
  if (seen !== 'ENOENT' && seen !== 'ENOTDIR') return 'there';
  if (source.root !== path) {
    const rules = compileRules(source.rules);
    const isLeftOut = (other: BytePath): boolean => excludedFrom(rules, other, source.root);
    const presence = new Presence(parts, {
      root: source.root,
      at: path,
      named: false,
      acceptGone: false,
      dryRun: true,
      isLeftOut,
    });
    await presence.begin();
    return (await presence.isGone(path)) ? 'gone' : 'unknown';
  }
  const above = path.slice(0, path.length - nameOf(path).length - 1);
  return typeof (await host.look(above === '' ? path.slice(0, 1) : above)) === 'string'
    ? 'unknown'
    : 'gone';
}

const ASKS_BETWEEN = 256;

/**
 * Whether a class has space; asks the disk again after some questions, because what comes in
 * meanwhile takes it.
 */
function spaceOf(intake: Pick<QueueIntake, 'space'>): (className: string) => Promise<boolean> {
  const known = new Map<string, { space: boolean; asked: number }>();
  return async (name) => {
    let answer = known.get(name);
    if (answer === undefined || answer.asked >= ASKS_BETWEEN) {
      answer = { space: (await intake.space(name)).bytes >= 1, asked: 0 };
      known.set(name, answer);
    }
    answer.asked += 1;
    return answer.space;
  };
}
