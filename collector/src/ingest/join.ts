import {
  type ClientFrame,
  decodeEpochOpeningBody,
  type ServerFrame,
  type Signed,
  type TreeHead,
} from '@aliquot/proto';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import {
  type AgentCertificate,
  CertificateError,
  verifyCollectorCertificate,
} from '@aliquot/shared/keys/certificates';
import { coversLoss } from '@aliquot/shared/log/continuation';
import { LogError } from '@aliquot/shared/log/errors';
import { verifyHead } from '@aliquot/shared/log/receipt';
import { hasEnded, refusalOf } from '../store/catalog/refusal.ts';
import { StoreError } from '../store/errors.ts';
import type { AgentRecord, CommitOptions } from '../store/vault-records.ts';
import type { VaultWith } from '../store/vault-store.ts';
import { IngestError } from './errors.ts';

type AuthFrame = Extract<ClientFrame, { type: 'auth' }>;
type ReadyFrame = Extract<ServerFrame, { type: 'ready' }>;

/**
 * The registered agent behind a certificate that has proved itself; `readmitted` when its enrolment
 * went with a log that was rolled back and was recorded again. Throws IngestError when it may not
 * work here (any more); with `acceptEnded` an operator says that one may whose end was recorded,
 * for what it had signed.
 */
export async function admit(
  store: VaultWith<'descriptor' | 'events' | 'log' | 'register'>,
  certificate: AgentCertificate,
  auth: AuthFrame,
  nowMs: number,
  options?: CommitOptions,
): Promise<{ readonly agent: AgentRecord; readonly readmitted: boolean }> {
  const { agentId, name } = certificate.enrolment;
  const known = store.register.agentById(agentId);
  const readmitted = await readmit(store, known, certificate, auth, nowMs);
  return { agent: speaking(store, { agentId, name, binding: auth.binding }, options), readmitted };
}

/** Throws when an agent that was admitted may not work here any more. */
export function refuseEnded(store: VaultWith<'register'>, agent: AgentRecord): void {
  speaking(store, agent);
}

function speaking(
  { register }: VaultWith<'register'>,
  { agentId, name, binding }: Pick<AgentRecord, 'agentId' | 'name' | 'binding'>,
  options?: CommitOptions,
): AgentRecord {
  const record = register.agentById(agentId);
  const refusal = record && refusalOf(record, options);
  if (refusal !== undefined)
    throw new IngestError('INGEST_REFUSED', refusal.message, { refusal: refusal.code });
  if (record === undefined || !sameBinding(record.binding, binding)) {
    throw new IngestError(
      'INGEST_REFUSED',
      `agent ${name} is not enrolled here with these keys; enrol it with its bundle`,
      { refusal: 'not-enrolled' },
    );
  }
  return record;
}

function sameBinding(known: Signed | undefined, shown: Signed | undefined): boolean {
  return known !== undefined && shown !== undefined && equalBytes(known.body, shown.body);
}

/**
 * Records an enrolment again that went with a rolled back log. The proof that there was one: the
 * authority certified the agent, and it shows a head that a certified collector of this vault
 * signed and that this log does not contain; heads are shown to enrolled agents only. Anyone who
 * has since been given the agent's name keeps it.
 */
async function readmit(
  store: VaultWith<'descriptor' | 'events' | 'log' | 'register'>,
  known: AgentRecord | undefined,
  { enrolment: { name }, group }: AgentCertificate,
  auth: AuthFrame,
  nowMs: number,
): Promise<boolean> {
  const lacksBinding =
    known?.state === 'expected' && equalBytes(known.enrolment.body, auth.enrolment.body);
  if (known !== undefined && !lacksBinding) return false;
  const { treeHead: shown, enrolment, binding } = auth;
  if (
    shown === undefined ||
    !provesHead(store, auth, shown) ||
    (await store.log.judgeHead(shown)) === 'consistent'
  )
    return false;
  const bearer = store.register.agentByName(name);
  if (known === undefined && bearer !== undefined && !hasEnded(bearer.state)) return false;
  try {
    if (
      group !== undefined &&
      !store.register.groups().some(({ body }) => equalBytes(body.groupKey, group.groupKey))
    )
      await store.events.append({ type: 'groupAdded', timeMs: nowMs, group: enrolment });
    if (known === undefined && group === undefined)
      await store.events.append({ type: 'agentExpected', timeMs: nowMs, enrolment });
    await store.events.append({
      type: group?.approve === true ? 'agentPending' : 'agentEnrolled',
      timeMs: nowMs,
      enrolment,
      binding,
    });
    return true;
  } catch (error) {
    // Such as: the agent that it replaced is not known either. It stays "not enrolled", and needs a
    // new bundle.
    if (error instanceof StoreError && unfit.has(error.code)) return false;
    throw error;
  }
}

