import {
  decodeCollectorAddressesBody,
  decodeEventBody,
  type EventBody,
  encodeEventBody,
  FormatError,
  type LineageId,
  type Signed,
  type VaultDescriptorBody,
} from '@aliquot/proto';
import { CommitError } from '@aliquot/shared/commit/errors';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import {
  CertificateError,
  verifyAddresses,
  verifyAgent,
  verifyCollectorCertificate,
  verifyEnrolment,
  verifyEpochOpening,
} from '@aliquot/shared/keys/certificates';
import { LogError } from '@aliquot/shared/log/errors';
import { verifyHead } from '@aliquot/shared/log/receipt';
import type { StoreLimits } from '../../limits.ts';
import { ranges } from '../catalog/catalog-keys.ts';
import type { AgentRow } from '../catalog/catalog-rows.ts';
import { hasEnded } from '../catalog/refusal.ts';
import { decodeEarlier } from '../catalog/version-rows.ts';
import { StoreError } from '../errors.ts';
import type { AgentProblemCode } from '../vault-records.ts';
import { admitCorrection } from './admit-clock.ts';
import { admitHold, admitRelease, admitResolution } from './admit-holds.ts';
import { admitPurgeApproval, admitPurgeCancel, admitPurgeOrder } from './admit-purges.ts';
import { admitPolicy, admitPromotion, admitQuestion, admitSettings } from './apply-desk.ts';
import { admitFilesGone } from './apply-gone.ts';
import { admitRun, admitRunApproval, admitUndo } from './apply-retention.ts';
import type { VaultCore } from './core.ts';
import { admitApproval, admitGroup, admitGroupEnd, admitMember } from './groups.ts';
import { judgeHead } from './judge-head.ts';
import { refuseBearers, refuseBorneName, refuseCloneName } from './names.ts';
import { admitRevocation } from './revocations.ts';

/**
 * Checks an event against what the vault knows before it becomes a leaf. Answers with the leaf that
 * already records it, or `undefined` when it is new. Throws `StoreError` when it must not be
 * recorded.
 */
export async function admitEvent(
  core: VaultCore,
  descriptor: VaultDescriptorBody,
  event: EventBody,
): Promise<number | undefined> {
  return asRefusal(async () => {
    decodeEventBody(encodeEventBody(event)); // limits hold before anything is appended
    return admit(core, descriptor, event);
  });
}

/** Throws `STORE_BAD_EVENT` where what comes with an event cannot be believed. */
export async function asRefusal<T>(admit: () => Promise<T>): Promise<T> {
  try {
    return await admit();
  } catch (error) {
    if (error instanceof StoreError) throw error;
    if (
      error instanceof FormatError ||
      error instanceof CertificateError ||
      error instanceof CommitError ||
      error instanceof LogError
    ) {
      throw new StoreError('STORE_BAD_EVENT', error.message, { cause: error });
    }
    throw error;
  }
}

