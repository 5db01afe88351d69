import { AliquotError } from '@aliquot/proto';
import { formatTime, pathText, printable } from '@aliquot/shared/cli/format';
import type { Output } from '@aliquot/shared/cli/output';
import { isDeletedResult, isMadeOf, MemberSet } from '@aliquot/shared/commit/results';
import { endWith } from '@aliquot/shared/durable/unexpected';
import { RestoreError } from '@aliquot/shared/restore/errors';
import { toRestoreItem } from '@aliquot/shared/restore/placing';
import { WholeFolder } from '@aliquot/shared/restore/whole-folder';
import { CommandError } from '../cli/command-error.ts';
import type { CommandContext } from '../cli/context.ts';
import type { AgentView } from './agent-view.ts';
import { addMember, membersOf, missingMembers, type ResultPlace } from './members.ts';
import { resultMeant } from './one-result.ts';
import type { ProvedVault } from './open-vault.ts';
import { type FailedName, tellFailures, tellRestored } from './restore-told.ts';
import type { FileThreads } from './restoring.ts';
import { UnopenedList } from './unopened.ts';
import { certifiedAgent, type OpenVersion } from './verified.ts';

interface Tools {
  readonly open: ProvedVault;
  readonly threads: FileThreads;
  readonly output: Output;
}

interface Wanted {
  readonly agent: AgentView;
  /** Its path, as it was typed. */
  readonly root: string;
  readonly atMs: number | undefined;
  readonly version: string | undefined;
  readonly to: string;
}

/**
 * `restore --result`: a folder result as one of its versions has it, whole or not at all. Its
 * members are counted, and their root compared with the signed one, before anything is fetched, and
 * again while they are written; it gets its name when each of them is proved.
 *
 * @throws CommandError `COMMAND_NO_SUCH_FILE`, `COMMAND_RESULT_OPEN`, `COMMAND_RESULT_NOT_WHOLE`.
 */
export async function restoreResult(
  context: CommandContext,
  { open, threads, output }: Tools,
  { agent, root, atMs, version, to }: Wanted,
): Promise<void> {
  const unopened = new UnopenedList();
  const certified = certifiedAgent(open.kit, agent);
  const meant = { path: root, atMs, version };
  const result = await resultMeant(open, agent, meant, unopened);
  if (result === undefined) {
    await unopened.tell(output);
    throw new CommandError(
      'COMMAND_NO_SUCH_FILE',
      `agent ${agent.name} had no folder result ${printable(root)}${atMs === undefined ? '' : ' then'}; see \`aliquot ls --agent ${agent.name} --results\``,
    );
  }
  const { row, line } = result;
  const path = printable(pathText(result.list.path));
  const instead =
    '`aliquot versions` lists its versions, for --version; --path instead of --result gives back what there is';
  if (isDeletedResult(line))
    throw new CommandError(
      'COMMAND_NO_SUCH_FILE',
      `${path} was deleted, as captured ${formatTime(line.versionTimeMs)}; \`aliquot versions\` lists what it was before, for --version`,
    );
  if (row.progress === 'open')
    throw new CommandError(
      'COMMAND_RESULT_OPEN',
      `${path} was open on ${formatTime(line.versionTimeMs)}: members were still to come, or could not be read; ${instead}`,
    );
  const place: ResultPlace = { open, branchId: agent.agentId, agent: certified, result };
  const notWhole = (why: string) =>
    new CommandError(
      'COMMAND_RESULT_NOT_WHOLE',
      `${path} was not restored, because ${why}; ${instead}`,
    );
  const membersAt = await wholeAt(place, atMs, unopened);
  if (membersAt === undefined) {
    await unopened.show(output);
    const { members, present, missing } = await missingMembers(place, unopened);
    await tellFailures(output, missing);
    const unnamed = members - present - missing.length;
    const more = unnamed > 0 && missing.length > 0 ? ', of others not even the name' : '';
    throw notWhole(
      present < members
        ? `${members - present} of its ${members} members ${members - present === 1 ? 'is' : 'are'} not there any more${more}`
        : 'its members are not those that its PC signed',
    );
  }
  if (membersAt.changedSince)
    output.note(
      `${path} is given back as of ${formatTime(line.versionTimeMs)}: members were captured again since, and no later version of the result is there`,
    );
  const whole = await WholeFolder.open(
    { port: context.files, random: context.random, root: to },
    result.list,
    line.version,
  );
  const failures: FailedName[] = [];
  const progress = output.progress('restored');
  const set = new MemberSet();
  async function* items() {
    for await (const member of membersOf(place, membersAt?.atMs, unopened)) {
      addMember(set, member.entry);
      yield toRestoreItem(member as OpenVersion);
    }
  }
  try {
    const summary = await threads
      .restore(
        open,
        items(),
        { overwrite: true },
        {
          writer: whole.writer,
          onProgress: ({ files, bytes, path: current }) =>
            progress.update({
              ...{ files, bytes, totalFiles: membersAt.files, totalBytes: row.size },
              current: () => pathText(current),
            }),
          onFailure: (failed, error) => void failures.push({ path: failed, error }),
        },
      )
      .finally(() => progress.done());
    if (failures.length > 0) {
      await tellFailures(output, failures);
      throw notWhole(
        failures.length === 1
          ? 'one of its members does not come back as it was captured'
          : `${failures.length} of its members do not come back as they were captured`,
      );
    }
    if (!isMadeOf(row, set)) throw notWhole('its members are not those that its PC signed');
    await whole.keep();
    const { grade, version: id } = line;
    await tellRestored(output, summary, to, {
      result: pathText(result.list.path),
      version: id,
      grade,
    });
    if (!output.json)
      output.note(
        `${path} is whole: ${row.members} members, as signed on ${formatTime(line.versionTimeMs)} (${grade})`,
      );
  } catch (error) {
    if (isOfResult(error)) await whole.discard().catch(endWith);
    else
      output.note(
        `What came of ${path} is kept in ${printable(pathText(whole.temporary))}; the same command goes on with it.`,
      );
    throw error;
  }
}

/** Whether the same command again would end in the same way, or the disk is full. */
function isOfResult(error: unknown): boolean {
  return (
    error instanceof RestoreError ||
    (error instanceof AliquotError && error.code === 'COMMAND_RESULT_NOT_WHOLE')
  );
}

/** When a result is whole. */
interface WholeAt {
  readonly atMs: number | undefined;
  readonly changedSince: boolean;
  /** Of its members; the others are folders and links. */
  readonly files: number;
}

/**
 * When the collector's members of a result are those of its row: at the time that was asked for, or
 * at the row's own, when some were captured again since. Undefined: never.
 */
async function wholeAt(
  place: ResultPlace,
  atMs: number | undefined,
  unopened: UnopenedList,
): Promise<WholeAt | undefined> {
  const { versionTimeMs } = place.result.line;
  for (const [at, changedSince] of [
    [atMs, false],
    [versionTimeMs, true],
  ] as const) {
    const set = new MemberSet();
    let files = 0;
    for await (const { entry } of membersOf(place, at, unopened)) {
      addMember(set, entry);
      if (entry.kind === 'file') files += 1;
    }
    if (isMadeOf(place.result.row, set)) return { atMs: at, changedSince, files };
  }
  return undefined;
}
