import { systemSays } from '@aliquot/shared/durable/system-errors';
import { type SourceStat, systemCode } from './source-port.ts';

/**
 * Why a file is not protected. Problems are shown by `status` until the cause is gone (promise P6).
 *
 * - `unreadable`: the system refuses to open or read it
 * - `changing`: it changed each time while it was read
 * - `special`: a fifo, socket or device, which has no content that could be kept; on Windows also a
 *   name that differs from another in case alone
 * - `unlistable`: a folder whose names cannot be read; what lies below is unknown
 * - `root-missing`: a watched folder is not there (an unplugged drive?)
 * - `root-file`: a watched folder is a file; it is captured, and nothing beside it
 * - `link-moved`: a watched folder is a symbolic link that leads elsewhere than before; both are
 *   watched until a person says that it is right
 * - `mount-missing`: what was mounted at a folder is not any more; what is known of it is not
 *   called gone
 * - `replaced`: a watched folder, or a mount point, is another folder, drive or share than before,
 *   and nothing known is there
 * - `all-gone`: everything that was known of a watched folder, mount, or path given to `backup` is
 *   gone at once: for a person to acknowledge
 * - `all-excluded`: exclude patterns leave nothing of a watched folder, or of a path given to
 *   `backup`
 * - `ended-early`: a backup of it that a person asked for was ended before everything was captured
 * - `odd-time`: its time lies before 1677 or after 2262, which no format here keeps; it is captured
 *   with the nearest that can be kept
 * - `vanished`: it was named for capture and is not there
 * - `unsettled`: it has not come to rest for longer than `maxUnsettledSeconds`; it is captured as
 *   it is, again and again
 * - `paused`: a watched folder of which nothing new has been captured for long, because the
 *   configuration's `pauseWhile` holds
 * - `configuration`: agent.yaml has mistakes; what it said before is in force
 * - `not-here`: only a placeholder is here, the content is in a cloud or an archive; it is not
 *   fetched
 * - `junction`: a junction, which is kept as a link and not followed
 * - `streams`: it has streams beside its content, which are not captured
 * - `no-sources`: nothing says which folders to watch
 * - `settings-refused`: settings that central IT sent cannot be used; those before are in force
 * - `uncovered`: settings took its cover, and nobody here has said yet that it was seen
 * - `queue-full`: it is complete, and the queue has no room for it; kept as a reference, not as a
 *   problem of the queue
 */
export type ProblemCode =
  | 'unreadable'
  | 'changing'
  | 'special'
  | 'unlistable'
  | 'root-missing'
  | 'root-file'
  | 'link-moved'
  | 'mount-missing'
  | 'replaced'
  | 'all-gone'
  | 'all-excluded'
  | 'ended-early'
  | 'odd-time'
  | 'vanished'
  | 'unsettled'
  | 'paused'
  | 'configuration'
  | 'no-sources'
  | 'not-here'
  | 'junction'
  | 'streams'
  | 'release-refused'
  | 'release-bad'
  | 'release-by-others'
  | 'settings-refused'
  | 'uncovered'
  | 'queue-full';

/**
 * Whether nothing below the path of such a problem could be judged: what was known of it stays as
 * it is.
 */
export function hidesBelow(code: ProblemCode): boolean {
  return hiding.has(code);
}

const hiding: ReadonlySet<ProblemCode> = new Set([
  'unlistable',
  'root-missing',
  'mount-missing',
  'replaced',
  'all-gone',
]);

/** What a person named is the agent's own. */
export function ownFolderProblem(): Problem {
  return { code: 'special', message: systemSays('EOWNFOLDER') };
}

/** Whether a problem is about this PC and not about what a scan looks at: no scan ends it. */
export function isOfThisPc(code: ProblemCode): boolean {
  return ofThisPc.has(code) || code.startsWith('release-');
}

const ofThisPc: ReadonlySet<ProblemCode> = new Set([
  'configuration',
  'no-sources',
  'settings-refused',
  'uncovered',
]);

/**
 * Whether a problem is about a watched folder as a whole: that the folder itself was captured does
 * not end it.
 */
function isAboutRoot(code: ProblemCode): boolean {
  return aboutRoot.has(code);
}

const aboutRoot: ReadonlySet<ProblemCode> = new Set([
  ...hiding,
  'root-file',
  'link-moved',
  'all-excluded',
  'ended-early',
  'paused',
  'configuration',
  'no-sources',
  'release-refused',
  'release-bad',
  'release-by-others',
  'settings-refused',
  'uncovered',
]);

/** One thing that is not protected, and why. */
export interface Problem {
  readonly code: ProblemCode;
  /** One line: what happened and what to do. */
  readonly message: string;
}

/** What is said of reading in other words than of other work. */
const advice: Record<string, string> = {
  EACCES: 'permission denied; let the agent’s account read it',
  EPERM: 'permission denied; let the agent’s account read it',
  EBUSY: 'locked by another program; it is tried again',
  ENOENT: 'gone before it could be read; it is tried again',
};