function admit(
  core: VaultCore,
  descriptor: VaultDescriptorBody,
  event: EventBody,
): Promise<number | undefined> | number | undefined {
  switch (event.type) {
    case 'vaultAdded':
      if (core.head.size > 0) throw bad('the log of this vault has begun already');
      return undefined;
    case 'agentExpected':
      return admitExpected(core, descriptor, event.enrolment);
    case 'agentEnrolled':
      return admitEnrolled(core, descriptor, event);
    case 'agentRevoked':
      return admitRevocation(core, descriptor, event);
    case 'headReported':
      return admitReported(core, descriptor, event);
    case 'epochOpened':
      return admitOpening(core, descriptor, event);
    case 'chainForked':
      throw bad('forks are recorded by the store itself');
    case 'problemsAcknowledged': {
      const record = core.registry.record(event.agentId);
      if (record === undefined) throw unknownAgent();
      if (!record.problems.some(({ code }) => isAcknowledgeable(code)))
        throw bad(`nothing is wrong with ${record.name} that could be acknowledged`);
      return undefined;
    }
    case 'forkDecided':
      return admitDecision(core, event);
    case 'filesGone':
      return admitFilesGone(core, event);
    case 'releaseAdded':
    case 'releaseRemoved':
    case 'clockConfirmed':
      return undefined;
    case 'clockCorrected':
      return admitCorrection(core, descriptor, event);
    case 'addressesSet':
      return admitAddresses(core, descriptor, event);
    case 'diagnosisAsked':
      return admitQuestion(core.registry, descriptor, event);
    case 'policySet':
      return admitPolicy(core.registry, descriptor, event);
    case 'settingsSet':
      return admitSettings(core.registry, descriptor, event);
    case 'settingsPromoted':
      return admitPromotion(core.registry, event);
    case 'holdSet':
      return admitHold(core, descriptor, event);
    case 'holdResolved':
      return admitResolution(core, descriptor, event);
    case 'holdReleased':
      return admitRelease(core, descriptor, event);
    case 'purgeOrdered':
      return admitPurgeOrder(core, descriptor, event);
    case 'purgeApproved':
      return admitPurgeApproval(core, descriptor, event);
    case 'purgeCancelled':
      return admitPurgeCancel(core, descriptor, event);
    case 'groupAdded':
      return admitGroup(core, descriptor, event);
    case 'groupEnded':
      return admitGroupEnd(core, event);
    case 'agentPending':
      return admitMember(core, descriptor, event);
    case 'agentApproved':
      return admitApproval(core, descriptor, event, (enrolment, pending) => {
        if (admitExpected(core, descriptor, enrolment, pending) !== undefined)
          throw bad('the successor in the approval is known already');
      });
    case 'retentionRan':
      return admitRun(core.registry, event);
    case 'retentionApproved':
      return admitRunApproval(core.registry, descriptor, event);
    case 'retentionUndone':
      return admitUndo(core.registry, event);
    case 'gcEpochAnnounced': {
      const { announced } = core.registry.sweep(event.lineageId);
      if (event.gcEpoch <= announced)
        throw bad(`epoch ${announced} of the sweep was announced already`);
      if (core.registry.rows().some(({ lineageId }) => equalBytes(lineageId, event.lineageId)))
        return undefined;
      throw unknownAgent();
    }
    case 'agentLost': {
      const row = core.registry.row(event.agentId);
      if (row === undefined) throw unknownAgent();
      if (hasEnded(row.state)) throw bad(`nobody waits for ${row.name}: ${row.endReason}`);
      return core.registry.lostAgent(event.agentId)?.leaves;
    }
    case 'agentFound':
      if (core.registry.lostAgent(event.agentId) === undefined)
        throw bad('nobody said that this agent is lost');
      return undefined;
  }
}

/**
 * What must not be recorded any more, though a log may hold it from before: `fsck` judges a log's
 * events by `admitEvent` alone. Runs before anything is appended, because what follows from an
 * event follows at every replay.
 */
export async function refuseNewly(
  core: VaultCore,
  event: EventBody,
  limits: StoreLimits,
): Promise<void> {
  if (event.type === 'purgeOrdered' || event.type === 'purgeApproved')
    throw bad('purges are recorded by their own way, which looks at locks and holds');
  if (event.type !== 'forkDecided') return;
  if (event.decision === 'clone') {
    const bearer = core.registry.rows().find(({ name }) => name === event.name);
    if (bearer === undefined) return;
    const why = `an agent (${bearer.state}) has the name ${event.name}`;
    throw new StoreError('STORE_NAME_TAKEN', `${why}; choose another name for the clone`);
  }
  let versions = 0;
  for await (const count of countedVersions(core, event.branchId)) {
    versions += count;
    if (versions <= limits.mergedVersions) continue;
    const why = `this history has more than ${limits.mergedVersions} versions, too many to join the agent's own`;
    throw bad(
      `${why}; decide --clone NEWNAME, and enrol that PC anew: aliquot enroll NAME --replaces NAME`,
    );
  }
}

