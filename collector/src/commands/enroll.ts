import { UsageError } from '@aliquot/shared/cli/errors';
import { formatInstant } from '@aliquot/shared/cli/format';
import { eraseDurably, writeFileDurably } from '@aliquot/shared/durable/durable';
import type { Command } from 'commander';
import { type CommandContext, outputOf } from './context.ts';
import { type AgentLine, type DeskOptions, EnrolmentDesk, termOf } from './enroll-desk.ts';
import { enrollList, type ListOptions } from './enroll-list.ts';
import { refuseExisting } from './kit.ts';
import { AGENT_NAME, AGENT_NAME_RULE } from './name-list.ts';
import { withCollector, withExample, withJson, withKit } from './options.ts';
import { certifiedAgent } from './verified.ts';

interface EnrollOptions extends DeskOptions {
  readonly out?: string;
  readonly replaces?: string;
  readonly list?: string;
  readonly outDir?: string;
}

export function registerEnroll(program: Command, context: CommandContext): void {
  const enroll = program
    .command('enroll')
    .description(
      'Make the enrolment bundle for one PC, or one for each of a list. It is a secret, also after it was used or has expired: carry it yourself and delete it.',
    )
    .argument('[NAME]', "the agent's name: letters, digits, dots, dashes")
    .option('--out <BUNDLE>', 'the bundle to write; an existing file is never overwritten')
    .option('--list <FILE>', 'a bundle for each name in FILE, one on a line, instead of NAME')
    .option('--out-dir <DIR>', 'where the bundles of a list go, each as NAME.bundle; made when missing')
    .option('--expires <AGE>', 'how long the bundle may be used (default: 24h)')
    .option('--no-self-restore', 'this PC may send but not read back, not even its own files')
    .option(
      '--replaces <OLD>',
      'this PC takes the place of agent OLD: it inherits its history, and OLD is refused as soon as this one enrols',
    )
    .option('--agent-url <URL>', 'the address at which this PC reaches the collector, if it is not --url');
  withJson(withKit(withCollector(enroll), 'needed'));
  withExample(
    enroll,
    'aliquot enroll hplc-1 --kit lab.kit --out hplc-1.bundle',
    'aliquot enroll hplc-1b --replaces hplc-1 --kit lab.kit --out hplc-1b.bundle',
    'aliquot enroll --list pcs.txt --kit lab.kit --out-dir bundles',
  );
  enroll.action(async (name: string | undefined, options: EnrollOptions) => {
    if (options.list !== undefined) return enrollList(context, listOptions(name, options, options.list));
    return enrollOne(context, ...oneOptions(name, options));
  });
}

/** Whether what was given fits a list. */
function listOptions(name: string | undefined, options: EnrollOptions, list: string): ListOptions {
  const { outDir } = options;
  if (name !== undefined) throw new UsageError('USAGE_INVALID', `give ${name} or --list, not both; the names of a list stand in its file`);
  if (options.replaces !== undefined)
    throw new UsageError('USAGE_INVALID', '--replaces is of one PC; make its bundle by itself: aliquot enroll NAME --replaces OLD');
  if (options.out !== undefined) throw new UsageError('USAGE_INVALID', '--out is of one bundle; those of a list go to --out-dir DIR');
  if (outDir === undefined) throw new UsageError('USAGE_MISSING', 'where do the bundles go? give --out-dir DIR');
  return { ...options, list, outDir };
}

function oneOptions(name: string | undefined, options: EnrollOptions): [name: string, options: EnrollOptions & { readonly out: string }] {
  const { out } = options;
  if (name === undefined) throw new UsageError('USAGE_MISSING', 'which PC? give its name, or --list FILE with the names of several');
  if (!AGENT_NAME.test(name)) throw new UsageError('USAGE_INVALID', `"${name}" is no agent name; ${AGENT_NAME_RULE}`);
  if (options.outDir !== undefined) throw new UsageError('USAGE_INVALID', '--out-dir is of a list; give --out BUNDLE for one PC');
  if (out === undefined) throw new UsageError('USAGE_MISSING', `where does the bundle go? give --out FILE, such as ${name}.bundle`);
  return [name, { ...options, out }];
}

async function enrollOne(context: CommandContext, name: string, options: EnrollOptions & { readonly out: string }): Promise<void> {
  const output = outputOf(context, options);
  const expiresAtMs = termOf(context, options, '24h');
  await refuseExisting(context, options.out);
  const desk = await EnrolmentDesk.open(context, options);
  const line = await lineOf(desk, options.replaces);
  const { text, enrolment } = desk.bundleFor(name, line, { selfRestore: options.selfRestore, expiresAtMs });
  await publish(context, options.out, text, () => desk.vault.expectAgents([enrolment]));
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

/** A new agent begins its own line; a replacement goes on with the line of the one that it replaces, as the authority certified it. */
async function lineOf(desk: EnrolmentDesk, replaces: string | undefined): Promise<AgentLine> {
  const line = desk.newLine();
  if (replaces === undefined) return line;
  const old = certifiedAgent(desk.kit, await desk.vault.agent(replaces));
  return { ...line, lineageId: old.lineageId, replaces: old.agentId };
}

/**
 * Writes the bundle, then registers it, and takes it away again when the collector refuses. After a crash in between there is a
 * bundle that the collector does not expect, and it says so; the other order could leave a name taken by a bundle that nobody has.
 */
async function publish(context: CommandContext, file: string, text: string, register: () => Promise<void>): Promise<void> {
  await writeFileDurably(context.files, file, Buffer.from(text), { mode: 0o600, createOnly: true });
  try {
    await register();
  } catch (error) {
    // Its keys are those of the whole vault, so the bytes go too.
    await eraseDurably(context.files, file).catch(() => undefined);
    throw error;
  }
}
