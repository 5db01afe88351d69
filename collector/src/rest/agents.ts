import {
  asFileId,
  decodeSigned,
  encodeSigned,
  ID_BYTES,
  type Signed,
  type VaultDescriptorBody,
} from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import { verifyEnrolment } from '@aliquot/shared/keys/certificates';
import { verifyRevocation } from '@aliquot/shared/keys/revocation';
import { fromBase64, toBase64 } from '../api/base64.ts';
import {
  type AgentInfo,
  type AgentList,
  expectAgentsRequest,
  filesGoneRequest,
  lostRequest,
  revokeRequest,
} from '../api/messages.ts';
import { RestError } from '../api/rest-error.ts';
import { lastHeardMs, problemsAt } from '../health/agent-problems.ts';
import type { AgentDesk } from '../store/catalog/desk.ts';
import { hasEnded } from '../store/catalog/refusal.ts';
import type { AgentRecord } from '../store/vault-records.ts';
import type { VaultWith } from '../store/vault-store.ts';
import { agentOf, type RestContext } from './context.ts';
import { branchInfoOf } from './forks.ts';
import { groupInfoOf } from './groups.ts';

export async function agentsAnswer(
  context: RestContext,
  vault: VaultWith<'descriptor' | 'desk' | 'figures' | 'register'>,
  host: string | undefined,
): Promise<AgentList> {
  const collectorProblems = await context.health.problems(host);
  const agents = vault.register.agents().map((agent) => agentInfoOf(context, vault, agent));
  return {
    timeMs: context.clock.nowMs(),
    collectorProblems,
    agents,
    groups: vault.register.groups().map(groupInfoOf),
  };
}

function agentInfoOf(
  context: RestContext,
  vault: VaultWith<'descriptor' | 'desk' | 'figures'>,
  agent: AgentRecord,
): AgentInfo {
  const beat = agent.heartbeat;
  const connected = context.sessions.isConnected(vault.descriptor.vaultId, agent.agentId);
  return {
    name: agent.name,
    agentId: hex(agent.agentId),
    lineageId: hex(agent.lineageId),
    state: agent.state,
    group: agent.group?.name,
    enrolment: toBase64(encodeSigned(agent.enrolment)),
    binding: agent.binding && toBase64(encodeSigned(agent.binding)),
    expectedAtMs: agent.expectedAtMs,
    expiresAtMs: agent.enrolmentBody.expiresAtMs,
    enrolledAtMs: agent.enrolledAtMs,
    endedAtMs: agent.endedAtMs,
    endReason: agent.endReason,
    connected,
    lastSeenMs: lastHeardMs(agent, context.clock.nowMs()),
    silenceLimitMs: agent.silenceLimitMs,
    lastCommitMs: agent.lastCommitMs,
    files: agent.files,
    bytes: agent.bytes,
    heartbeat: beat && {
      timeMs: beat.timeMs,
      files: beat.files,
      bytes: beat.bytes,
      queuedEntries: beat.queuedEntries,
      unprotected: beat.unprotected,
      pending: beat.pending,
      unsettled: beat.unsettled,
      problems: beat.problems.map((problem) => ({ ...problem })),
    },
    histories: agent.histories.map(branchInfoOf),
    problems: problemsAt(context, vault, agent),
    software: vault.desk.of(agent.agentId).said?.software || undefined,
    settings: settingsOf(vault.desk.of(agent.agentId)),
  };
}

function settingsOf({ current, waiting, said }: AgentDesk): AgentInfo['settings'] {
  const reply = said?.reply;
  return {
    inForce: said?.inForce ?? 0,
    offered: current?.sequence ?? 0,
    waiting: waiting?.sequence ?? 0,
    groups: [...((waiting ?? current)?.groups ?? [])],
    reply: reply && {
      sequence: reply.sequence,
      outcome: reply.outcome,
      code: reply.code,
      atMs: reply.atMs,
      ephemeralKey: reply.ephemeralKey && toBase64(reply.ephemeralKey),
      sealed: reply.sealed && toBase64(reply.sealed),
    },
  };
}

/** Notes the agents that bundles were made for, so that they may enrol: all of them, or none. */
export async function expectAgents(
  context: RestContext,
  vault: VaultWith<'descriptor' | 'events' | 'register'>,
  body: unknown,
): Promise<{ leafIndex: number }> {
  const enrolments = expectAgentsRequest
    .parse(body)
    .enrolments.map((text) => decodeSigned(fromBase64(text)));
  const names = enrolments.map((enrolment) => expectable(vault, enrolment));
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice !== undefined)
    throw new RestError('REST_BAD_REQUEST', `${twice} is asked for twice at once`);
  const timeMs = context.clock.nowMs();
  const answer = await vault.events.appendAll(
    enrolments.map((enrolment) => ({ type: 'agentExpected', timeMs, enrolment })),
  );
  for (const agent of names)
    context.log.info({ vault: hex(vault.descriptor.vaultId), agent }, 'agent expected');
  return answer;
}

