import { decodeEventBody, decodeSigned, encodeEventBody, type TreeHead } from '@aliquot/proto';
import { formatCounted } from '@aliquot/shared/cli/format';
import type { Output } from '@aliquot/shared/cli/output';
import { hex } from '@aliquot/shared/crypto/bytes';
import { isRevocation } from '@aliquot/shared/keys/revocation';
import { verifyHead } from '@aliquot/shared/log/receipt';
import { fromBase64 } from '../api/base64.ts';
import { type Decision, isDecision, MAX_DECISIONS } from '../api/decisions.ts';
import type { AgentInfo } from '../api/messages.ts';
import { RestError } from '../api/rest-error.ts';
import { CommandError } from '../cli/command-error.ts';
import { type CommandContext, outputOf } from '../cli/context.ts';
import type { SeenDecision } from './client/log-client.ts';
import type { VaultClient } from './client/vault-client.ts';
import { DecisionsBook, type KeptDecisions } from './decisions-book.ts';

/**
 * Keeps on this PC what the vault's log has of decisions: who was revoked or approved, policies,
 * addresses, forks. Nothing that was kept is forgotten because the log does not have it any more:
 * `log reopen` has it recorded again.
 */
export async function keepDecisions(context: CommandContext, vault: VaultClient): Promise<void> {
  const book = DecisionsBook.of(context, vault);
  if (book === undefined) return;
  try {
    await keepIn(book, context, vault);
  } catch (error) {
    // What was decided stands in the log; the next command asks for it again.
    if (!(error instanceof RestError) && !(error instanceof CommandError)) throw error;
    outputOf(context, {}).note(
      `what was decided could not be kept on this PC: ${error.message} [${error.code}]`,
    );
  }
}

async function keepIn(
  book: DecisionsBook,
  context: CommandContext,
  vault: VaultClient,
): Promise<void> {
  const kept = await book.read(context);
  const head = await headOf(vault);
  if (kept === undefined || kept.logEpoch !== head.logEpoch) {
    const decisions = await decisionsIn(vault, 0, head.size);
    const lost = kept === undefined ? [] : notAmong(kept.decisions, decisions);
    await book.write(context, { ...point(head), decisions: [...decisions, ...lost] });
    return;
  }
  // A log that is shorter was put back: what it lost is kept.
  if (head.size <= kept.through) return;
  const since = await decisionsIn(vault, kept.through, head.size);
  await book.write(context, { ...point(head), decisions: [...kept.decisions, ...since] });
}

/** One decision that was recorded again, or cannot be. */
export interface AppliedAgain {
  readonly type: Decision['type'];
  /** For a person: what was decided about whom. */
  readonly what: string;
  /** Why it could not be; undefined when it stands in the log. */
  readonly refused: { readonly code: string; readonly message: string } | undefined;
}

/** What became of decisions when a log that lost some is healed. */
export interface Healed {
  readonly again: readonly AppliedAgain[];
  /** How much of which log epoch this PC has seen; undefined when nothing. */
  readonly seen: Omit<KeptDecisions, 'decisions'> | undefined;
}

/**
 * Has everything recorded again that this PC saw decided and the log does not have, in its order;
 * before the log is opened for agents again, so that who was revoked never comes in between.
 */
export async function applyAgain(context: CommandContext, vault: VaultClient): Promise<Healed> {
  const kept = await DecisionsBook.of(context, vault)?.read(context);
  const known = kept?.decisions ?? [];
  const elsewhere = notAmong(await revokedElsewhere(context, vault), known);
  const again = await recordAgain(vault, [...known, ...elsewhere]);
  const seen = kept && { logEpoch: kept.logEpoch, through: kept.through };
  return { again, seen };
}

/**
 * Hands a collector the signed revocations that this PC has seen of the vault at another one, which
 * it may succeed: before any agent comes to it.
 */
export async function handOverRevocations(
  context: CommandContext,
  vault: VaultClient,
): Promise<readonly AppliedAgain[]> {
  return recordAgain(vault, await revokedElsewhere(context, vault));
}

/** Tells of each what became of it. */
export async function tellAgain(output: Output, again: readonly AppliedAgain[]): Promise<void> {
  for (const { type, what, refused } of again)
    await output.result(
      {
        event: 'decision',
        type,
        what,
        applied: refused === undefined,
        ...(refused === undefined ? {} : { code: refused.code, message: refused.message }),
      },
      refused === undefined
        ? `Applied again: ${what}.`
        : `NOT APPLIED: ${what}: ${refused.message} [${refused.code}]`,
    );
}