/** Counts of a history's versions, which together are all of them. */
async function* countedVersions(core: VaultCore, branchId: LineageId): AsyncGenerator<number> {
  const history = core.registry.lineage(branchId)?.number;
  if (history === undefined) return;
  for await (const _ of core.catalog.scan(ranges.heads(history))) yield 1;
  for await (const [, row] of core.catalog.scan(ranges.earlier(history)))
    yield decodeEarlier(row).size;
}

/** What stays wrong until a person says that it was seen, because nothing mends it. */
function isAcknowledgeable(code: AgentProblemCode): boolean {
  return code === 'versions-lost' || code === 'chain-clone';
}

function unknownAgent(): StoreError {
  return new StoreError(
    'STORE_UNKNOWN_AGENT',
    'no such agent in this vault; aliquot agents lists them',
  );
}

function bad(why: string): StoreError {
  return new StoreError('STORE_BAD_EVENT', why);
}

/** `pending`: the PC whose own name this is, where it is taken in in the place of another. */
function admitExpected(
  core: VaultCore,
  descriptor: VaultDescriptorBody,
  enrolment: Signed,
  pending?: AgentRow,
): number | undefined {
  const body = verifyEnrolment(descriptor.authorityKey, descriptor.vaultId, enrolment);
  const known = core.registry.row(body.agentId);
  if (known !== undefined) {
    if (equalBytes(known.enrolment.body, enrolment.body)) return known.expectedLeaf;
    throw bad(`another enrolment was issued for the same agent (${known.name})`);
  }
  const old = body.replaces === undefined ? undefined : core.registry.row(body.replaces);
  if (body.replaces === undefined && !equalBytes(body.lineageId, body.agentId))
    throw bad('a new agent must begin its own lineage');
  if (body.replaces !== undefined) {
    if (old === undefined)
      throw new StoreError(
        'STORE_UNKNOWN_AGENT',
        'the agent to be replaced is not known to this vault',
      );
    if (!equalBytes(old.lineageId, body.lineageId))
      throw bad(`${body.name} must continue the lineage of ${old.name}`);
  }
  refuseBearers(core, body.name, ['enrolled'], old);
  // A second bundle that replaces the same agent takes the place of the first.
  if (body.replaces === undefined) refuseBearers(core, body.name, ['expected']);
  refuseBearers(core, body.name, ['pending'], pending);
  refuseBorneName(core, body);
  refuseCloneName(core, body.name);
  return undefined;
}

function admitEnrolled(
  core: VaultCore,
  descriptor: VaultDescriptorBody,
  event: Extract<EventBody, { type: 'agentEnrolled' }>,
): number | undefined {
  const { enrolment, group } = verifyAgent(
    descriptor.authorityKey,
    descriptor.vaultId,
    event.enrolment,
    event.binding,
  );
  if (group !== undefined) return admitMember(core, descriptor, event);
  const row = core.registry.row(enrolment.agentId);
  if (row === undefined || !equalBytes(row.enrolment.body, event.enrolment.body)) {
    throw new StoreError(
      'STORE_UNKNOWN_AGENT',
      `agent ${enrolment.name} is not expected by this collector; aliquot enroll makes a bundle for it`,
    );
  }
  if (hasEnded(row.state))
    throw new StoreError('STORE_REVOKED', `agent ${row.name}: ${row.endReason}`);
  if (row.binding === undefined) return undefined;
  if (equalBytes(row.binding.body, event.binding.body)) return row.enrolledLeaf;
  throw new StoreError(
    'STORE_OTHER_KEYS',
    `the bundle of ${row.name} was already used, with other keys; make a new one with aliquot enroll`,
  );
}

