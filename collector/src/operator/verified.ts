import {
  type AgentId,
  asLineageId,
  type CollectorCertificateBody,
  type CommitHeader,
  decodeSigned,
  type EnrolmentCertificateBody,
  type LineageId,
  type ReceiptBody,
  type StateRecord,
} from '@aliquot/proto';
import { type VerifiedCommit, verifyCommit } from '@aliquot/shared/commit/commit';
import {
  type Named,
  type NamedResult,
  openNames,
  openResults,
  type Unopened,
} from '@aliquot/shared/commit/open-names';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { verifyAgent, verifyEnrolment } from '@aliquot/shared/keys/certificates';
import type { OpenKit } from '@aliquot/shared/keys/kit';
import type { LogTimes } from '@aliquot/shared/log/log-times';
import { requireReceiptFor, verifyReceipt } from '@aliquot/shared/log/receipt';
import { fromBase64 } from '../api/base64.ts';
import type { NameRow, ResultLine, UnopenedCommit } from '../api/messages.ts';
import { rowOf, unopenedCommit } from '../api/name-rows.ts';
import { resultLineOf } from '../api/result-rows.ts';
import type { AgentView } from './agent-view.ts';
import type { StateAnswer } from './client/reading-client.ts';
import { evidence, unverified } from './evidence.ts';

/** A version whose whole chain of evidence was checked and whose names are open. */
export interface OpenVersion extends Omit<Named, 'slot'> {
  readonly row: NameRow;
}

/** What records are verified and opened with. */
export interface EvidenceReader {
  readonly kit: OpenKit;
  readonly collector: CollectorCertificateBody;
  readonly times: LogTimes;
}

/** Listeners for what there is to know beside the versions. */
export interface VersionWatch {
  /** Each commit and its receipt, for what they say about the log. */
  onCommit?(header: CommitHeader, receipt: ReceiptBody): void;
  /** Each verified record, for what proves that nothing is left out. @throws CommandError */
  onRecord?(record: VerifiedRecord): void;
  /** What a commit holds and does not open: it costs its own files, not the others. */
  onUnopened(unopened: UnopenedCommit): void;
}

/** A record whose commit and receipt hold. */
export interface VerifiedRecord {
  readonly commit: VerifiedCommit;
  /** The slots that the collector names. */
  readonly live: readonly number[];
  /** Where its leaf is, by its receipt. */
  readonly leafIndex: number;
}

/**
 * The agent that a kit's holder asked about, as the authority certified it: not as the collector
 * says.
 */
export interface CertifiedAgent {
  readonly name: string;
  readonly agentId: AgentId;
  readonly lineageId: LineageId;
  readonly enrolment: EnrolmentCertificateBody;
}

/**
 * The enrolment behind an agent of the collector's list. A collector that passes off another agent
 * under that name is caught.
 */
export function certifiedAgent(kit: Pick<OpenKit, 'descriptor'>, info: AgentView): CertifiedAgent {
  const { enrolment } = certificateOf(kit, info);
  const { name, enrolledAs = name } = info;
  if (enrolment.name !== enrolledAs)
    throw unverified(`the collector passes agent ${enrolment.name} off as ${enrolledAs}`);
  return {
    name,
    agentId: enrolment.agentId,
    lineageId: asLineageId(enrolment.lineageId),
    enrolment,
  };
}

/**
 * What the authority certified of an agent; one that a bundle was made for has not bound keys yet.
 */
function certificateOf(
  { descriptor: { vaultId, authorityKey } }: Pick<OpenKit, 'descriptor'>,
  info: Pick<AgentView, 'enrolment' | 'binding'>,
): { readonly enrolment: EnrolmentCertificateBody } {
  const [enrolment, binding] = [info.enrolment, info.binding].map(
    (text) => text && decodeSigned(fromBase64(text)),
  );
  if (!enrolment) throw unverified('the collector shows an agent without its certificate');
  if (!binding) return { enrolment: verifyEnrolment(authorityKey, vaultId, enrolment) };
  return verifyAgent(authorityKey, vaultId, enrolment, binding);
}

/**
 * Verifies records of one lineage and opens them with the kit: authority → enrolment → binding →
 * commit signature → entries root; the receipt by the certified collector; the lineage that was
 * asked for. Content is not touched here.
 */
export async function* openVersions(
  answers: AsyncIterable<StateAnswer>,
  reader: EvidenceReader,
  agent: CertifiedAgent,
  watch: VersionWatch,
): AsyncGenerator<OpenVersion> {
  for await (const record of readable(answers, watch))
    yield* openRecord(record, reader, agent, watch);
}

