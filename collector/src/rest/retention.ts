import {
  asFileId,
  decodeRetentionRules,
  decodeSigned,
  type ResultId,
  type RetentionRules,
} from '@aliquot/proto';
import { readCommit } from '@aliquot/shared/commit/rows';
import { boxKeyFromSecret } from '@aliquot/shared/crypto/box';
import { fromHex, hex } from '@aliquot/shared/crypto/bytes';
import type { z } from 'zod';
import { fromBase64, toBase64 } from '../api/base64.ts';
import { RestError } from '../api/rest-error.ts';
import {
  approveRunRequest,
  type BrakeInfo,
  type DroppedAnswer,
  type DroppedInfo,
  droppedRequest,
  type ExplainAnswer,
  type ExplainedVersion,
  explainRequest,
  type FiguresInfo,
  type RetentionInfo,
  type RunAnswer,
  type RunInfo,
  simulateRequest,
  undoRequest,
} from '../api/retention-messages.ts';
import { parseVersionId, versionName } from '../api/version-id.ts';
import { MAX_FOUND_VERSIONS } from '../limits.ts';
import type { Brake } from '../retention/brakes.ts';
import { tellReasons } from '../retention/kept.ts';
import type { SetPolicy } from '../retention/ruling.ts';
import { rulesUnchangedSince } from '../retention/unchanged.ts';
import type { RunRow } from '../store/catalog/retention-runs.ts';
import type {
  DroppedPlace,
  DroppedVersion,
  JudgedSubject,
  RetentionFigures,
  RetentionOutcome,
  Subject,
} from '../store/vault-retention.ts';
import type { VaultStore, VaultWith } from '../store/vault-store.ts';
import { clockDoubt } from './clock.ts';
import type { RestContext } from './context.ts';
import { fileWithPath } from './find-versions.ts';
import { type BranchOf, branchOf } from './forks.ts';
import { resultWithPath } from './results.ts';
import type { OperatorRoutes } from './routes.ts';
import { whileWorking } from './while-working.ts';

const DAY_MS = 86_400_000;

/** What is asked about runs of retention. */
export function retentionRoutes(of: OperatorRoutes): void {
  const { app, context } = of;
  const path = '/vaults/:vault/retention';
  app.get(path, async (request) => retentionInfo(context, of.vault(request)));
  app.post(`${path}/run`, async (request, reply) => {
    // Before the answer begins, which could only break off.
    const doubt = clockDoubt(context);
    if (doubt !== undefined) throw doubt;
    const answer = runRetention(context, of.vault(request));
    return of.stream(reply, whileWorking(context.timers, answer));
  });
  app.post(`${path}/simulate`, async (request, reply) => {
    const figures = simulate(context, of.vault(request), request.body);
    return of.stream(reply, whileWorking(context.timers, figures));
  });
  app.post(`${path}/approvals`, async (request) =>
    approveRun(context, of.vault(request), request.body),
  );
  app.post(`${path}/undo`, async (request) => undoRun(context, of.vault(request), request.body));
  app.post('/vaults/:vault/agents/:agent/dropped', async (request) =>
    droppedByName(of.vault(request), of.agent(request), request.body),
  );
  app.post('/vaults/:vault/agents/:agent/explain', async (request) =>
    explain(context, of.vault(request), of.agent(request), request.body),
  );
}

function retentionInfo(
  context: RestContext,
  vault: VaultWith<'desk' | 'maintenance' | 'retention'>,
): RetentionInfo {
  const policies = vault.desk.policies();
  const rules = policies.at(-1)?.rules ?? [];
  return {
    atMs: context.clock.nowMs(),
    rulesSince: rules.length === 0 ? undefined : rulesUnchangedSince(policies),
    held: clockDoubt(context)?.message,
    failed: vault.maintenance.failed('retention'),
    runs: vault.retention.runs().map(runInfoOf),
  };
}

/** Nothing begins while nobody knows what time it is. */
export async function runRetention(
  context: Pick<RestContext, 'clock' | 'health' | 'log'>,
  vault: VaultWith<'descriptor' | 'maintenance' | 'retention'>,
): Promise<RunAnswer> {
  const doubt = clockDoubt(context);
  if (doubt !== undefined) throw doubt;
  const outcome = await vault.retention.run(context.clock.nowMs());
  const { type, run, isMore, figures } = outcome;
  tellRun(context, vault, outcome);
  vault.maintenance.ended('retention', undefined);
  return { type, run: run && runInfoOf(run), isMore, figures: figuresOf(figures) };
}

