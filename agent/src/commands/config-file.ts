import { resolve } from 'node:path';
import { UsageError } from '@aliquot/shared/cli/errors';
import { printable } from '@aliquot/shared/cli/format';
import type { Output } from '@aliquot/shared/cli/output';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import { whenForeseen } from '@aliquot/shared/durable/unexpected';
import type { WindowsAccess } from '@aliquot/shared/durable/windows-access';
import type { AgentConfig } from '@aliquot/shared/settings/schema';
import type { Mistake } from '@aliquot/shared/settings/text';
import type { DeskBook } from '../desk/book.ts';
import { deskIn } from '../desk/open-desk.ts';
import { readConfig } from '../service/config.ts';
import type { ConfigRead } from '../service/config-watch.ts';
import { type Problem, shareInstead } from '../source/problem.ts';
import { readConfigText } from './config-text-file.ts';

/**
 * The configuration that a text is; `USAGE_CONFIG` after every mistake in it was reported with its
 * line.
 */
export function configOf(path: string, text: string, output: Output): AgentConfig {
  const read = readConfig(text);
  if ('config' in read) return read.config;
  for (const { line, message } of read.mistakes)
    output.note(`${path}:${line}: ${printable(message)}`);
  const count = read.mistakes.length;
  throw new UsageError(
    'USAGE_CONFIG',
    `${path} has ${count} ${count === 1 ? 'mistake' : 'mistakes'}, named above; mend ${count === 1 ? 'it' : 'them'}`,
  );
}

/** The same for a service that runs already: its mistakes in one line. */
export function parseConfig(text: string): ConfigRead {
  const read = readConfig(text);
  if ('config' in read) return read;
  const [first, ...more] = read.mistakes;
  const others =
    more.length === 0 ? '' : `, and ${more.length} more (aliquot-agent config check names all)`;
  return {
    mistake: `line ${first?.line ?? 1}: ${first?.message ?? 'is no configuration'}${others}`,
  };
}

/**
 * What is in force while nothing says which folders to watch: the built-in values, and no folder.
 */
export function withoutSources(): AgentConfig {
  const read = readConfig('sources: [{path: /}]');
  if ('mistakes' in read) throw new Error(read.mistakes[0]?.message);
  return { ...read.config, sources: [] };
}

/** What `status` says of a service that waits for its first settings. */
export function noSourcesProblem(): Problem {
  const message =
    'nothing says which folders to watch: write this file, with a line such as  sources: [{path: /data/instrument}]';
  return {
    code: 'no-sources',
    message: `${message}  or let central IT send settings; the service takes them by itself`,
  };
}

/**
 * The same beside the desk's settings, which say what this file may add; `unused` hears what it
 * says in vain.
 */
export function parseBeside(
  desk: DeskBook,
  text: string | undefined,
  unused: (problem: Problem | undefined) => void,
): ConfigRead {
  const read = desk.effective(text);
  if ('mistakes' in read) return { mistake: mistakesText(read.mistakes) };
  unused(read.unused.length === 0 ? undefined : unusedProblem(mistakesText(read.unused)));
  return { config: read.config };
}

function mistakesText([first, ...more]: readonly Mistake[]): string {
  const others =
    more.length === 0 ? '' : `, and ${more.length} more (aliquot-agent settings names all)`;
  return `line ${first?.line ?? 1}: ${first?.message ?? 'is no configuration'}${others}`;
}

/** What `status` says of an `agent.yaml` that does not count, or not whole. */
function unusedProblem(mistake: string): Problem {
  return {
    code: 'configuration',
    message: `${mistake}; the settings of central IT are in force`.slice(0, 500),
  };
}

/** What `status` says of a configuration that cannot be used. */
export function configurationProblem(mistake: string): Problem {
  return {
    code: 'configuration',
    message: `${mistake}; what it said before is in force until it is mended`.slice(0, 500),
  };
}

/**
 * `config check`: whether a file could be the configuration, and what it would watch; with
 * `dataDir`, beside the desk's settings there. Needs no service and changes nothing. Errors:
 * `USAGE_CONFIG`.
 */
export async function checkConfig(file: string, output: Output, dataDir?: string): Promise<void> {
  const path = resolve(file);
  const text = await readConfigText(path);
  if (text === undefined)
    throw new UsageError(
      'USAGE_CONFIG',
      `${path} is not there, or says nothing; give the file to check`,
    );
  const desk = dataDir === undefined ? undefined : await deskIn(resolve(dataDir), path);
  const { sources } =
    desk?.text === undefined ? configOf(path, text, output) : besideOf(desk, path, text, output);
  const missing: string[] = [];
  for (const source of sources) {
    const there = await nodeFiles
      .stat(source.path)
      .then(
        ({ kind }) => (kind === 'directory' ? undefined : 'is no folder'),
        whenForeseen('is not there now'),
      );
    if (there !== undefined) missing.push(`${source.path} ${there}`);
  }
  // A drive may be unplugged while its configuration is written: worth a word, no mistake.
  for (const one of missing)
    output.note(`${printable(one)}; the service would name that as a problem`);
  for (const note of networkDrives(sources, await nodeFiles.access?.()))
    output.note(printable(note));
  const many = sources.length === 1 ? '1 folder' : `${sources.length} folders`;
  await output.result(
    {
      event: 'config',
      file: path,
      sources: sources.map((source) => source.path),
      missing: missing.length,
    },
    `${path} is right: ${many} to watch.`,
  );
}

/**
 * What counts with this file beside the desk's settings; `USAGE_CONFIG` after everything in it that
 * is wrong, or has no effect, was reported.
 */
function besideOf(desk: DeskBook, path: string, text: string, output: Output): AgentConfig {
  const read = desk.effective(text);
  const wrong = 'mistakes' in read ? read.mistakes : read.unused;
  for (const { line, message } of wrong) output.note(`${path}:${line}: ${printable(message)}`);
  if ('config' in read && wrong.length === 0) return read.config;
  throw new UsageError(
    'USAGE_CONFIG',
    `${path} says what does not count beside settings ${desk.sequence} of central IT, named above`,
  );
}

/**
 * What to say of folders on drive letters that only the user has who checks: to a service they are
 * not there.
 */
export function networkDrives(
  sources: readonly { readonly path: string }[],
  access: Pick<WindowsAccess, 'isNetworkDrive'> | undefined,
): string[] {
  return sources.flatMap(({ path }) => {
    const [letter] = /^[A-Za-z]:/.exec(path) ?? [];
    if (letter === undefined || access?.isNetworkDrive(letter) !== true) return [];
    return [
      `${path} is on a network drive of yours, which the service does not see: ${shareInstead(path)}`,
    ];
  });
}
