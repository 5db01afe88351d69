import { UsageError } from '@aliquot/shared/cli/errors';
import { formatCounted, formatInstant, formatTime, printable } from '@aliquot/shared/cli/format';
import type { Output } from '@aliquot/shared/cli/output';
import { openDetail } from '@aliquot/shared/keys/settings';
import { renderSettings } from '@aliquot/shared/settings/policy';
import { retentionTemplates } from '@aliquot/shared/settings/retention-templates';
import type { Command } from 'commander';
import { fromBase64 } from '../../api/base64.ts';
import { CommandError } from '../../cli/command-error.ts';
import { type CommandContext, outputOf } from '../../cli/context.ts';
import { inspectedVault } from '../choose-vault.ts';
import { withKitOrKeyFile } from '../operator-key.ts';
import {
  type CollectorOptions,
  type KitOptions,
  withCollector,
  withExample,
  withJson,
  withNotes,
} from '../options.ts';
import { registerSimulate } from '../retention/simulate.ts';
import {
  type DeskPc,
  deskPcs,
  type OpenDesk,
  openDesk,
  type PolicyDeskOptions,
  type StoredPolicy,
  storedPolicy,
} from './desk.ts';
import { policyIn } from './file.ts';
import { noteUnknown, otherRules, type SetOptions } from './planned.ts';
import { isOfText } from './rules.ts';
import { diffPolicy, setPolicy } from './set.ts';

interface GetOptions extends PolicyDeskOptions {
  readonly revision?: string;
  readonly agent?: string;
  readonly json?: boolean;
}

const SIGNING =
  '--kit (the vault’s authority) or --by (an operator with the purpose settings) signs, and opens what is set now.';

export function registerPolicy(program: Command, context: CommandContext): void {
  const policy = program
    .command('policy')
    .description('What PCs are told: one file for the whole vault.');
  withExample(policy, 'aliquot policy set policy.yaml --by maria.key');

  const get = policy
    .command('get')
    .description('Print the policy as it was set, or with --agent what it tells one PC.')
    .option('--revision <NUMBER>', 'an earlier one instead of the newest')
    .option('--agent <NAME>', 'the settings that this PC gets from it');
  withJson(withKitOrKeyFile(withCollector(get)));
  withExample(get, 'aliquot policy get --by maria.key > policy.yaml');
  get.action(async (options: GetOptions) => getPolicy(context, options));

  const template = policy
    .command('template')
    .description('Print a beginning for the rules of retention, or say which ones there are.')
    .argument('[NAME]', `${retentionTemplates.map(({ name }) => name).join(', ')}`);
  withJson(template);
  withExample(template, 'aliquot policy template raw >> policy.yaml');
  template.action(async (name: string | undefined, options: { json?: boolean }) =>
    printTemplate(context, name, options),
  );

  const check = policy
    .command('check')
    .description(
      'Say whether a file could be the policy, and what is wrong with it; needs neither collector nor key.',
    )
    .argument('FILE', 'the policy, as YAML');
  withJson(check);
  withExample(check, 'aliquot policy check policy.yaml');
  check.action(async (file: string, options: { json?: boolean }) =>
    checkPolicy(context, file, options),
  );

  const diff = policy
    .command('diff')
    .description(
      'What setting a file would change: PC by PC, which folders lose their cover, and what is kept less or more, from when on.',
    )
    .argument('FILE', 'the policy, as YAML')
    .option('--canary <GROUP>', 'as with `policy set`')
    .option('--all', 'as with `policy set`');
  withJson(withKitOrKeyFile(withCollector(diff)));
  withExample(diff, 'aliquot policy diff policy.yaml --by maria.key');
  diff.action(async (file: string, options: SetOptions) => diffPolicy(context, file, options));

  const set = policy
    .command('set')
    .description('Sign the policy, make each PC its settings from it, and hand them out.')
    .argument('FILE', 'the policy, as YAML')
    .option(
      '--canary <GROUP>',
      'only PCs of this group get them now; the others after a day without a new problem, or `policy promote`',
    )
    .option('--all', 'hand them to every PC anew, also where nothing changed')
    .option(
      '--yes',
      'even where folders lose their cover, names fit no PC, or how long versions are kept changes',
    );
  withJson(withKitOrKeyFile(withCollector(set)));
  withNotes(
    set,
    SIGNING,
    'Rules of retention need the kit, or a key for retention too; those that name root folders ("source") the kit. What keeps less acts after seven days, and a lock binds after one: until then the earlier policy, set again, takes it back.',
    'Each PC gets its own settings, sealed to it: the collector reads neither them nor the file. docs/settings.md has the file.',
  );
  withExample(
    set,
    'aliquot policy set policy.yaml --by maria.key',
    'aliquot policy set policy.yaml --canary first --kit lab.kit',
  );
  set.action(async (file: string, options: SetOptions) => setPolicy(context, file, options));

  registerSimulate(policy, context);

  const promote = policy
    .command('promote')
    .description('Hand out now what waits for the PCs of --canary.');
  withJson(withCollector(promote));
  withExample(promote, 'aliquot policy promote');
  promote.action(async (options: CollectorOptions & KitOptions & { json?: boolean }) =>
    promotePolicy(context, options),
  );
}