/** Has those recorded again that the log does not have. */
async function recordAgain(
  vault: VaultClient,
  decisions: readonly SeenDecision[],
): Promise<readonly AppliedAgain[]> {
  if (decisions.length === 0) return [];
  const lost = notAmong(decisions, await decisionsIn(vault, 0, (await headOf(vault)).size));
  const again: AppliedAgain[] = [];
  const { agents } = await vault.roster.list();
  for (let from = 0; from < lost.length; from += MAX_DECISIONS) {
    const part = lost.slice(from, from + MAX_DECISIONS);
    const outcomes = await vault.log.applyDecisions(part.map(({ event }) => event));
    for (const [at, { event }] of part.entries()) {
      const decision = decodeEventBody(event);
      const { applied = false, code = '', message = '' } = outcomes[at] ?? {};
      if (!isDecision(decision)) continue;
      const refused = applied ? undefined : { code, message };
      again.push({ type: decision.type, what: textOf(decision, agents), refused });
    }
  }
  return again;
}

/** What was signed holds at every collector of the vault. */
async function revokedElsewhere(
  context: CommandContext,
  vault: VaultClient,
): Promise<SeenDecision[]> {
  const { authorityKey, vaultId } = vault.descriptor;
  const found: SeenDecision[] = [];
  for (const book of await DecisionsBook.others(context, vault))
    for (const decision of (await book.read(context))?.decisions ?? []) {
      const event = decodeEventBody(decision.event);
      if (event.type !== 'agentRevoked' || event.revocation === undefined) continue;
      const { revocation, operator } = event;
      if (isRevocation(authorityKey, vaultId, { revocation, operator })) found.push(decision);
    }
  return found;
}

async function headOf(vault: VaultClient): Promise<TreeHead> {
  const { authorityKey } = vault.descriptor;
  const { head } = await vault.log.info();
  return verifyHead(decodeSigned(fromBase64(head)), vault.certificate(authorityKey)).head;
}

function point({ logEpoch, size }: TreeHead): Omit<KeptDecisions, 'decisions'> {
  return { logEpoch, through: size };
}

async function decisionsIn(
  vault: VaultClient,
  from: number,
  size: number,
): Promise<SeenDecision[]> {
  const decisions: SeenDecision[] = [];
  for await (const decision of vault.log.decisions(from, size)) decisions.push(decision);
  return decisions;
}

/**
 * Those of some that stand in no other place among others: the same said twice counts twice. An
 * agent ends once, whatever was said of it, and once more when that is signed.
 */
function notAmong(
  some: readonly SeenDecision[],
  others: readonly SeenDecision[],
): readonly SeenDecision[] {
  const counts = new Map<string, number>();
  const ended = new Set<string>();
  for (const { event } of others) {
    const key = keyOf(event);
    counts.set(key, (counts.get(key) ?? 0) + 1);
    const decision = decodeEventBody(event);
    if (decision.type !== 'agentRevoked') continue;
    ended.add(endOf({ ...decision, revocation: undefined })).add(endOf(decision));
  }
  return some.filter(({ event }) => {
    const decision = decodeEventBody(event);
    if (decision.type === 'agentRevoked') return !ended.has(endOf(decision));
    const key = keyOf(event);
    const left = counts.get(key) ?? 0;
    counts.set(key, left - 1);
    return left <= 0;
  });
}

function endOf({ agentId, revocation }: Extract<Decision, { type: 'agentRevoked' }>): string {
  return `${hex(agentId)} ${revocation === undefined ? '' : 'signed'}`;
}

/** What was decided, whenever it was. */
function keyOf(event: Uint8Array): string {
  return hex(encodeEventBody({ ...decodeEventBody(event), timeMs: 0 }));
}

function textOf(decision: Decision, agents: readonly AgentInfo[]): string {
  const nameOf = (agentId: Uint8Array): string => {
    const id = hex(agentId);
    return agents.find((agent) => agent.agentId === id)?.name ?? id.slice(0, 8);
  };
  switch (decision.type) {
    case 'agentRevoked':
      return `agent ${nameOf(decision.agentId)} is revoked${decision.reason === '' ? '' : `: ${decision.reason}`}`;
    case 'forkDecided':
      return `the history ${hex(decision.branchId).slice(0, 8)} of agent ${nameOf(decision.agentId)} is ${decision.decision === 'clone' ? `the clone ${decision.name}` : 'its own'}`;
    case 'filesGone':
      return `${formatCounted(decision.fileIds.length, 'file')} of agent ${nameOf(decision.agentId)} are gone`;
    case 'problemsAcknowledged':
      return `the problems of agent ${nameOf(decision.agentId)} were seen`;
    case 'agentExpected':
      return 'a bundle was made for an agent';
    case 'agentEnrolled':
      return 'an agent enrolled';
    case 'agentPending':
      return 'an agent waits for approval';
    case 'agentApproved':
      return 'an agent was approved';
    case 'groupAdded':
      return 'a group was added';
    case 'groupEnded':
      return 'a group was ended';
    case 'addressesSet':
      return 'the addresses of the collector were set';
    case 'clockCorrected':
      return 'times of the log were corrected';
    case 'policySet':
      return 'the policy was set';
    case 'settingsSet':
      return 'settings were made for a PC';
    case 'settingsPromoted':
      return 'settings were handed out';
    case 'holdSet':
      return `hold ${decision.hold.name} was set`;
    case 'holdResolved':
      return 'it was said which files a hold is for';
    case 'holdReleased':
      return 'a hold was released';
  }
}
