/** WIRE.md, "releaseFetch": the names of releases and of their files. */
import { MAX_RELEASE_FILE_CHARS, MAX_RELEASE_VERSION_CHARS } from '../limits.ts';
import type { Field } from './field.ts';
import { text } from './scalar.ts';

const VERSION = /^\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?$/;
/** Two folders deep at most, and never upwards: it is part of a path at the collector. */
const FILE = /^(metadata|targets)\/[0-9A-Za-z][0-9A-Za-z.+_-]*$/;

/** A release's version, such as `0.2.0`. */
export const releaseVersion: Field<string> = text(
  5,
  MAX_RELEASE_VERSION_CHARS,
  VERSION,
  'a version such as 0.2.0',
);
/** A file of a release, such as `metadata/timestamp.json`. */
export const releaseFile: Field<string> = text(
  10,
  MAX_RELEASE_FILE_CHARS,
  FILE,
  'the name of a file of a release',
);

/** Whether a text is a release's version. */
export function isReleaseVersion(version: string): boolean {
  return version.length <= MAX_RELEASE_VERSION_CHARS && VERSION.test(version);
}

/** Whether a text is the name of a file of a release. */
export function isReleaseFile(name: string): boolean {
  return name.length <= MAX_RELEASE_FILE_CHARS && FILE.test(name);
}