async function getPolicy(context: CommandContext, options: GetOptions): Promise<void> {
  const output = outputOf(context, options, 'reads');
  const desk = await openDesk(context, options);
  const stored = await storedPolicy(desk, revisionOf(options.revision));
  if (stored === undefined)
    throw new CommandError(
      'COMMAND_NO_POLICY',
      'no policy was set yet; `aliquot policy set FILE` sets one',
    );
  const { body, text, policy } = stored;
  const { revision, setAtMs } = body;
  if (options.agent === undefined) {
    noteKept(stored, options.revision === undefined, output);
    noteUnknown(stored, (await desk.vault.roster.list()).agents, output);
    await output.result(
      {
        event: 'policy',
        revision,
        set: formatInstant(setAtMs),
        text,
        rules: body.rules?.rules.length ?? 0,
        earlier: stored.earlier.map((one) => ({
          revision: one.revision,
          until: formatInstant(one.untilMs),
        })),
      },
      text.trimEnd(),
    );
    return;
  }
  if (policy === undefined)
    throw new CommandError(
      'COMMAND_ANSWER',
      `policy ${revision} was written by a newer release of Aliquot; update this one`,
    );
  const rendered = renderSettings(policy, options.agent);
  if (rendered === undefined)
    throw new CommandError('COMMAND_AGENT', `policy ${revision} says nothing to ${options.agent}`);
  // Beside the text, whose lines are those that a PC names when it refuses them.
  const groups = rendered.groups.length === 0 ? 'in no group' : `in ${rendered.groups.join(', ')}`;
  output.note(`${options.agent}, ${groups}; policy ${revision}, set ${formatTime(setAtMs)}`);
  const { agents } = await desk.vault.roster.list();
  const pc = deskPcs(desk.signer.descriptor, agents).find(({ name }) => name === options.agent);
  if (pc === undefined)
    output.note(`no PC ${options.agent} is enrolled; this is what one of that name would be told`);
  const said = saidOf(desk, pc);
  if (said !== undefined) output.note(said.text);
  const reply = said === undefined ? {} : { reply: said.json };
  await output.result(
    {
      event: 'settings',
      agent: options.agent,
      revision,
      groups: rendered.groups,
      text: rendered.text,
      ...reply,
    },
    rendered.text.trimEnd(),
  );
}

/** What of retention the text alone does not say. */
function noteKept(stored: StoredPolicy, isNewest: boolean, output: Output): void {
  const { revision } = stored.body;
  for (const { revision: old, untilMs } of isNewest ? stored.earlier : [])
    output.note(
      old === 0
        ? `everything still stays, as before the first policy, until ${formatTime(untilMs)}`
        : `policy ${old} still keeps what it kept, until ${formatTime(untilMs)}; to take policy ${revision} back, set it again before that`,
    );
  if (!isOfText(stored)) output.note(otherRules(revision));
}

