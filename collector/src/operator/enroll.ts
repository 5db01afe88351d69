import { UsageError } from '@aliquot/shared/cli/errors';
import { formatInstant } from '@aliquot/shared/cli/format';
import type { Command } from 'commander';
import { type CommandContext, outputOf } from '../cli/context.ts';
import { type AgentLine, type DeskOptions, EnrolmentDesk, termOf } from './enroll-desk.ts';
import { endGroup, enrollGroup, type GroupOptions } from './enroll-group.ts';
import { enrollList, type ListOptions } from './enroll-list.ts';
import { refuseExisting } from './kit.ts';
import { AGENT_NAME, AGENT_NAME_RULE } from './name-list.ts';
import { withCollector, withExample, withJson, withKit } from './options.ts';
import { publish } from './publish.ts';
import { certifiedAgent } from './verified.ts';

interface EnrollOptions extends DeskOptions {
  readonly out?: string;
  readonly replaces?: string;
  readonly list?: string;
  readonly outDir?: string;
  readonly group?: string;
  readonly uses?: string;
  readonly names?: string;
  readonly approve?: boolean;
  readonly endGroup?: string;
}

export function registerEnroll(program: Command, context: CommandContext): void {
  const enroll = program
    .command('enroll')
    .description(
      'Make the enrolment bundle for one PC, one for each of a list, or one for a group of PCs. It is a secret, also after it was used or has expired: carry it yourself and delete it.',
    )
    .argument('[NAME]', "the agent's name: letters, digits, dots, dashes")
    .option('--out <BUNDLE>', 'the bundle to write; an existing file is never overwritten')
    .option('--list <FILE>', 'a bundle for each name in FILE, one on a line, instead of NAME')
    .option(
      '--out-dir <DIR>',
      'where the bundles of a list go, each as NAME.bundle; made when missing',
    )
    .option('--group <NAME>', 'one bundle for several PCs instead, which make their own keys')
    .option('--uses <COUNT>', 'how many PCs may enrol with the bundle of a group')
    .option(
      '--names <PATTERNS>',
      "what these PCs may be called, as in 'hplc-*,gcms-*' (default: any free name)",
    )
    .option(
      '--approve',
      'each PC of the group captures and queues until `aliquot agents approve` takes it in',
    )
    .option(
      '--end-group <NAME>',
      'nobody enrols with the bundle of this group any more; needs no kit',
    )
    .option('--expires <AGE>', 'how long the bundle may be used (default: 24h; of a group 7d)')
    .option('--no-self-restore', 'this PC may send but not read back, not even its own files')
    .option(
      '--replaces <OLD>',
      'this PC takes the place of agent OLD: it inherits its history, and OLD is refused as soon as this one enrols',
    )
    .option(
      '--agent-url <URL>',
      'the address at which this PC reaches the collector, if it is not --url',
    );
  withJson(withKit(withCollector(enroll), 'needed'));
  withExample(
    enroll,
    'aliquot enroll hplc-1 --kit lab.kit --out hplc-1.bundle',
    'aliquot enroll hplc-1b --replaces hplc-1 --kit lab.kit --out hplc-1b.bundle',
    'aliquot enroll --list pcs.txt --kit lab.kit --out-dir bundles',
    "aliquot enroll --group hall-7 --uses 40 --names 'hplc-*' --kit lab.kit --out hall-7.bundle",
  );
  enroll.action(async (name: string | undefined, options: EnrollOptions) => {
    refuseMixed(name, options);
    if (options.endGroup !== undefined) return endGroup(context, options.endGroup, options);
    if (options.group !== undefined)
      return enrollGroup(context, groupOptions(options, options.group));
    if (options.list !== undefined) return enrollList(context, listOptions(options, options.list));
    return enrollOne(context, ...oneOptions(name, options));
  });
}

/** The ways to enrol, and the options that are not of all of them. */
const waysToEnroll = [
  { way: 'NAME', takes: ['out', 'replaces'] },
  { way: '--list', takes: ['outDir'] },
  { way: '--group', takes: ['out', 'uses', 'names', 'approve'] },
  { way: '--end-group', takes: [] },
] as const;

