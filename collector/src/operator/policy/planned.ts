import { UsageError } from '@aliquot/shared/cli/errors';
import type { Output } from '@aliquot/shared/cli/output';
import { isNumberFree } from '@aliquot/shared/keys/settings';
import { forNobody, type Policy, settingsMistakes } from '@aliquot/shared/settings/policy';
import type { AgentInfo } from '../../api/messages.ts';
import { CommandError } from '../../cli/command-error.ts';
import type { CommandContext } from '../../cli/context.ts';
import {
  type DeskPc,
  deskPcs,
  type OpenDesk,
  openDesk,
  type PolicyDeskOptions,
  type StoredPolicy,
  storedPolicy,
} from './desk.ts';
import { mistakeText, type PolicyFile } from './file.ts';
import { type PcPlan, planOf } from './plan.ts';
import { type SectionChanges, sectionChanges } from './rule-changes.ts';
import { isOfText, unknownTo } from './rules.ts';
import { namesText } from './show.ts';

export interface SetOptions extends PolicyDeskOptions {
  readonly canary?: string;
  readonly all?: boolean;
  readonly yes?: boolean;
  readonly json?: boolean;
}

/** What setting a file would change. */
export interface Planned {
  readonly desk: OpenDesk;
  /** The newest policy; undefined: none was set. */
  readonly before: StoredPolicy | undefined;
  readonly plans: readonly PcPlan[];
  readonly rules: SectionChanges;
  /** How many PCs and clones `rules` may be about. */
  readonly agents: number;
  /** The number that the next policy must be above. */
  readonly revision: number;
  /** Settings for nobody, reported already. */
  readonly nobody: number;
}

/** This many are shown; the others are mostly of the same lines. */
const MOST_MISTAKES = 20;

/** Looks what setting the file at `path` would change. Reports what is for nobody. */
export async function planned(
  context: CommandContext,
  path: string,
  file: PolicyFile,
  options: SetOptions,
  output: Output,
): Promise<Planned> {
  const canary = canaryIn(file.policy, options);
  const desk = await openDesk(context, options);
  const [before, { agents }] = [await storedPolicy(desk), await desk.vault.roster.list()];
  const pcs = deskPcs(desk.signer.descriptor, agents);
  if (before !== undefined) noteStored(before, output);
  // The kit makes the ids of their folders anew.
  if (desk.signer.pathSecret === undefined) noteUnknown(before, agents, output);
  const nobody = forNobody(
    file.policy,
    pcs.map(({ name }) => name),
  );
  for (const mistake of nobody) output.note(mistakeText(path, mistake));
  refuseWrong(file.policy, path, pcs, output);
  const plans = planOf(pcs, before?.policy, file.policy, { canary, all: options.all === true });
  if (canary !== undefined && !plans.some(({ sends, waits }) => sends && !waits))
    throw new UsageError(
      'USAGE_INVALID',
      `--canary: group ${canary} fits no PC that gets new settings, so the others would wait for nobody`,
    );
  const nowMs = context.clock.nowMs();
  const names = namesOf(agents);
  const [kept, keeps] = [before?.policy?.retention, file.policy.retention];
  return {
    desk,
    before,
    plans,
    rules: sectionChanges(kept, keeps, names, nowMs),
    agents: names.length,
    revision: newestOf(before?.body.revision ?? 0, pcs, options, output, nowMs),
    nobody: nobody.length,
  };
}

/** Everything that has versions, or may have: of PCs that ended too, and of clones. */
function namesOf(agents: readonly AgentInfo[]): string[] {
  const all = agents.flatMap(({ name, histories }) => [
    name,
    ...histories.flatMap((history) => (history.state === 'clone' ? [history.name] : [])),
  ]);
  return [...new Set(all)];
}

function noteStored(stored: StoredPolicy, output: Output): void {
  const { revision } = stored.body;
  if (stored.policy === undefined)
    output.note(
      `policy ${revision} was written by a newer release: what changes cannot be told whole`,
    );
  if (!isOfText(stored)) output.note(otherRules(revision));
}

/** Names the PCs that came after a policy with rules for root folders. */
export function noteUnknown(
  stored: StoredPolicy | undefined,
  agents: readonly AgentInfo[],
  output: Output,
): void {
  const names = unknownTo(stored?.body.rules, agents);
  if (names.length === 0) return;
  output.note(
    `rules for root folders ("source") were made before ${namesText(names)} came: everything there stays until the policy is set again with the kit`,
  );
}

/** Said of a policy whose text says something else of retention than what the collector acts on. */
export function otherRules(revision: number): string {
  return `the rules of retention that policy ${revision} signs are not those of its text: find out who signed it (aliquot log), and set the right ones with the kit`;
}

/**
 * The number that the next must be above. A collector that took the place of one with a longer
 * history knows older policies than its PCs have in force; they would refuse what follows those. A
 * number that no PC would take is nobody's honest word.
 */
function newestOf(
  revision: number,
  pcs: readonly DeskPc[],
  { yes }: SetOptions,
  output: Output,
  nowMs: number,
): number {
  const ahead = pcs.filter(({ info }) => info.settings.inForce > revision);
  const inForce = Math.max(revision, ...ahead.map(({ info }) => info.settings.inForce));
  if (ahead.length === 0) return revision;
  const names = ahead.slice(0, 5).map(({ name }) => name);
  const says = `${names.join(', ')}${ahead.length > 5 ? ' and others' : ''} have settings ${inForce} in force, by the collector's word, and it knows none above ${revision}`;
  if (!isNumberFree(inForce + 1, nowMs))
    throw new CommandError(
      'COMMAND_UNVERIFIED',
      `${says}: no PC would take that; do not trust this collector, and tell who runs it`,
    );
  if (yes !== true)
    throw new UsageError(
      'USAGE_MISSING',
      `${says}; nothing was set; if it took another's place, say --yes: the next is then policy ${inForce + 1}`,
    );
  output.note(`${says}; the next is policy ${inForce + 1}`);
  return inForce;
}

/**
 * What only the sections of one PC together make wrong; `policy check` cannot know which PCs there
 * are.
 */
function refuseWrong(policy: Policy, path: string, pcs: readonly DeskPc[], output: Output): void {
  const wrong = pcs.flatMap(({ name }) => settingsMistakes(policy, name));
  if (wrong.length === 0) return;
  for (const mistake of wrong.slice(0, MOST_MISTAKES)) output.note(mistakeText(path, mistake));
  throw new UsageError(
    'USAGE_CONFIG',
    `${path} makes wrong settings for some PCs, named above; nothing was set`,
  );
}

function canaryIn({ groups }: Policy, { canary }: SetOptions): string | undefined {
  if (canary === undefined || groups.some(({ name }) => name === canary)) return canary;
  const names = groups.map(({ name }) => name);
  const known = names.length === 0 ? 'the file has none' : `the file has ${names.join(', ')}`;
  throw new UsageError('USAGE_INVALID', `--canary: there is no group ${canary}; ${known}`);
}
