import { encodeSigned, type PolicyBody } from '@aliquot/proto';
import { UsageError } from '@aliquot/shared/cli/errors';
import type { Output } from '@aliquot/shared/cli/output';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import { issuePolicy, sealPolicyText } from '@aliquot/shared/keys/policy';
import { isNumberFree, issueSettings } from '@aliquot/shared/keys/settings';
import { forNobody, type Policy, settingsMistakes } from '@aliquot/shared/settings/policy';
import { toBase64 } from '../../api/base64.ts';
import { CommandError } from '../../cli/command-error.ts';
import { type CommandContext, outputOf } from '../../cli/context.ts';
import {
  type DeskPc,
  deskPcs,
  type OpenDesk,
  openDesk,
  type PolicyDeskOptions,
  storedPolicy,
} from './desk.ts';
import { mistakeText, type PolicyFile, policyIn } from './file.ts';
import { type PcPlan, planOf } from './plan.ts';
import { planJson, planText, summary } from './show.ts';

export interface SetOptions extends PolicyDeskOptions {
  readonly canary?: string;
  readonly all?: boolean;
  readonly yes?: boolean;
  readonly json?: boolean;
}

/**
 * A PC that is off for longer has to be set again; so long may a collector hold settings back
 * unseen.
 */
const TERM_MS = 365 * 86_400_000;

/** This many are shown; the others are mostly of the same lines. */
const MOST_MISTAKES = 20;

interface Planned {
  readonly desk: OpenDesk;
  readonly file: PolicyFile;
  readonly plans: readonly PcPlan[];
  /** Of the newest policy; 0: none. */
  readonly revision: number;
  /** Settings for nobody, reported already. */
  readonly nobody: number;
}

async function planned(
  context: CommandContext,
  path: string,
  options: SetOptions,
  output: Output,
): Promise<Planned> {
  const file = await policyIn(context, path, output);
  const canary = canaryIn(file.policy, options);
  const desk = await openDesk(context, options);
  const [before, pcs] = [await storedPolicy(desk), await deskPcs(desk)];
  if (before !== undefined && before.policy === undefined)
    output.note(
      `policy ${before.body.revision} was written by a newer release: what changes cannot be told whole`,
    );
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
  return {
    desk,
    file,
    plans,
    revision: newestOf(before?.body.revision ?? 0, pcs, options, output, context.clock.nowMs()),
    nobody: nobody.length,
  };
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

/** `policy diff`: what setting the file would change, PC by PC. Changes nothing. */
export async function diffPolicy(
  context: CommandContext,
  path: string,
  options: SetOptions,
): Promise<void> {
  const output = outputOf(context, options, 'reads');
  const { plans } = await planned(context, path, options, output);
  if (output.json) for (const plan of plans) await output.result(planJson(plan));
  else await output.result({}, planText(plans));
}

/** `policy set`: signs the policy and each PC's settings here, and hands them to the collector. */
export async function setPolicy(
  context: CommandContext,
  path: string,
  options: SetOptions,
): Promise<void> {
  const output = outputOf(context, options);
  const {
    desk,
    file,
    plans,
    revision: newest,
    nobody,
  } = await planned(context, path, options, output);
  const lost = plans.flatMap((plan) => plan.lost);
  if (options.yes !== true && (lost.length > 0 || nobody > 0)) {
    output.note(planText(plans));
    const why = [
      ...(lost.length > 0
        ? [`${lost.length} ${lost.length === 1 ? 'folder loses its' : 'folders lose their'} cover`]
        : []),
      ...(nobody > 0 ? [`${nobody} ${nobody === 1 ? 'entry is' : 'entries are'} for nobody`] : []),
    ];
    throw new UsageError(
      'USAGE_MISSING',
      `${why.join(', and ')}; nothing was set; if that is meant, say --yes`,
    );
  }
  const revision = newest + 1;
  await hand(context, desk, file, plans, revision);
  for (const plan of plans) if (output.json) await output.result(planJson(plan));
  const waiting = plans.filter(({ waits }) => waits).length;
  const next =
    waiting === 0
      ? ''
      : '\nThe others wait a day without a new problem, or for: aliquot policy promote';
  await output.result(
    {
      event: 'policy',
      revision,
      agents: plans.filter(({ sends }) => sends).length,
      waiting,
      losesCover: lost.length,
    },
    `Policy ${revision} is set. ${summary(plans)}${next}\n\`aliquot agents\` shows who has it in force.`,
  );
}

async function hand(
  context: CommandContext,
  desk: OpenDesk,
  file: PolicyFile,
  plans: readonly PcPlan[],
  revision: number,
): Promise<void> {
  const { signer, vault } = desk;
  const { descriptor, policyKey, key, certificate } = signer;
  const issuedAtMs = Math.floor(context.clock.nowMs());
  const sealed = sealPolicyText(policyKey.publicKey, descriptor, file.text, context.random);
  const { vaultId } = descriptor;
  const body: PolicyBody = {
    version: 1,
    vaultId,
    revision,
    setAtMs: issuedAtMs,
    sealedHash: sha256(sealed),
  };
  const settings = plans
    .filter(({ sends }) => sends)
    .map(({ pc, now, waits }) => {
      const terms = {
        sequence: revision,
        issuedAtMs,
        expiresAtMs: issuedAtMs + TERM_MS,
        groups: now.groups,
      };
      const contents = { version: 1, text: now.text, answerKey: policyKey.publicKey } as const;
      return {
        signed: toBase64(
          encodeSigned(issueSettings(key, descriptor, pc, terms, contents, context.random)),
        ),
        waits,
      };
    });
  const text = { policy: toBase64(encodeSigned(issuePolicy(key, body))), sealed: toBase64(sealed) };
  await vault.desk.setPolicy({
    ...text,
    certificate: certificate && toBase64(encodeSigned(certificate)),
    settings,
  });
}
