import { isDeepStrictEqual } from 'node:util';
import { encodeRetentionRules, FormatError, ID_BYTES, type RetentionRules } from '@aliquot/proto';
import { UsageError } from '@aliquot/shared/cli/errors';
import { fromHex } from '@aliquot/shared/crypto/bytes';
import { OperatorError } from '@aliquot/shared/keys/operator';
import { ruleSources } from '@aliquot/shared/keys/rule-sources';
import { SettingsError } from '@aliquot/shared/keys/settings-errors';
import { fitsName } from '@aliquot/shared/settings/name-pattern';
import { inClear, type RetentionSection } from '@aliquot/shared/settings/retention';
import type { AgentInfo } from '../../api/messages.ts';
import { isAmong } from '../../retention/rule-sources.ts';
import { certifiedAgent } from '../verified.ts';
import type { OpenDesk, StoredPolicy } from './desk.ts';

/*
 * Rules of retention as they are signed: in clear, for the collector acts on them. Root folders
 * become ids of sources, which only the kit can make.
 */

/**
 * The rules to sign for a section of the policy at `path`. An operator's key without the purpose
 * `retention` may sign those that are in force again, to the byte, and no others. Errors:
 * `OPERATOR_PURPOSE`, `USAGE_MISSING`, `POLICY_LIMIT`.
 */
export async function rulesToSign(
  { signer, vault }: OpenDesk,
  section: RetentionSection | undefined,
  stored: StoredPolicy | undefined,
  path: string,
): Promise<RetentionRules | undefined> {
  const { pathSecret, operator } = signer;
  if (operator !== undefined) {
    if (isUnchanged(section, stored)) return stored?.body.rules;
    if (!operator.purposes.includes('retention'))
      throw new OperatorError(
        'OPERATOR_PURPOSE',
        `${path} says something else of retention than the policy that is set, and the key of ${operator.name} is for ${operator.purposes.join(', ')}; nothing was set; sign with --kit, or have a key made with --purposes settings,retention`,
      );
  }
  if (section === undefined) return undefined;
  const { agents } = await vault.roster.list();
  const rules = inClear(section, (folders, patterns) => {
    if (pathSecret === undefined)
      throw new UsageError(
        'USAGE_MISSING',
        `${path} has rules for root folders ("source"), whose ids only the kit can make; nothing was set; sign with --kit, or match by class and agent`,
      );
    const wanted = agents.filter((agent) => bearsOne(agent, patterns));
    const lineages = wanted.map((agent) => certifiedAgent(signer, agent).enrolment);
    return ruleSources(pathSecret, lineages, folders);
  });
  requireFit(rules, path);
  return rules;
}

/** Whether a section is word for word the one that is set, and what was signed is that. */
function isUnchanged(
  section: RetentionSection | undefined,
  stored: StoredPolicy | undefined,
): boolean {
  if (stored === undefined) return section === undefined;
  const { policy } = stored;
  return policy !== undefined && isOfText(stored) && isDeepStrictEqual(section, policy.retention);
}

/**
 * Agents of which a rule for root folders is not known to fit or not: they came after the policy.
 * Everything of them that no earlier rule is for stays.
 */
export function unknownTo(
  rules: RetentionRules | undefined,
  agents: readonly AgentInfo[],
): readonly string[] {
  const unknown = agents.filter((agent) => {
    const lineageId = fromHex(agent.lineageId) ?? NO_ID;
    return rules?.rules.some(
      ({ match: { agents: patterns, sources } }) =>
        sources !== undefined &&
        bearsOne(agent, patterns) &&
        isAmong(sources, lineageId, NO_ID) === undefined,
    );
  });
  return [...new Set(unknown.map(({ name }) => name))];
}

const NO_ID = new Uint8Array(ID_BYTES);

/** Whether an agent, or a clone of it, has a name that one of these patterns fits. */
function bearsOne(
  { name, histories }: AgentInfo,
  patterns: readonly string[] | undefined,
): boolean {
  const names = [name, ...histories.map((history) => history.name)];
  return (
    patterns === undefined ||
    patterns.some((pattern) => names.some((one) => fitsName(pattern, one)))
  );
}

function requireFit(rules: RetentionRules, path: string): void {
  try {
    encodeRetentionRules(rules);
  } catch (cause) {
    if (!(cause instanceof FormatError) || cause.code !== 'FORMAT_LIMIT') throw cause;
    throw new SettingsError(
      'POLICY_LIMIT',
      `the rules of retention in ${path} are longer than a policy holds; nothing was set; match by class instead of "source", which takes 16 bytes for each folder of each PC, or by fewer names`,
      { cause },
    );
  }
}

/**
 * Whether the rules that the collector acts on are those of the policy's text, but for the ids of
 * its folders.
 */
export function isOfText({ body: { rules }, policy }: StoredPolicy): boolean {
  if (policy === undefined) return true;
  const { retention } = policy;
  const none = { lineages: new Uint8Array(0), sources: new Uint8Array(0) };
  const bare = rules?.rules.map(({ match, ...rest }) => ({
    match: { ...match, sources: match.sources && none },
    ...rest,
  }));
  const said = retention && inClear(retention, () => none);
  return isDeepStrictEqual(rules && { rules: bare, grace: rules.grace }, said);
}
