import { type GroupCertificateBody, MAX_GROUP_NAMES, MAX_GROUP_USES } from '@aliquot/proto';
import { UsageError } from '@aliquot/shared/cli/errors';
import { formatCounted, formatInstant } from '@aliquot/shared/cli/format';
import { CommandError } from '../cli/command-error.ts';
import { type CommandContext, outputOf } from '../cli/context.ts';
import { inspectedVault } from './choose-vault.ts';
import { type DeskOptions, EnrolmentDesk, termOf } from './enroll-desk.ts';
import { refuseExisting } from './kit.ts';
import { AGENT_NAME, AGENT_NAME_RULE } from './name-list.ts';
import { publish } from './publish.ts';

export interface GroupOptions extends DeskOptions {
  readonly group: string;
  readonly out: string;
  readonly uses: string;
  readonly names?: string;
  readonly approve?: boolean;
}

const PATTERN = /^[a-z0-9*][a-z0-9._*-]{0,63}$/;

/** One bundle for as many PCs as `--uses` says. */
export async function enrollGroup(context: CommandContext, options: GroupOptions): Promise<void> {
  const output = outputOf(context, options);
  const { group: name, out, approve = false, selfRestore } = options;
  if (!AGENT_NAME.test(name))
    throw new UsageError('USAGE_INVALID', `"${name}" is no name for a group; ${AGENT_NAME_RULE}`);
  const uses = usesIn(options.uses);
  const names = patternsIn(options.names);
  const expiresAtMs = termOf(context, options, '7d');
  await refuseExisting(context, out);
  const desk = await EnrolmentDesk.open(context, options);
  const { text, group } = desk.groupBundle({
    name,
    uses,
    names,
    approve,
    selfRestore,
    expiresAtMs,
  });
  await publish(context, out, text, () => desk.vault.roster.addGroup(group));
  const expires = formatInstant(expiresAtMs);
  const after = approve
    ? `Each waits until you take it in: aliquot agents approve NAME --kit KIT\n`
    : '';
  await output.result(
    { event: 'bundle', bundle: out, group: name, uses, names, approve, expires, selfRestore },
    `Bundle of group ${name} written to ${out}: ${formatCounted(uses, 'PC')} may enrol with it until ${expires}.\n` +
      `On each PC: aliquot-agent enroll ${out} --data DIR\n${after}` +
      `Whoever has it may do so too: keep it where only these PCs read it, and end it when all have come:\n` +
      `  aliquot enroll --end-group ${name}`,
  );
}

/** Nobody enrols with the group's bundle any more; who has stays. */
export async function endGroup(
  context: CommandContext,
  name: string,
  options: DeskOptions,
): Promise<void> {
  const output = outputOf(context, options);
  const vault = await inspectedVault(context, options);
  const { groups } = await vault.roster.list();
  const called = groups.filter((group) => group.name === name);
  const group = called.find(({ endedAtMs }) => endedAtMs === undefined) ?? called.at(-1);
  if (group === undefined) {
    const open = groups
      .filter(({ endedAtMs }) => endedAtMs === undefined)
      .map((known) => known.name);
    const known = open.length === 0 ? 'it has none' : `it has: ${open.join(', ')}`;
    throw new CommandError(
      'COMMAND_AGENT',
      `vault ${vault.info.name} has no group ${name}; ${known}`,
    );
  }
  await vault.roster.endGroup(group.groupId);
  await output.result(
    { event: 'groupEnded', group: name, used: group.used, uses: group.uses },
    `Group ${name} is ended: nobody enrols with its bundle any more. ${formatCounted(group.used, 'PC')} came with it, and may go on.`,
  );
}

function usesIn(text: string): number {
  const uses = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (uses >= 1 && uses <= MAX_GROUP_USES) return uses;
  throw new UsageError(
    'USAGE_INVALID',
    `--uses ${text} is no number of PCs; give 1 to ${MAX_GROUP_USES}`,
  );
}

/** As the certificate has them: in rising order, each once, in lower case. */
function patternsIn(text: string | undefined): GroupCertificateBody['names'] {
  if (text === undefined) return [];
  const patterns = [
    ...new Set(text.split(',').map((pattern) => pattern.trim().toLowerCase())),
  ].sort();
  const wrong = patterns.find((pattern) => !PATTERN.test(pattern));
  if (wrong !== undefined)
    throw new UsageError(
      'USAGE_INVALID',
      `--names: "${wrong}" is no pattern of names; use letters, digits, . _ - and * for anything, as in 'hplc-*'`,
    );
  if (patterns.length > MAX_GROUP_NAMES)
    throw new UsageError('USAGE_INVALID', `--names has more than ${MAX_GROUP_NAMES} patterns`);
  return patterns;
}