/** One way at a time, with its own options. */
function refuseMixed(name: string | undefined, options: EnrollOptions): void {
  const given = [name, options.list, options.group, options.endGroup];
  const [chosen, another] = waysToEnroll.filter((_way, at) => given[at] !== undefined);
  if (chosen !== undefined && another !== undefined)
    throw new UsageError('USAGE_INVALID', `give ${chosen.way} or ${another.way}, not both`);
  const { way, takes } = chosen ?? waysToEnroll[0];
  const spelt: Record<string, string> = { outDir: '--out-dir' };
  for (const option of ['out', 'outDir', 'replaces', 'uses', 'names', 'approve'] as const) {
    if (options[option] === undefined || (takes as readonly string[]).includes(option)) continue;
    const of = waysToEnroll
      .filter((other) => (other.takes as readonly string[]).includes(option))
      .map((other) => other.way);
    throw new UsageError(
      'USAGE_INVALID',
      `${spelt[option] ?? `--${option}`} goes with ${of.join(' and ')}, not with ${way}`,
    );
  }
}

function listOptions(options: EnrollOptions, list: string): ListOptions {
  const { outDir } = options;
  if (outDir === undefined)
    throw new UsageError('USAGE_MISSING', 'where do the bundles go? give --out-dir DIR');
  return { ...options, list, outDir };
}

function groupOptions(options: EnrollOptions, group: string): GroupOptions {
  const { out, uses } = options;
  if (uses === undefined)
    throw new UsageError(
      'USAGE_MISSING',
      'how many PCs may enrol with the bundle? give --uses COUNT',
    );
  if (out === undefined)
    throw new UsageError(
      'USAGE_MISSING',
      `where does the bundle go? give --out FILE, such as ${group}.bundle`,
    );
  return { ...options, group, out, uses };
}

function oneOptions(
  name: string | undefined,
  options: EnrollOptions,
): [name: string, options: EnrollOptions & { readonly out: string }] {
  const { out } = options;
  if (name === undefined)
    throw new UsageError(
      'USAGE_MISSING',
      'which PC? give its name; or --list FILE with several names, or --group NAME for one bundle for many PCs',
    );
  if (!AGENT_NAME.test(name))
    throw new UsageError('USAGE_INVALID', `"${name}" is no agent name; ${AGENT_NAME_RULE}`);
  if (out === undefined)
    throw new UsageError(
      'USAGE_MISSING',
      `where does the bundle go? give --out FILE, such as ${name}.bundle`,
    );
  return [name, { ...options, out }];
}

async function enrollOne(
  context: CommandContext,
  name: string,
  options: EnrollOptions & { readonly out: string },
): Promise<void> {
  const output = outputOf(context, options);
  const expiresAtMs = termOf(context, options, '24h');
  await refuseExisting(context, options.out);
  const desk = await EnrolmentDesk.open(context, options);
  const line = await lineOf(desk, options.replaces);
  const { text, enrolment } = desk.bundleFor(name, line, {
    selfRestore: options.selfRestore,
    expiresAtMs,
  });
  await publish(context, options.out, text, () => desk.vault.roster.expectAgents([enrolment]));
  await output.result(
    {
      event: 'bundle',
      bundle: options.out,
      agent: name,
      expires: formatInstant(expiresAtMs),
      selfRestore: options.selfRestore,
      replaces: options.replaces,
    },
    `Bundle for ${name} written to ${options.out}; it may be used until ${formatInstant(expiresAtMs)}.\n` +
      `On the PC: aliquot-agent enroll ${options.out} --data DIR\n` +
      'The bundle is a secret even after that: carry it yourself, delete every copy.',
  );
}

/**
 * A new agent begins its own line; a replacement goes on with the line of the one that it replaces,
 * as the authority certified it.
 */
async function lineOf(desk: EnrolmentDesk, replaces: string | undefined): Promise<AgentLine> {
  const line = desk.newLine();
  if (replaces === undefined) return line;
  const old = certifiedAgent(desk.kit, await desk.vault.roster.agent(replaces));
  return {
    ...line,
    lineageId: old.lineageId,
    replaces: old.agentId,
    lineageGroup: old.enrolment.lineageGroup,
  };
}
