import {
  decodeClockCorrectionBody,
  decodeEpochOpeningBody,
  decodeLogLeaf,
  decodeTreeHeadBody,
  type EventBody,
  encodeSigned,
} from '@aliquot/proto';
import { coversLoss } from '@aliquot/shared/log/continuation';
import { keys } from '../catalog/catalog-keys.ts';
import { neverSwept } from '../catalog/catalog-rows.ts';
import type { CatalogChange } from '../catalog/catalog-store.ts';
import type { Registry } from '../catalog/registry.ts';
import { values } from '../catalog/row-codec.ts';
import type { ReportedHead } from '../vault-records.ts';
import { applyLeaf, sumsOf, withLeaf } from './apply.ts';
import { approveAgent, ended, enrolAgent, expectAgent, putAgents } from './apply-agents.ts';
import { applyCorrection } from './apply-clock.ts';
import { applyPolicy, applyPromotion, applySettings } from './apply-desk.ts';
import { applyAcknowledged, applyDecided, applyForked } from './apply-fork.ts';
import { applyFilesGone } from './apply-gone.ts';
import { applyHold, applyRelease, applyResolution } from './apply-holds.ts';
import { applyPurgeApproval, applyPurgeCancel, applyPurgeOrder } from './apply-purges.ts';
import { applyRun, applyRunApproval, applyUndo } from './apply-retention.ts';
import { type Effect, IDLE, type LeafPlace } from './effect.ts';
import { addGroup, endGroup, memberRow } from './groups.ts';

/** An audit event; `rows` are the agents as they stand. */
export async function applyEvent(
  change: CatalogChange,
  event: EventBody,
  leaf: LeafPlace,
  registry: Registry,
): Promise<Effect> {
  applyLeaf(change, 'event', leaf);
  let sums = withLeaf(await sumsOf(change), leaf);
  const opening =
    event.type === 'epochOpened' ? decodeEpochOpeningBody(event.opening.body) : undefined;
  if (opening !== undefined) sums = { ...sums, logEpoch: opening.logEpoch };
  // It stands at the clock as it is now, which may be earlier than what was recorded before.
  if (event.type === 'clockCorrected') sums = { ...sums, lastLeafMs: leaf.timeMs };
  change.put(keys.sums, values.sums(sums));
  switch (event.type) {
    case 'vaultAdded':
    case 'releaseAdded':
    case 'releaseRemoved':
    case 'clockConfirmed':
    case 'diagnosisAsked':
      return IDLE;
    case 'clockCorrected':
      return applyCorrection(change, decodeClockCorrectionBody(event.correction.body), {
        leafIndex: leaf.leafIndex,
        timeMs: decodeLogLeaf(leaf.bytes).timeMs,
      });
    case 'agentExpected':
      return putAgents(change, expectAgent(event.enrolment, leaf, registry));
    case 'agentEnrolled':
      return putAgents(change, enrolAgent(event.enrolment, event.binding, leaf, registry));
    case 'groupAdded':
      return addGroup(change, event.group, leaf);
    case 'groupEnded':
      return endGroup(change, event.groupId, leaf, registry);
    case 'agentPending':
      return putAgents(change, [memberRow(event.enrolment, event.binding, leaf, 'pending')]);
    case 'agentApproved':
      return putAgents(change, approveAgent(event, leaf, registry));
    case 'agentRevoked': {
      const row = registry.row(event.agentId);
      if (row === undefined) return IDLE;
      const revoked = ended(row, 'revoked', leaf, event.reason);
      // What is signed later is no later end.
      return putAgents(change, [{ ...revoked, endedAtMs: row.endedAtMs ?? leaf.timeMs }]);
    }
    case 'headReported': {
      change.put(keys.reported(leaf.leafIndex), Buffer.from(event.agentId));
      return (live) => live.addReported(leaf.leafIndex, reportedHeadOf(event, leaf));
    }
    case 'epochOpened': {
      change.put(keys.epoch(sums.logEpoch), values.u64(leaf.leafIndex));
      const healed = registry
        .reported()
        .filter(([, { head }]) => opening !== undefined && coversLoss(opening, head));
      for (const [leafIndex] of healed) change.del(keys.reported(leafIndex));
      return (live) => {
        for (const [leafIndex] of healed) live.dropReported(leafIndex);
      };
    }
    case 'chainForked':
      return applyForked(change, event, leaf);
    case 'forkDecided': {
      const decided = await applyDecided(change, event, leaf, sums, registry);
      change.put(keys.sums, values.sums(decided.sums));
      return decided.effect;
    }
    case 'problemsAcknowledged':
      return applyAcknowledged(change, event, leaf, registry);
    case 'filesGone': {
      const gone = await applyFilesGone(change, event, leaf, sums, registry);
      change.put(keys.sums, values.sums(gone.sums));
      return gone.effect;
    }
    case 'addressesSet': {
      change.put(keys.addresses, Buffer.from(encodeSigned(event.addresses)));
      return (live) => {
        live.addresses = event.addresses;
      };
    }
    case 'policySet':
      return applyPolicy(change, event, leaf);
    case 'settingsSet':
      return applySettings(change, event, leaf, registry);
    case 'holdSet':
      return applyHold(change, event, leaf);
    case 'holdResolved':
      return applyResolution(change, event, leaf, registry);
    case 'holdReleased':
      return applyRelease(change, event, leaf, registry);
    case 'purgeOrdered':
      return applyPurgeOrder(change, event, leaf);
    case 'purgeApproved':
      return applyPurgeApproval(change, event, leaf, registry);
    case 'purgeCancelled':
      return applyPurgeCancel(change, event, leaf, registry);
    case 'settingsPromoted':
      return applyPromotion(change, event, leaf, registry);
    case 'retentionRan':
      return applyRun(change, event, leaf);
    case 'retentionApproved':
      return applyRunApproval(change, event, leaf, registry);
    case 'retentionUndone':
      return applyUndo(change, event, leaf, registry);
    case 'gcEpochAnnounced': {
      const { lineageId, gcEpoch } = event;
      const { swept } = registry.sweep(lineageId);
      const row = { ...neverSwept, announced: gcEpoch, swept };
      change.put(keys.sweep(lineageId), values.sweep(row));
      return (live) => live.setSweep(lineageId, row);
    }
    case 'agentLost': {
      const said = { timeMs: leaf.timeMs, leaves: leaf.leafIndex };
      change.put(keys.lostAgent(event.agentId), values.moment(said));
      return (live) => live.setLostAgent(event.agentId, said);
    }
    case 'agentFound':
      change.del(keys.lostAgent(event.agentId));
      return (live) => live.setLostAgent(event.agentId, undefined);
  }
}

/** What a `headReported` event says, with the place and the time of its leaf. */
export function reportedHeadOf(
  event: Extract<EventBody, { type: 'headReported' }>,
  { leafIndex, timeMs }: Pick<LeafPlace, 'leafIndex' | 'timeMs'>,
): ReportedHead {
  const { agentId, head: signedHead, collectorCertificate } = event;
  return {
    agentId,
    leafIndex,
    timeMs,
    head: decodeTreeHeadBody(signedHead.body).head,
    signedHead,
    collectorCertificate,
  };
}