function tellRun(
  { log }: Pick<RestContext, 'log'>,
  vault: VaultWith<'descriptor'>,
  { type, run }: RetentionOutcome,
): void {
  if (run === undefined) return;
  const told = { vault: hex(vault.descriptor.vaultId), run: run.run, versions: run.versions };
  if (type === 'waits') log.warn(told, 'a run of retention waits for a person');
  else log.info(told, 'a run of retention expired versions');
}

async function simulate(
  context: RestContext,
  vault: VaultWith<'desk' | 'retention'>,
  body: unknown,
): Promise<{ readonly figures: FiguresInfo }> {
  const { atMs, days, rules, agent } = simulateRequest.parse(body);
  const nowMs = atMs ?? context.clock.nowMs();
  const policies = rules === undefined ? undefined : policiesWith(vault, rules, nowMs);
  const horizonMs = nowMs + days * DAY_MS;
  const figures = await vault.retention.simulate({ nowMs, horizonMs, policies, agent });
  return { figures: figuresOf(figures) };
}

/** Those that were set, and one more that would be set now. */
function policiesWith(
  vault: VaultWith<'desk'>,
  rules: string,
  setAtMs: number,
): readonly SetPolicy[] {
  const bytes = fromBase64(rules);
  const read: RetentionRules | undefined =
    bytes.length === 0 ? undefined : decodeRetentionRules(bytes);
  const revision = vault.desk.policyRevision() + 1;
  const next = { revision, setAtMs, rules: read?.rules ?? [], grace: read?.grace };
  return [...vault.desk.policies(), next];
}

async function approveRun(
  context: RestContext,
  vault: VaultWith<'descriptor' | 'events'>,
  body: unknown,
): Promise<{ leafIndex: number }> {
  const { approval, certificate } = approveRunRequest.parse(body);
  const answer = await vault.events.append({
    type: 'retentionApproved',
    timeMs: context.clock.nowMs(),
    approval: decodeSigned(fromBase64(approval)),
    certificate: certificate === undefined ? undefined : decodeSigned(fromBase64(certificate)),
  });
  const id = hex(vault.descriptor.vaultId);
  context.log.info({ vault: id, leaf: answer.leafIndex }, 'a run of retention was approved');
  return answer;
}

async function undoRun(
  context: RestContext,
  vault: VaultWith<'descriptor' | 'events'>,
  body: unknown,
): Promise<{ leafIndex: number }> {
  const { run } = undoRequest.parse(body);
  const timeMs = context.clock.nowMs();
  const answer = await vault.events.append({ type: 'retentionUndone', timeMs, run });
  context.log.info({ vault: hex(vault.descriptor.vaultId), run }, 'a run of retention was undone');
  return answer;
}

async function explain(
  context: RestContext,
  vault: VaultStore,
  agentId: string,
  body: unknown,
): Promise<ExplainAnswer> {
  const history = branchOf(vault, agentId);
  const subject = await subjectOf(vault, history, explainRequest.parse(body));
  const atMs = context.clock.nowMs();
  if (subject === undefined) return { isResult: false, atMs, versions: [], dropped: [], runs: [] };
  const { isResult } = subject;
  const gone = await vault.retention.dropped(subject);
  const dropped = gone.map(droppedInfoOf);
  const judged = await vault.retention.explain(subject, atMs);
  const named = new Set<number | undefined>(gone.map(({ run }) => run));
  for (const { expiredBy, undoneBy } of judged?.facts === undefined ? [] : judged.versions)
    named.add(expiredBy).add(undoneBy);
  const runs = runsOf(vault, named);
  if (judged === undefined) return { isResult, atMs, versions: [], dropped, runs };
  if (judged.facts === undefined) return { isResult, atMs, dropped, runs };
  return { isResult, atMs, versions: await explainedOf(vault, judged), dropped, runs };
}

/** What was dropped of the versions that an id may mean. */
async function droppedByName(
  vault: VaultWith<'register' | 'retention'>,
  agentId: string,
  body: unknown,
): Promise<DroppedAnswer> {
  const { agent } = branchOf(vault, agentId);
  const id = parseVersionId(droppedRequest.parse(body).version);
  const found = await vault.retention.droppedById(agent.lineageId, id);
  const some = found.slice(0, MAX_FOUND_VERSIONS);
  return {
    versions: some.map((one) => ({ version: droppedName(one), ...goneBy(one) })),
    runs: runsOf(vault, new Set(some.map(({ run }) => run))),
  };
}

function runsOf(vault: VaultWith<'retention'>, named: ReadonlySet<number | undefined>): RunInfo[] {
  return vault.retention
    .runs()
    .filter(({ run }) => named.has(run))
    .map(runInfoOf);
}

function droppedInfoOf(version: DroppedVersion): DroppedInfo {
  const { isGone, size, fromMs, untilMs } = version;
  return { version: droppedName(version), isGone, size, fromMs, untilMs, ...goneBy(version) };
}

