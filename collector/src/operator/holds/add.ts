import {
  asHoldId,
  asLineageId,
  type HoldBody,
  type LineageId,
  MAX_HOLD_LINEAGES,
  MAX_HOLD_WORDS,
  MAX_TIME_MS,
} from '@aliquot/proto';
import { UsageError } from '@aliquot/shared/cli/errors';
import { globMatcher } from '@aliquot/shared/cli/glob';
import type { Output } from '@aliquot/shared/cli/output';
import { parseTime } from '@aliquot/shared/cli/time';
import { fromHex, hex } from '@aliquot/shared/crypto/bytes';
import { sealHoldPaths } from '@aliquot/shared/keys/hold';
import { fitsName, NAME_PATTERN } from '@aliquot/shared/settings/name-pattern';
import { type CommandContext, outputOf } from '../../cli/context.ts';
import { type AgentView, everyBranch } from '../agent-view.ts';
import { inspectedVault } from '../choose-vault.ts';
import type { VaultClient } from '../client/vault-client.ts';
import { AGENT_NAME, AGENT_NAME_RULE } from '../name-list.ts';
import { nameSource } from '../names.ts';
import type { CollectorOptions, KitOptions } from '../options.ts';
import { nameOf } from '../paths.ts';
import { UnopenedList } from '../unopened.ts';

export interface AddOptions extends CollectorOptions, KitOptions {
  readonly reason: string;
  readonly owner?: string;
  readonly agent: readonly string[];
  readonly path: readonly string[];
  readonly class: readonly string[];
  readonly from?: string;
  readonly to?: string;
  readonly json?: boolean;
}

/** `aliquot hold add`. */
export async function addHold(
  context: CommandContext,
  name: string,
  options: AddOptions,
): Promise<void> {
  const output = outputOf(context, options);
  requireWords(name, options);
  const owner = options.owner ?? context.environment.user;
  if (owner === undefined)
    throw new UsageError('USAGE_MISSING', 'say who answers for the hold: give --owner TEXT');
  const [fromMs, toMs] = spanOf(context, options, output);
  const vault = await inspectedVault(context, options);
  const { agents, views } = await agentsMeant(vault, options.agent, output);
  const { descriptor } = vault;
  const holdId = asHoldId(context.random.bytes(16));
  const globs = options.path;
  const body: HoldBody = {
    version: 1,
    ...{ vaultId: descriptor.vaultId, holdId, name, reason: options.reason, owner },
    agents,
    lineageIds: agents.length === 0 ? [] : lineagesOf(views),
    classes: [...new Set(options.class)].sort(),
    ...{ fromMs, toMs },
    paths:
      globs.length === 0 ? undefined : sealHoldPaths(descriptor, { holdId }, globs, context.random),
  };
  const leaf = await vault.holds.set(body);
  const { blind } = vault.info;
  const fits =
    blind && options.kit === undefined
      ? undefined
      : await fitsAnything(context, options, body, views);
  if (fits === false)
    output.note(
      `hold ${name} covers nothing that is there today; it will cover what comes and fits`,
    );
  const unresolved = blind && globs.length > 0;
  const text = unresolved
    ? ` The vault is blind: until \`aliquot hold resolve ${name} --kit KIT\` it covers ${agents.length === 0 ? 'all PCs' : 'its PCs'} whole.`
    : '';
  await output.result(
    { event: 'held', hold: name, id: hex(holdId), leaf, owner, resolved: !unresolved, fits },
    `Hold ${name} is set: nothing that it covers goes until it is released. The log has it as leaf ${leaf}.${text}`,
  );
}

/** Throws for what no hold may say. Error: `USAGE_INVALID`. */
function requireWords(name: string, options: AddOptions): void {
  const refuse = (what: string): never => {
    throw new UsageError('USAGE_INVALID', what);
  };
  if (!AGENT_NAME.test(name)) refuse(`"${name}" is no name for a hold; ${AGENT_NAME_RULE}`);
  for (const [option, text] of [
    ['--reason', options.reason],
    ['--owner', options.owner ?? 'x'],
  ] as const)
    if (text.trim() === '' || text.length > MAX_LINE || /[\p{Cc}\p{Zl}\p{Zp}]/u.test(text))
      refuse(`${option} must be one line, not empty, of at most ${MAX_LINE} characters`);
  for (const [option, words] of [
    ['--agent', options.agent],
    ['--path', options.path],
    ['--class', options.class],
  ] as const)
    if (words.length > MAX_HOLD_WORDS)
      refuse(`${option} may be given ${MAX_HOLD_WORDS} times: set several holds`);
  for (const glob of options.path) globMatcher(glob);
  if (options.path.join('').length > MAX_GLOBS)
    refuse(`the patterns of one hold may have ${MAX_GLOBS} characters: set several holds`);
  for (const one of options.class)
    if (!/^[a-z0-9-]{1,64}$/.test(one))
      refuse(`"${one}" is no class; use lower-case letters, digits and hyphens`);
}