/** What a PC says of the settings that it does not use, opened with the policy key. */
function saidOf(
  desk: OpenDesk,
  pc: DeskPc | undefined,
): { readonly text: string; readonly json: object } | undefined {
  const reply = pc?.info.settings.reply;
  if (pc === undefined || reply === undefined || reply.outcome === 'applied') return undefined;
  const { sequence, outcome, code, ephemeralKey, sealed, atMs } = reply;
  const { policyKey, descriptor } = desk.signer;
  const box = ephemeralKey !== undefined &&
    sealed !== undefined && { ephemeralKey: fromBase64(ephemeralKey), sealed: fromBase64(sealed) };
  const why =
    box === false ? undefined : openDetail(policyKey, descriptor, pc.agentId, sequence, box);
  const did = outcome === 'cannot' ? 'cannot use' : 'refused';
  return {
    text: `${pc.name} ${did} settings ${sequence} (${formatTime(atMs)}) [${code}]${why === undefined ? '' : `: ${printable(why)}`}`,
    json: { sequence, outcome, code, at: formatInstant(atMs), why: why ?? null },
  };
}

function revisionOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^[1-9]\d{0,14}$/.test(text))
    throw new UsageError(
      'USAGE_INVALID',
      `--revision cannot be "${text}"; give a number such as 12`,
    );
  return Number(text);
}

async function checkPolicy(
  context: CommandContext,
  file: string,
  options: { json?: boolean },
): Promise<void> {
  const output = outputOf(context, options);
  const { policy } = await policyIn(context, file, output);
  const groups = policy.groups.length;
  const pcs = policy.pcs.size;
  const rules = policy.retention?.rules.length;
  const ruled = rules === undefined ? '' : `, ${formatCounted(rules, 'rule')} of retention`;
  await output.result(
    {
      event: 'policy',
      file,
      groups: policy.groups.map(({ name }) => name),
      pcs: [...policy.pcs.keys()],
      rules: rules ?? 0,
    },
    `${file} is right: ${formatCounted(groups, 'group')}, ${formatCounted(pcs, 'single PC')}${ruled}. \`aliquot policy diff ${file}\` shows what it would change.`,
  );
}

async function printTemplate(
  context: CommandContext,
  name: string | undefined,
  options: { json?: boolean },
): Promise<void> {
  const output = outputOf(context, options, 'reads');
  const wanted = retentionTemplates.filter((one) => name === undefined || one.name === name);
  if (wanted.length === 0)
    throw new UsageError(
      'USAGE_INVALID',
      `there is no template "${name}"; there are ${retentionTemplates.map((one) => one.name).join(', ')}`,
    );
  for (const one of wanted) {
    const { says, text } = one;
    const human = name === undefined ? `${one.name.padEnd(12)}${says}` : text.trimEnd();
    await output.result({ event: 'template', name: one.name, says, text }, human);
  }
}

async function promotePolicy(
  context: CommandContext,
  options: CollectorOptions & KitOptions & { json?: boolean },
): Promise<void> {
  const output = outputOf(context, options);
  const vault = await inspectedVault(context, options);
  const { agents } = await vault.roster.list();
  const waiting = agents.filter(({ settings }) => settings.waiting > 0);
  const sequence = Math.max(0, ...waiting.map(({ settings }) => settings.waiting));
  if (waiting.length > 0) await vault.desk.promote(sequence);
  const many = formatCounted(waiting.length, 'PC');
  await output.result(
    { event: 'promoted', sequence, agents: waiting.map(({ name }) => name) },
    waiting.length === 0
      ? 'Nothing waits to be promoted.'
      : `Settings up to ${sequence} are handed out to ${many}.`,
  );
}