function goneBy({ run, purge }: DroppedPlace): Pick<DroppedInfo, 'run' | 'purge'> {
  return purge === undefined ? { run } : { purge };
}

function droppedName({ commit, leafIndex, slot }: DroppedPlace): string {
  return commit === undefined ? `leaf-${leafIndex}.${slot}` : versionName(commit, slot);
}

/** A path is looked for by opening names, where the collector can. */
async function subjectOf(
  vault: VaultStore,
  history: BranchOf,
  wanted: z.infer<typeof explainRequest>,
): Promise<Subject | undefined> {
  const { branchId } = history;
  if ('id' in wanted) {
    const { isResult } = wanted;
    const bytes = fromHex(wanted.id) ?? new Uint8Array(0);
    return { branchId, isResult, id: isResult ? (bytes as ResultId) : asFileId(bytes) };
  }
  if (vault.catalogSecretKey === undefined)
    throw new RestError(
      'REST_BLIND',
      `vault ${vault.descriptor.name} opens no names here: give its recovery kit with --kit`,
    );
  const key = boxKeyFromSecret(vault.catalogSecretKey);
  const path = fromBase64(wanted.path);
  const result = await resultWithPath(vault, history, key, path);
  if (result !== undefined) return { branchId, isResult: true, id: result };
  const file = await fileWithPath(vault, history, key, path);
  return file && { branchId, isResult: false, id: file };
}

async function explainedOf(
  vault: VaultWith<'log'>,
  judged: JudgedSubject,
): Promise<ExplainedVersion[]> {
  const reasons = judged.versions.map((): ExplainedVersion['reasons'] => []);
  tellReasons(judged.facts, (at, reason, untilMs, by) =>
    reasons[at]?.push({ reason, untilMs: finite(untilMs), by }),
  );
  const names = new Map<number, (slot: number) => string>();
  for (const { leafIndex } of judged.versions)
    if (!names.has(leafIndex)) names.set(leafIndex, await namerOf(vault, leafIndex));
  return judged.versions.map((version, at) => {
    const { leafIndex, slot, size, untilMs, expiredBy } = version;
    const facts = judged.facts.versions[at];
    return {
      version: names.get(leafIndex)?.(slot) ?? '',
      kind: facts?.kind ?? 'whole',
      class: facts?.ruling.className ?? '',
      size,
      fromMs: facts?.timeMs ?? 0,
      untilMs: finite(facts?.untilMs ?? Infinity),
      receivedMs: facts?.receivedMs ?? 0,
      reasons: reasons[at] ?? [],
      goesMs: finite(untilMs),
      expiredBy,
    };
  });
}

/** What versions of a leaf are called: of an operator's word, by the leaf. */
async function namerOf(
  vault: VaultWith<'log'>,
  leafIndex: number,
): Promise<(slot: number) => string> {
  const { record } = await vault.log.leafAt(leafIndex);
  if (record.type === 'event') return (slot) => `leaf-${leafIndex}.${slot}`;
  const { hash } = readCommit(record.commit);
  return (slot) => versionName(hash, slot);
}

const finite = (ms: number): number | undefined => (ms === Infinity ? undefined : Math.max(0, ms));

function runInfoOf(run: RunRow): RunInfo {
  return {
    ...{ run: run.run, atMs: run.timeMs, policy: run.policy },
    ...{ versions: run.versions, bytes: run.bytes, sum: toBase64(run.sum) },
    undoUntilMs: run.undoUntilMs || undefined,
    approves: run.approves || undefined,
    brakes: run.brakes.map(({ kind, agent, of, expiring }) => ({
      ...{ kind, agent: agent || undefined, of: String(of), expiring: String(expiring) },
    })),
    approvedAtMs: run.approvedAtMs,
    undoneAtMs: run.undone?.timeMs,
  };
}

function figuresOf(figures: RetentionFigures): FiguresInfo {
  const text = ({ versions, bytes }: RetentionFigures['going']) => {
    return { versions, bytes: String(bytes) };
  };
  return {
    atMs: figures.nowMs,
    ...{ going: text(figures.going), soon: text(figures.soon), expired: text(figures.expired) },
    kept: figures.kept.map((kept) => ({ reason: kept.reason, ...text(kept) })),
    unread: figures.unread,
    brakes: figures.brakes.map(brakeInfoOf),
    brakesSoon: figures.brakesSoon.map(brakeInfoOf),
  };
}

function brakeInfoOf(brake: Brake): BrakeInfo {
  const { kind, of, expiring } = brake;
  const agent = 'agent' in brake ? brake.agent : undefined;
  return { kind, agent, of: String(of), expiring: String(expiring) };
}
