/**
 * Why the tests that were not run here assume another system, in the order in which they said so;
 * read by the reporter that counts them.
 */
export const absences: string[] = [];

const onWindows = process.platform === 'win32';

function runsHere(runs: boolean, reason: string): boolean {
  if (!runs) absences.push(reason);
  return runs;
}

/**
 * For `it.runIf(posixOnly('…'))`: whether this system has what the test assumes. The reason says
 * what Windows lacks, so that nobody takes a test that could run there for one that cannot.
 */
export function posixOnly(reason: string): boolean {
  return runsHere(!onWindows, reason);
}

/** The reason of tests that make symbolic links. */
export const NO_LINKS =
  'on Windows administrators alone make symbolic links, and under Wine nobody';

/** The reason of tests on the simulated disk, or on one whose folders must be flushed. */
export const NO_FOLDER_FLUSH =
  'the simulated disk loses names in folders that were not flushed, and Windows flushes no folders';

/** The reason of tests that take or give rights by a mode. */
export const NO_MODES = 'modes mean nothing on Windows';

/** The reason of tests that make a fifo or a device. */
export const NO_FIFOS = 'Windows has no fifos and devices among files';

/** The reason of tests with names that are no UTF-8, or hold signs that Windows forbids. */
export const NO_RAW_NAMES = 'names there are text, and some signs are forbidden in them';

/** The reason of tests that run a line of the shell. */
export const NO_SHELL = 'there is no shell of POSIX';

/**
 * The reason of tests in which a folder is known again by when it was made, or hard links are
 * counted.
 */
export const NO_BIRTH = 'a folder’s time of birth changes with what is in it';

/** The reason of tests that wait for events from folders which were there before the watch. */
export const NO_EARLIER_FOLDERS = 'it tells no events of folders that were there before';

/**
 * The mode that a private file shows: on Windows it says nothing, and the access control list
 * counts (`windows-access.test.ts`).
 */
export const privateMode = onWindows ? 0o666 : 0o600;

/** Likewise for what Windows has and Wine lacks, under which the tests are run on Linux. */
export function notUnderWine(reason: string): boolean {
  return runsHere(!onWindows || process.env['WINEPREFIX'] === undefined, `Wine: ${reason}`);
}
