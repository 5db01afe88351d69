import { join } from 'node:path';
import type { AliquotError } from '@aliquot/proto';
import { UsageError } from '@aliquot/shared/cli/errors';
import { formatCounted, formatInstant } from '@aliquot/shared/cli/format';
import type { Output } from '@aliquot/shared/cli/output';
import {
  ensureDirectory,
  eraseDurably,
  exists,
  readWholeFile,
  writeFileDurably,
} from '@aliquot/shared/durable/durable';
import { endWith } from '@aliquot/shared/durable/unexpected';
import type { AgentInfo } from '../api/messages.ts';
import { CommandError } from '../cli/command-error.ts';
import { type CommandContext, outputOf } from '../cli/context.ts';
import { type DeskOptions, EnrolmentDesk, termOf } from './enroll-desk.ts';
import { type ListedName, type ListMistake, readNameList } from './name-list.ts';

export interface ListOptions extends DeskOptions {
  readonly list: string;
  readonly outDir: string;
}

const MAX_LIST_BYTES = 1024 * 1024;

/**
 * One bundle for each name of a list. Every mistake that can be found beforehand is reported first,
 * all at once, by line. The collector then takes all bundles or none, and when it takes none, no
 * file is left.
 */
export async function enrollList(context: CommandContext, options: ListOptions): Promise<void> {
  const output = outputOf(context, options);
  const { list, outDir, selfRestore } = options;
  const expiresAtMs = termOf(context, options, '24h');
  const read = readNameList(await listBytes(context, list));
  if ('mistakes' in read) throw refused(output, list, read.mistakes);
  const { names } = read;
  const fileOf = ({ name }: ListedName) => join(outDir, `${name}.bundle`);
  const there: ListMistake[] = [];
  for (const listed of names) {
    if (await exists(context.files, fileOf(listed)))
      there.push({
        line: listed.line,
        message: `${fileOf(listed)} is there already and is not overwritten; move it away, or take the name off`,
      });
  }
  if (there.length > 0) throw refused(output, list, there, 'conflict');
  const desk = await EnrolmentDesk.open(context, options);
  const { agents } = await desk.vault.roster.list();
  const taken = names.flatMap(({ line, name }): ListMistake[] => {
    const message = takenBy(agents, name);
    return message === undefined ? [] : [{ line, message }];
  });
  if (taken.length > 0) throw refused(output, list, taken, 'conflict');
  await ensureDirectory(context.files, outDir);
  const bundles = names.map((listed) => ({
    ...listed,
    file: fileOf(listed),
    ...desk.bundleFor(listed.name, desk.newLine(), { selfRestore, expiresAtMs }),
  }));
  const written: string[] = [];
  const progress = output.progress('wrote');
  try {
    let bytes = 0;
    for (const { file, text } of bundles) {
      await writeFileDurably(context.files, file, Buffer.from(text), {
        mode: 0o600,
        createOnly: true,
      });
      written.push(file);
      bytes += text.length;
      progress.update({
        files: written.length,
        totalFiles: bundles.length,
        bytes,
        current: () => file,
      });
    }
    await desk.vault.roster.expectAgents(bundles.map(({ enrolment }) => enrolment));
  } catch (error) {
    // Their keys are those of the whole vault, so the bytes go too.
    for (const file of written) await eraseDurably(context.files, file).catch(endWith);
    throw error;
  } finally {
    progress.done();
  }
  const expires = formatInstant(expiresAtMs);
  if (output.json) {
    for (const { file, name } of bundles)
      await output.result({ event: 'bundle', bundle: file, agent: name, expires, selfRestore });
    return;
  }
  const [first] = bundles;
  const text = [
    `${formatCounted(bundles.length, 'bundle')} written to ${outDir}, each for the PC of its name; they may be used until ${expires}.`,
    `On each PC: aliquot-agent enroll ${first?.name ?? 'NAME'}.bundle --data DIR`,
    'A bundle is a secret even after that: carry each to its own PC only, delete every copy.',
  ];
  await output.result({}, text.join('\n'));
}

async function listBytes(context: CommandContext, list: string): Promise<Uint8Array> {
  if (!(await exists(context.files, list)))
    throw new UsageError('USAGE_INVALID', `the list ${list} is not there; check the path`);
  if ((await context.files.stat(list)).kind === 'directory')
    throw new UsageError(
      'USAGE_INVALID',
      `${list} is a folder; name the file with the names, one on a line`,
    );
  return readWholeFile(context.files, list, MAX_LIST_BYTES);
}

/** One mistake is the error itself; of several each is a line of its own before it. */
function refused(
  output: Output,
  list: string,
  mistakes: readonly ListMistake[],
  as: 'mistake' | 'conflict' = 'mistake',
): AliquotError {
  const error = (text: string) =>
    as === 'mistake'
      ? new UsageError('USAGE_INVALID', text)
      : new CommandError('COMMAND_EXISTS', text);
  const said = mistakes.map(({ line, message }) => `${list}, line ${line}: ${message}`);
  const [only] = said;
  if (only !== undefined && said.length === 1) return error(only);
  for (const text of said) output.note(text);
  return error(
    `${list} has ${formatCounted(said.length, as)}, each named above; no bundle was made`,
  );
}

/** Why a name is not free; the collector judges the same again. */
function takenBy(agents: readonly AgentInfo[], name: string): string | undefined {
  const bearer = agents.find(
    (agent) => agent.name === name && (agent.state === 'enrolled' || agent.state === 'expected'),
  );
  if (bearer?.state === 'enrolled')
    return `there is an agent ${name} already; take another name, or make its bundle by itself: aliquot enroll NEWNAME --replaces ${name}`;
  if (bearer !== undefined)
    return `a bundle for ${name} is already waiting to be used; use it, or first: aliquot agent revoke ${name}`;
  const ended = agents.find((agent) => agent.name === name && agent.binding !== undefined);
  if (ended !== undefined)
    return `an agent that was ${ended.state} had the name ${name}; take another, or go on with its files: aliquot enroll ${name} --replaces ${name}`;
  const original = agents.find(({ histories }) =>
    histories.some((history) => history.state === 'clone' && history.name === name),
  );
  return original === undefined
    ? undefined
    : `a clone of ${original.name} has the name ${name}; take another name`;
}