const MAX_LINE = 1000;
/** Whatever signs they are made of, they fit into what the format allows. */
const MAX_GLOBS = 4000;

function spanOf(
  context: CommandContext,
  { from, to }: AddOptions,
  output: Output,
): readonly [number, number] {
  const nowMs = context.clock.nowMs();
  const fromMs =
    from === undefined ? 0 : parseTime(beginningOf(from), nowMs, '--from', output.note);
  const toMs = to === undefined ? undefined : parseTime(to, nowMs, '--to', output.note);
  if (fromMs === undefined || fromMs < 0 || fromMs > (toMs ?? MAX_TIME_MS))
    throw new UsageError(
      'USAGE_INVALID',
      `--from ${from ?? ''} must be a time${to === undefined ? '' : ` before --to ${to}`}`,
    );
  return [fromMs, toMs ?? MAX_TIME_MS];
}

/** A TIME means the end of what it names; this one its first instant. */
function beginningOf(text: string): string {
  if (text === 'now' || text === 'latest' || /^\d+[smhdwy]$/.test(text)) return text;
  const [, time = text, zone = ''] = /^(.+?)( ?(?:UTC|GMT|Z|[+-]\d{2}:\d{2}))$/i.exec(text) ?? [];
  const [clock, seconds, fraction] = /\d{1,2}:\d{2}(:\d{2}(\.\d{1,9})?)?$/.exec(time) ?? [
    undefined,
    undefined,
    undefined,
  ];
  if (clock === undefined) return `${time} 00:00:00.000${zone}`;
  if (seconds === undefined) return `${time}:00.000${zone}`;
  return fraction === undefined ? `${time}.000${zone}` : text;
}

/**
 * The PCs that are meant: by the names that they have, and by patterns as they are. Errors:
 * `COMMAND_AGENT` for a name that nobody has, `USAGE_INVALID`.
 */
async function agentsMeant(
  vault: VaultClient,
  given: readonly string[],
  output: Output,
): Promise<{ readonly agents: readonly string[]; readonly views: readonly AgentView[] }> {
  const all = everyBranch((await vault.roster.list()).agents);
  if (given.length === 0) return { agents: [], views: all };
  const agents = new Set<string>();
  const meant = new Set<string>();
  for (const word of given) {
    if (!word.includes('*')) {
      const { name, lineageId } = await vault.roster.history(word);
      agents.add(name);
      meant.add(lineageId);
      continue;
    }
    if (!NAME_PATTERN.test(word))
      throw new UsageError(
        'USAGE_INVALID',
        `--agent cannot be "${word}"; give a name of a PC, in which * stands for any characters`,
      );
    agents.add(word);
    const fitting = all.filter(({ name }) => fitsName(word, name));
    if (fitting.length === 0)
      output.note(`--agent ${word} fits no PC today; it will hold those that come and fit`);
    for (const { lineageId } of fitting) meant.add(lineageId);
  }
  const views = all.filter(({ lineageId }) => meant.has(lineageId));
  return { agents: [...agents].sort(), views };
}

function lineagesOf(views: readonly AgentView[]): LineageId[] {
  const ids = [...new Set(views.map(({ lineageId }) => lineageId))].sort();
  if (ids.length > MAX_HOLD_LINEAGES)
    throw new UsageError(
      'USAGE_INVALID',
      `that are ${ids.length} PCs, and a hold names ${MAX_HOLD_LINEAGES} at most: set several, or one without --agent for all of them`,
    );
  return ids.map((id) => asLineageId(fromHex(id) ?? new Uint8Array(0)));
}

/** Whether anything that is there is covered; undefined where that cannot be said. */
async function fitsAnything(
  context: CommandContext,
  options: AddOptions,
  { classes, toMs }: HoldBody,
  views: readonly AgentView[],
): Promise<boolean | undefined> {
  const unopened = new UnopenedList();
  const source = await nameSource(context, options, unopened);
  const matchers = options.path.map(globMatcher);
  for (const view of views)
    for await (const row of source.everyVersion(view)) {
      const { path, platform } = nameOf(row);
      const isMeant =
        row.versionTimeMs <= toMs &&
        (classes.length === 0 || classes.includes(row.class)) &&
        (matchers.length === 0 || matchers.some((matches) => matches(path, platform)));
      if (isMeant) return true;
    }
  return unopened.isAny ? undefined : false;
}
