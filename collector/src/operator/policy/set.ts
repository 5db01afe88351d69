import {
  encodeRetentionRules,
  encodeSigned,
  type PolicyBody,
  type RetentionRules,
} from '@aliquot/proto';
import { UsageError } from '@aliquot/shared/cli/errors';
import { formatCounted } from '@aliquot/shared/cli/format';
import type { Output } from '@aliquot/shared/cli/output';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import { issuePolicy, sealPolicyText } from '@aliquot/shared/keys/policy';
import { issueSettings } from '@aliquot/shared/keys/settings';
import { toBase64 } from '../../api/base64.ts';
import { type CommandContext, outputOf } from '../../cli/context.ts';
import { figuresLines } from '../retention/figures.ts';
import type { OpenDesk } from './desk.ts';
import { type PolicyFile, policyIn } from './file.ts';
import type { PcPlan } from './plan.ts';
import { type Planned, planned, type SetOptions } from './planned.ts';
import { rulesToSign } from './rules.ts';
import { planJson, planText, summary } from './show.ts';
import { rulesJson, rulesText, whenText } from './show-rules.ts';

/**
 * A PC that is off for longer has to be set again; so long may a collector hold settings back
 * unseen.
 */
const TERM_MS = 365 * 86_400_000;

/** `policy diff`: what setting the file would change. Changes nothing. */
export async function diffPolicy(
  context: CommandContext,
  path: string,
  options: SetOptions,
): Promise<void> {
  const output = outputOf(context, options, 'reads');
  const file = await policyIn(context, path, output);
  const plan = await planned(context, path, file, options, output);
  if (!output.json) return output.result({}, wholeText(plan, context.clock.nowMs()));
  await tellChanges(plan, output, context.clock.nowMs());
}

async function tellChanges(
  { plans, rules }: Planned,
  output: Output,
  nowMs: number,
): Promise<void> {
  for (const one of plans) await output.result(planJson(one));
  for (const line of rulesJson(rules, nowMs)) await output.result(line);
}

function wholeText({ plans, rules, agents }: Planned, nowMs: number): string {
  const kept = rulesText(rules, agents, nowMs);
  return kept === undefined ? planText(plans) : `${planText(plans)}\n\n${kept}`;
}

/** `policy set`: signs the policy and each PC's settings here, and hands them to the collector. */
export async function setPolicy(
  context: CommandContext,
  path: string,
  options: SetOptions,
): Promise<void> {
  const output = outputOf(context, options);
  const file = await policyIn(context, path, output);
  const plan = await planned(context, path, file, options, output);
  const { desk, plans } = plan;
  const rules = await rulesToSign(desk, file.policy.retention, plan.before, path);
  await requireYes(plan, rules, options, output, context.clock.nowMs());
  const revision = plan.revision + 1;
  await hand(context, desk, file, plans, { revision, rules });
  if (output.json) await tellChanges(plan, output, context.clock.nowMs());
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
      losesCover: lostOf(plans),
    },
    [
      `Policy ${revision} is set. ${summary(plans)}${next}`,
      ...whenText(plan.rules, context.clock.nowMs()),
      '`aliquot agents` shows who has it in force.',
    ].join('\n'),
  );
}

function lostOf(plans: readonly PcPlan[]): number {
  return plans.reduce((sum, { lost }) => sum + lost.length, 0);
}

/** What somebody should have looked at is shown, and not done before that was said. */
async function requireYes(
  plan: Planned,
  signed: RetentionRules | undefined,
  { yes }: SetOptions,
  output: Output,
  nowMs: number,
): Promise<void> {
  const { plans, nobody, rules } = plan;
  const lost = lostOf(plans);
  const why = [
    ...(lost > 0
      ? [`${formatCounted(lost, 'folder')} ${lost === 1 ? 'loses its' : 'lose their'} cover`]
      : []),
    ...(nobody > 0 ? [`${nobody} ${nobody === 1 ? 'entry is' : 'entries are'} for nobody`] : []),
    ...(rules.rules.length > 0 || rules.grace !== undefined
      ? ['how long versions are kept changes']
      : []),
  ];
  if (yes === true || why.length === 0) return;
  output.note(wholeText(plan, nowMs));
  if (rules.rules.length > 0) output.note(await simulationText(plan, signed));
  throw new UsageError(
    'USAGE_MISSING',
    `${why.join(', and ')}; nothing was set; if that is meant, say --yes`,
  );
}

/** So far ahead a simulation looks: a policy that keeps less acts after seven days. */
const SIMULATED_DAYS = 30;

/** What the rules come to in versions, by the code that decides in a run. */
async function simulationText(
  { desk: { vault } }: Planned,
  rules: RetentionRules | undefined,
): Promise<string> {
  const encoded = rules === undefined ? '' : toBase64(encodeRetentionRules(rules));
  const figures = await vault.retention.simulate({ days: SIMULATED_DAYS, rules: encoded });
  return ['By these rules, set now:', ...figuresLines(figures, SIMULATED_DAYS)].join('\n');
}

async function hand(
  context: CommandContext,
  desk: OpenDesk,
  file: PolicyFile,
  plans: readonly PcPlan[],
  { revision, rules }: { readonly revision: number; readonly rules: RetentionRules | undefined },
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
    rules,
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