/** The commits among what a collector answers; of those that it cannot read any more it tells. */
export async function* readable(
  answers: AsyncIterable<StateAnswer>,
  watch: Pick<VersionWatch, 'onUnopened'>,
): AsyncGenerator<StateRecord> {
  for await (const answer of answers)
    if ('unopened' in answer) watch.onUnopened(answer.unopened);
    else yield answer;
}

function* openRecord(
  record: StateRecord,
  reader: EvidenceReader,
  agent: CertifiedAgent,
  watch: VersionWatch,
): Generator<OpenVersion> {
  const { commit, place, unopened } = verifyRecord(record, reader, agent, watch);
  const vaultKey = { key: reader.kit.vaultKey, recipient: 'vault' } as const;
  const wanted = slotsOf(record, commit, place.receivedAtMs);
  for (const { entry, slot, versionTimeMs, list, read } of openNames(
    commit,
    wanted,
    vaultKey,
    unopened,
  )) {
    let row: NameRow | undefined;
    yield {
      // Restores of many files have no use for it.
      get row() {
        row ??= rowOf(entry, list, { ...place, slot, versionTimeMs });
        return row;
      },
      ...{ entry, list, read },
    };
  }
}

/** A row of a result whose whole chain of evidence was checked and whose names are open. */
export interface VerifiedResult extends Pick<NamedResult, 'row' | 'list'> {
  readonly line: ResultLine;
}

/** As `openVersions`, of records of results. */
export async function* openResultVersions(
  answers: AsyncIterable<StateAnswer>,
  reader: EvidenceReader,
  agent: CertifiedAgent,
  watch: VersionWatch,
): AsyncGenerator<VerifiedResult> {
  const vaultKey = { key: reader.kit.vaultKey, recipient: 'vault' } as const;
  for await (const record of readable(answers, watch)) {
    const { commit, place, unopened } = verifyRecord(record, reader, agent, watch);
    for (const { slot } of slotsOf(record, commit, place.receivedAtMs))
      if (commit.rows.result(slot) === undefined)
        throw unverified('the collector passes a file off as a result');
    const wanted = slotsOf(record, commit, place.receivedAtMs);
    for (const { slot, versionTimeMs, row, list, evidence } of openResults(
      commit,
      wanted,
      vaultKey,
      unopened,
    ))
      yield {
        ...{ row, list },
        line: resultLineOf({ row, list, evidence }, { ...place, slot, versionTimeMs }),
      };
  }
}

/** A record of a lineage that holds, with what is needed to open names in it. */
export function verifyRecord(
  record: StateRecord,
  { kit, collector, times }: EvidenceReader,
  agent: CertifiedAgent,
  watch: VersionWatch,
) {
  const { commit, receivedAtMs } = evidence(() => {
    const certificate = verifyAgent(
      kit.authority.publicKey,
      kit.descriptor.vaultId,
      record.enrolment,
      record.binding,
    );
    if (!equalBytes(certificate.enrolment.lineageId, agent.lineageId))
      throw unverified('the collector sent a commit of another agent');
    const verified = verifyCommit(record.commit, {
      vaultId: kit.descriptor.vaultId,
      agent: certificate,
    });
    const receipt = verifyReceipt(record.receipt, collector);
    requireReceiptFor(receipt, { ...verified, lossHash: verified.loss?.hash });
    watch.onCommit?.(verified.header, receipt);
    watch.onRecord?.({ commit: verified, live: record.live, leafIndex: receipt.leafIndex });
    return { commit: verified, receivedAtMs: times.of(receipt.leafIndex, receipt.receivedAtMs) };
  });
  const place = { agent: agent.name, hash: commit.hash, receivedAtMs };
  const unopened = (what: Unopened) =>
    watch.onUnopened(unopenedCommit(what, { ...place, sequence: commit.header.sequence }));
  return { commit, place, unopened };
}

/**
 * The entries of a commit that were asked for. One that was purged or lost is no version any more,
 * and none that a collector lists.
 */
export function* slotsOf(
  { live, versionTimesMs }: StateRecord,
  commit: VerifiedCommit,
  receivedAtMs: number,
) {
  for (const [index, slot] of live.entries()) {
    const versionTimeMs = versionTimesMs[index];
    const isThere = commit.rows.placeOf(slot) !== undefined;
    if (!isThere || versionTimeMs === undefined || versionTimeMs > receivedAtMs)
      throw unverified('the collector names an entry that is not in the commit');
    yield { slot, versionTimeMs };
  }
}