/** One word for each history; the same word again is answered, another is not. */
function admitDecision(
  core: VaultCore,
  event: Extract<EventBody, { type: 'forkDecided' }>,
): number | undefined {
  const row = core.registry.row(event.agentId);
  const lines = core.registry.lines(event.agentId);
  if (row === undefined || lines === undefined) throw unknownAgent();
  const history = lines.history(event.branchId);
  if (
    history === undefined ||
    (history.state === 'held' && lines.line(event.branchId) === undefined)
  )
    throw new StoreError(
      'STORE_UNKNOWN_HISTORY',
      `agent ${row.name} has no such history; aliquot fork list shows them`,
    );
  if (history.state === event.decision && history.name === event.name) return history.decidedLeaf;
  if (history.state !== 'held') {
    const said =
      history.state === 'clone' ? `the clone ${history.name}` : `${row.name} itself, put back`;
    throw new StoreError(
      'STORE_DECIDED',
      `it was decided already that this history is of ${said}, and that stays`,
    );
  }
  if (event.decision === 'clone') refuseTakenName(core, event.name);
  return undefined;
}

/** Agents and clones are named in one place, so no two may have the same name. */
function refuseTakenName(core: VaultCore, name: string): void {
  const lives = ({ state }: AgentRow): boolean => !hasEnded(state);
  const living = core.registry.rows().some((row) => row.name === name && lives(row));
  if (living)
    throw new StoreError(
      'STORE_NAME_TAKEN',
      `an agent has the name ${name}; choose another name for the clone`,
    );
  refuseCloneName(core, name);
}

/** An agent never goes back to a lower revision, so a set that is not higher would reach nobody. */
function admitAddresses(
  core: VaultCore,
  descriptor: VaultDescriptorBody,
  { addresses }: Extract<EventBody, { type: 'addressesSet' }>,
): undefined {
  const { authorityKey, vaultId } = descriptor;
  const { revision } = verifyAddresses(authorityKey, vaultId, addresses);
  const { addresses: known } = core.registry;
  if (known !== undefined && decodeCollectorAddressesBody(known.body).revision >= revision)
    throw bad('these addresses are not newer than those that the collector has: set them again');
  return undefined;
}

async function admitReported(
  core: VaultCore,
  descriptor: VaultDescriptorBody,
  event: Extract<EventBody, { type: 'headReported' }>,
): Promise<number | undefined> {
  const certificate = verifyCollectorCertificate(
    descriptor.authorityKey,
    descriptor.vaultId,
    event.collectorCertificate,
  );
  const { head } = verifyHead(event.head, certificate);
  if (core.registry.row(event.agentId) === undefined)
    throw new StoreError('STORE_UNKNOWN_AGENT', 'no such agent in this vault');
  const earlier = core.registry
    .reported()
    .find(
      ([, known]) =>
        equalBytes(known.agentId, event.agentId) &&
        known.head.size === head.size &&
        equalBytes(known.head.root, head.root),
    );
  if (earlier !== undefined) return earlier[0];
  const judgement = await judgeHead(core, head);
  if (judgement === 'consistent' || judgement === 'lost')
    throw bad('the reported head is known to this log: nothing to report');
  return undefined;
}

async function admitOpening(
  core: VaultCore,
  descriptor: VaultDescriptorBody,
  event: Extract<EventBody, { type: 'epochOpened' }>,
): Promise<number | undefined> {
  const body = verifyEpochOpening(descriptor.authorityKey, descriptor.vaultId, event.opening);
  const known = core.openings.find((opening) =>
    equalBytes(opening.opening.body, event.opening.body),
  );
  if (known !== undefined) return known.leafIndex;
  const { logEpoch, size, root } = core.head;
  if (body.logEpoch <= logEpoch)
    throw bad(`log epoch ${body.logEpoch} was opened already; the next is ${logEpoch + 1}`);
  if (
    body.base.logEpoch !== logEpoch ||
    body.base.size !== size ||
    !equalBytes(body.base.root, root)
  ) {
    throw bad(
      `the log has grown to ${size} leaves since this opening was approved for ${body.base.size}: approve it again`,
    );
  }
  return undefined;
}