/** The name of an agent that may be expected. */
function expectable(vault: VaultWith<'descriptor' | 'register'>, enrolment: Signed): string {
  const certified = verifyEnrolment(
    vault.descriptor.authorityKey,
    vault.descriptor.vaultId,
    enrolment,
  );
  const bearer = vault.register.agentByName(certified.name);
  const takes =
    certified.replaces !== undefined &&
    bearer !== undefined &&
    hex(bearer.agentId) === hex(certified.replaces);
  const isSame = bearer !== undefined && hex(bearer.agentId) === hex(certified.agentId);
  if (bearer !== undefined && !takes && !isSame && !hasEnded(bearer.state)) {
    throw new RestError('REST_AGENT_EXISTS', nameTaken(bearer));
  }
  return certified.name;
}

function nameTaken(bearer: AgentRecord): string {
  const name = bearer.name;
  if (bearer.state === 'pending')
    return `a PC named ${name} waits for approval: \`aliquot agents approve ${name}\`, or choose another name`;
  return bearer.state === 'enrolled'
    ? `there is an agent ${name} already: choose another name, or \`--replaces ${name}\` if this PC takes its place`
    : `a bundle for ${name} is already waiting to be used: use it, or \`aliquot agent revoke ${name}\` first`;
}

/** Records that an operator has seen what cannot be mended about an agent. */
export async function acknowledgeProblems(
  context: RestContext,
  vault: VaultWith<'descriptor' | 'events' | 'register'>,
  agentId: string,
): Promise<{ leafIndex: number }> {
  const agent = agentOf(vault, agentId);
  const answer = await vault.events.append({
    type: 'problemsAcknowledged',
    timeMs: context.clock.nowMs(),
    agentId: agent.agentId,
  });
  context.log.warn(
    { vault: hex(vault.descriptor.vaultId), agent: agent.name },
    'problems acknowledged',
  );
  return answer;
}

/** Records an operator's word that a PC does not come back: no sweep waits for it. */
export async function agentLost(
  context: RestContext,
  vault: VaultWith<'descriptor' | 'events' | 'register'>,
  agentId: string,
  body: unknown,
): Promise<{ leafIndex: number }> {
  const agent = agentOf(vault, agentId);
  const { reason } = lostRequest.parse(body);
  const answer = await vault.events.append({
    ...{ type: 'agentLost', timeMs: context.clock.nowMs(), agentId: agent.agentId, reason },
  });
  context.log.warn(
    { vault: hex(vault.descriptor.vaultId), agent: agent.name },
    'agent is lost, an operator says',
  );
  return answer;
}

/**
 * Records an operator's word that files of a replaced agent are gone. The store judges whether it
 * may be said of them.
 */
export async function filesGone(
  context: RestContext,
  vault: VaultWith<'descriptor' | 'events' | 'register'>,
  agentId: string,
  body: unknown,
): Promise<{ leafIndex: number }> {
  const agent = agentOf(vault, agentId);
  const bytes = fromBase64(filesGoneRequest.parse(body).fileIds);
  if (bytes.length === 0 || bytes.length % ID_BYTES !== 0)
    throw new RestError('REST_BAD_REQUEST', `the ids of files have ${ID_BYTES} bytes each`);
  const fileIds = Array.from({ length: bytes.length / ID_BYTES }, (_none, at) =>
    asFileId(bytes.slice(at * ID_BYTES, (at + 1) * ID_BYTES)),
  );
  const answer = await vault.events.append({
    type: 'filesGone',
    timeMs: context.clock.nowMs(),
    agentId: agent.agentId,
    fileIds,
  });
  context.log.warn(
    { vault: hex(vault.descriptor.vaultId), agent: agent.name, files: fileIds.length },
    'files are gone, an operator says',
  );
  return answer;
}

/** Ends an agent for good: its session closes now, and it is refused from now on. */
export async function revokeAgent(
  context: RestContext,
  vault: VaultWith<'descriptor' | 'events' | 'register'>,
  agentId: string,
  body: unknown,
): Promise<{ leafIndex: number }> {
  const request = revokeRequest.parse(body);
  const agent = agentOf(vault, agentId);
  const timeMs = context.clock.nowMs();
  const said = 'reason' in request ? request : signedEnd(vault.descriptor, request, timeMs);
  const answer = await vault.events.append({
    type: 'agentRevoked',
    timeMs,
    agentId: agent.agentId,
    ...said,
  });
  context.sessions.endAgent(vault.descriptor.vaultId, agent.agentId, 'revoked');
  context.log.warn({ vault: hex(vault.descriptor.vaultId), agent: agent.name }, 'agent revoked');
  return answer;
}

/** What was signed, with its reason: by the authority, or an operator whose term lasts. */
function signedEnd(
  { authorityKey, vaultId }: VaultDescriptorBody,
  request: { readonly revocation: string; readonly operator?: string | undefined },
  timeMs: number,
): {
  readonly reason: string;
  readonly revocation: Signed;
  readonly operator?: Signed | undefined;
} {
  const [revocation, operator] = [request.revocation, request.operator].map(
    (text) => text && decodeSigned(fromBase64(text)),
  );
  if (!revocation) throw new RestError('REST_BAD_REQUEST', 'the revocation is empty');
  const signed = { revocation, operator: operator || undefined };
  const { reason } = verifyRevocation(authorityKey, vaultId, signed, timeMs);
  return { ...signed, reason };
}