const unfit: ReadonlySet<string> = new Set([
  'STORE_BAD_EVENT',
  'STORE_UNKNOWN_AGENT',
  'STORE_NAME_TAKEN',
  'STORE_REVOKED',
  'STORE_OTHER_KEYS',
  'STORE_UNKNOWN_GROUP',
  'STORE_GROUP_ENDED',
  'STORE_GROUP_FULL',
]);

/** What the agent's newest head means here, with everything that `ready` must prove. */
export interface Standing {
  readonly rolledBack: boolean;
  readonly head: TreeHead;
  readonly signedHead: ReadyFrame['head'];
  readonly consistency: ReadyFrame['consistency'];
  readonly openings: ReadyFrame['openings'];
}

/**
 * Compares the agent's newest head with the log, and makes the proofs that its next head needs. A
 * head that this vault's collector signed and the log does not contain means that the log lost its
 * tail: that is recorded, for operators to see.
 */
export async function standing(
  store: VaultWith<'descriptor' | 'events' | 'log'>,
  agent: AgentRecord,
  auth: AuthFrame,
  nowMs: number,
): Promise<Standing> {
  const shown = auth.treeHead;
  const judgement = shown === undefined ? 'consistent' : await store.log.judgeHead(shown);
  const rolledBack = judgement === 'ahead' || judgement === 'contradicts';
  if (rolledBack && shown !== undefined) await reportHead(store, agent, auth, shown, nowMs);
  const head = store.log.treeHead();
  const signedHead = store.log.head(nowMs);
  const all = await openingsAfter(store, shown?.logEpoch ?? 0, head.size);
  const openings = judgement === 'lost' && shown !== undefined ? fromNaming(all, shown) : all;
  const from = judgement === 'lost' ? (openings[0]?.baseSize ?? 0) : (shown?.size ?? 0);
  return {
    rolledBack,
    head,
    signedHead,
    consistency: rolledBack ? [] : await consistencyProof(store, from, head.size),
    openings: openings.map(({ opening, leaf, inclusion }) => ({ opening, leaf, inclusion })),
  };
}

/** RFC 6962 proofs from nothing, or from the same size, are empty. */
export async function consistencyProof(
  store: VaultWith<'log'>,
  from: number,
  to: number,
): Promise<readonly Uint8Array[]> {
  return from === 0 || from >= to ? [] : store.log.consistency(from, to);
}

async function openingsAfter(store: VaultWith<'log'>, epoch: number, size: number) {
  const durable = store.log.openings(epoch).filter((opening) => opening.leafIndex < size);
  return Promise.all(
    durable.map(async ({ opening, leaf, leafIndex }) => ({
      opening,
      leaf,
      // An opening stands right behind its base.
      baseSize: leafIndex,
      inclusion: await store.log.inclusion(leafIndex, size),
    })),
  );
}

/**
 * The openings from the one on that names this lost head, which is where the agent may start from:
 * those before it approved what others had lost, and say nothing to an agent that had seen more.
 */
function fromNaming<Opening extends { readonly opening: Signed }>(
  openings: readonly Opening[],
  lost: TreeHead,
) {
  const first = openings.findIndex(({ opening }) =>
    coversLoss(decodeEpochOpeningBody(opening.body), lost),
  );
  return openings.slice(Math.max(first, 0));
}

async function reportHead(
  store: VaultWith<'descriptor' | 'events'>,
  agent: AgentRecord,
  auth: AuthFrame,
  shown: TreeHead,
  nowMs: number,
): Promise<void> {
  const { signedHead, signedHeadCertificate } = auth;
  if (
    signedHead === undefined ||
    signedHeadCertificate === undefined ||
    !provesHead(store, auth, shown)
  ) {
    throw new IngestError(
      'INGEST_REFUSED',
      `agent ${agent.name} shows a log head that this vault's collector never signed`,
      { refusal: 'bad-signature' },
    );
  }
  await store.events.append({
    type: 'headReported',
    timeMs: nowMs,
    agentId: agent.agentId,
    head: signedHead,
    collectorCertificate: signedHeadCertificate,
  });
}

/**
 * Whether the head that the agent shows was really signed by a collector that the authority
 * certified.
 */
function provesHead(store: VaultWith<'descriptor'>, auth: AuthFrame, shown: TreeHead): boolean {
  const { signedHead, signedHeadCertificate } = auth;
  if (signedHead === undefined || signedHeadCertificate === undefined) return false;
  const { authorityKey, vaultId } = store.descriptor;
  try {
    const collector = verifyCollectorCertificate(authorityKey, vaultId, signedHeadCertificate);
    const { head } = verifyHead(signedHead, collector);
    return (
      head.size === shown.size &&
      head.logEpoch === shown.logEpoch &&
      equalBytes(head.root, shown.root)
    );
  } catch (error) {
    if (error instanceof CertificateError || error instanceof LogError) return false;
    throw error;
  }
}