/** The one-line problem for a system error met at a file or folder. */
export function problemOf(error: unknown, what: 'file' | 'folder'): Problem {
  const code = systemCode(error);
  if (code === 'ENOTHERE') return notHereProblem();
  return {
    code: what === 'file' ? 'unreadable' : 'unlistable',
    message: `cannot be read (${code}): ${advice[code] ?? systemSays(code)}`,
  };
}

/** The problem of a watched folder that is a symbolic link to nothing. */
export function brokenLinkProblem(why: string): Problem {
  return {
    code: 'root-missing',
    message: `is a symbolic link, and ${why}; mend the link, or connect the drive`.slice(0, 500),
  };
}

/** What to write in the place of a path on a letter that only some user has. */
export function shareInstead(path: string): string {
  return `name the share itself, as in \\\\server\\share${path.slice(2)}, in single quotes or none`;
}

/** The problem of a watched folder that is a file. */
export function rootFileProblem(): Problem {
  return {
    code: 'root-file',
    message:
      'is a file, not a folder: it is captured, and nothing beside it; name its folder in agent.yaml',
  };
}

/** The problem of a watched folder whose link leads elsewhere than before. */
export function movedLinkProblem(
  link: string,
  before: readonly string[],
  now: string | undefined,
): Problem {
  const leads = now === undefined ? 'is no link any more' : `leads to ${now} now`;
  const wayOut = `if that is right, say so: aliquot-agent backup ${shellName(link)} --accept-gone`;
  return {
    code: 'link-moved',
    message: `${leads}; it led to ${before.join(', ')}, which is watched as well; ${wayOut}`.slice(
      0,
      500,
    ),
  };
}

/** The problem of a path given to `backup`, which was ended before everything was captured. */
export function endedEarlyProblem(path: string): Problem {
  const wayOut = `back it up again: aliquot-agent backup ${shellName(path)}`;
  return {
    code: 'ended-early',
    message: `its backup was ended before everything was captured; ${wayOut}`.slice(0, 500),
  };
}

/** A path as a person can paste it. */
export function shellName(name: string): string {
  return /^[\w./:\\+@-]+$/.test(name) ? name : `"${name}"`;
}

/** Whether a problem stays when its path was captured. */
export function outlivesCapture(code: ProblemCode): boolean {
  return isAboutRoot(code) || isBeside(code);
}

/**
 * Whether a look that finds such a problem also finds what it is about, to be captured like any
 * other.
 */
export function isBeside(code: ProblemCode): boolean {
  return code === 'odd-time' || code === 'junction';
}

/** The problem of a file whose content is elsewhere. */
export function notHereProblem(): Problem {
  const message =
    'only a placeholder is here, its content is in a cloud or archive and was not fetched; keep it on this PC, or exclude it';
  return { code: 'not-here', message };
}

/** The problem of a junction in a watched folder. */
export function junctionProblem(target: string): Problem {
  const wayOut = 'if that should be backed up, name it as a source, else exclude the junction';
  return {
    code: 'junction',
    message: `is a junction to ${target}, which is not followed; ${wayOut}`.slice(0, 500),
  };
}

/** The problem of a file that has more than its content. */
export function streamsProblem(names: readonly string[]): Problem {
  const which =
    names.slice(0, 3).join(', ') + (names.length > 3 ? ` and ${names.length - 3} more` : '');
  const message = `its content is captured, but not what is beside it in ${names.length === 1 ? 'the stream' : 'the streams'} ${which}`;
  return {
    code: 'streams',
    message: `${message}; if a program needs that, have it write a file`.slice(0, 500),
  };
}

/** The problem of a time that cannot be kept. */
export function oddTimeProblem(): Problem {
  return {
    code: 'odd-time',
    message:
      'its time is before 1677 or after 2262 and cannot be kept exactly; its bytes are captured; set its time right',
  };
}

/** The problem that a special file is. */
export function specialProblem(): Problem {
  return {
    code: 'special',
    message: 'is a fifo, socket or device, which cannot be backed up; exclude it',
  };
}

/** The problem of a name that differs from another one of its folder in case alone, on Windows. */
export function twinProblem(): Problem {
  return {
    code: 'special',
    message:
      'has the name of another one here but for its case, which Windows takes for the same; rename it',
  };
}

/** The problem of a file that did not hold still. */
export function changingProblem(attempts: number): Problem {
  return {
    code: 'changing',
    message: `changed while it was read, ${attempts} times; it is tried again at the next scan`,
  };
}

/** The problem of a result that never comes to rest. Since when stands beside it. */
export function unsettledProblem(): Problem {
  return {
    code: 'unsettled',
    message:
      'is still being written; it is captured as it is from time to time, and whole when it rests; if it never will, exclude it in agent.yaml',
  };
}

/** The problem of a watched folder while a pause lasts for long. */
export function pausedProblem(because: string): Problem {
  return {
    code: 'paused',
    message: `nothing new of it has been captured for long, because ${because}; end that, or take it out of pauseWhile in agent.yaml`,
  };
}

/** Whether two looks at an open file saw the same state. */
export function sameState(a: SourceStat, b: SourceStat): boolean {
  return (
    a.size === b.size &&
    a.mtimeNs === b.mtimeNs &&
    a.ctimeNs === b.ctimeNs &&
    a.ino === b.ino &&
    a.mode === b.mode
  );
}
