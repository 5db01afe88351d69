import {
  type CollectorCertificateBody,
  checkServerBody,
  decodeClientFrame,
  decodeCommitHeader,
  decodeReceiptBody,
  decodeServerFrame,
  decodeSettingsBody,
  decodeSigned,
  decodeSignedCommit,
  decodeTreeHeadBody,
  FormatError,
  type ServerFrame,
  type Signed,
  splitFrame,
  type TreeHead,
} from '@aliquot/proto';
import { CarriedReader } from '@aliquot/shared/carry/carried-file';
import { CarryError } from '@aliquot/shared/carry/errors';
import { type CarriedQuestion, carriedBy } from '@aliquot/shared/carry/statements';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { readAgent } from '@aliquot/shared/keys/certificates';
import { acceptCollector } from '@aliquot/shared/session/handshake';
import { asUplinkError, UplinkError } from '../uplink/errors.ts';
import { judgeReceipt } from '../uplink/judge.ts';
import { isStandingNotice, type StandingProblem } from '../uplink/trust.ts';
import type { CarryParts, OnCarried } from './parts.ts';

export interface ImportSummary {
  /** Receipts that were new here, and the versions that they made safe. */
  readonly receipts: number;
  readonly versions: number;
  /** Versions that still wait. */
  readonly queued: number;
  /** What the collector says beside the receipts. */
  readonly notices: readonly { readonly code: string; readonly message: string }[];
  /**
   * Whether the queue has gone on under a new chain, because the collector has commits that this
   * folder never made.
   */
  readonly renewed: boolean;
}

type Ready = Extract<ServerFrame, { type: 'ready' }>;
type ReceiptFrame = Extract<ServerFrame, { type: 'receipt' }>;

/** What stands before everything else in a file of receipts. */
interface Opening {
  readonly question: CarriedQuestion;
  readonly collector: CollectorCertificateBody;
  readonly certificate: Signed;
}

/** Frames before the answer proper: the question and the collector's certificate. */
const OPENING_FRAMES = 2;

/**
 * Takes in the receipts that came back by hand. The whole file is read and its signature checked
 * before anything is believed; then everything is judged as if a session had brought it, and each
 * receipt is durable before its entries leave the queue (I-A2, I-A7). Repeating is harmless.
 *
 * Errors: `CarryError`, and the `UplinkError`s of a session, of which those that waiting does not
 * mend stay as the connection's problem.
 */
export async function importReceipts(
  parts: CarryParts,
  path: string,
  onProgress?: OnCarried,
): Promise<ImportSummary> {
  const reader = await CarriedReader.open(parts.port, path, 'receipts');
  try {
    const opening = await openingOf(parts, reader, path);
    return await new ReceiptImport(parts, opening, path).run(reader, onProgress);
  } catch (error) {
    await keepProblem(parts, error);
    throw error;
  } finally {
    await reader.close();
  }
}

/** Reads the file to its end, and proves that the vault's collector wrote it, for this agent. */
async function openingOf(parts: CarryParts, reader: CarriedReader, path: string): Promise<Opening> {
  const frames: Uint8Array[] = [];
  for await (const frame of reader.frames()) if (frames.length < OPENING_FRAMES) frames.push(frame);
  const [first, second] = frames;
  if (first === undefined || second === undefined) throw reader.altered('says nothing');
  const { question, certificate } = readable(reader, () => {
    const asked = decodeClientFrame(splitFrame(first).header);
    if (asked.type !== 'auth') throw reader.altered('does not begin with a question');
    return { question: asked, certificate: decodeSigned(second) };
  });
  readable(reader, () => checkAgent(parts, question, path));
  const { descriptor } = parts.identity;
  let collector: CollectorCertificateBody;
  try {
    const { authorityKey, vaultId } = descriptor;
    collector = acceptCollector(
      { authorityKey, vaultId, lastCollector: parts.trust.lastCollector },
      certificate,
    );
  } catch (error) {
    throw asUplinkError(error);
  }
  if (!carriedBy('receipts', collector.signKey, reader.trailer))
    throw reader.altered('is not signed by the collector');
  return { question, collector, certificate };
}

function checkAgent(
  { identity }: CarryParts,
  { enrolment, binding }: CarriedQuestion,
  path: string,
): void {
  if (
    equalBytes(enrolment.body, identity.enrolment.body) &&
    equalBytes(binding.body, identity.binding.body)
  )
    return;
  const { vaultId, name } = readAgent(enrolment, binding).enrolment;
  if (!equalBytes(vaultId, identity.descriptor.vaultId))
    throw new CarryError(
      'CARRY_OTHER_VAULT',
      `${path} holds receipts of another vault, for its agent ${name}; nothing was taken from it`,
    );
  throw new CarryError(
    'CARRY_OTHER_AGENT',
    `${path} holds receipts for agent ${name}, not for this PC; take them there`,
  );
}

/**
 * What is decoded is signed; that it cannot be read then means another release, or a collector out
 * of its mind.
 */
function readable<T>(reader: CarriedReader, step: () => T): T {
  try {
    return step();
  } catch (error) {
    if (error instanceof FormatError) throw reader.altered('holds what cannot be read', error);
    throw error;
  }
}

class ReceiptImport {
  readonly #parts: CarryParts;
  readonly #opening: Opening;
  readonly #path: string;
  readonly #notices: { readonly code: string; readonly message: string }[] = [];
  #head: TreeHead | undefined;
  #renewed = false;
  #receipts = 0;
  #versions = 0;

  constructor(parts: CarryParts, opening: Opening, path: string) {
    this.#parts = parts;
    this.#opening = opening;
    this.#path = path;
  }

  async run(reader: CarriedReader, onProgress: OnCarried | undefined): Promise<ImportSummary> {
    const { queue, trust, clock } = this.#parts;
    let number = 0;
    for await (const bytes of reader.frames()) {
      number += 1;
      if (number <= OPENING_FRAMES) continue;
      const frame = readable(reader, () => {
        const { header, body } = splitFrame(bytes);
        const decoded = decodeServerFrame(header);
        checkServerBody(decoded, body);
        return decoded;
      });
      await this.#take(frame, reader);
      onProgress?.({ commits: this.#receipts, bytes: reader.position, totalBytes: reader.size });
    }
    if (this.#head === undefined) throw reader.altered('tells no head of the log');
    const standing = this.#notices.find(({ code }) => isStandingNotice(code));
    await trust.setProblem(standing && { ...standing, sinceMs: clock.nowMs() });
    return {
      receipts: this.#receipts,
      versions: this.#versions,
      queued: queue.intake.pending().entries,
      notices: this.#notices,
      renewed: this.#renewed,
    };
  }

  async #take(frame: ServerFrame, reader: CarriedReader): Promise<void> {
    switch (frame.type) {
      case 'ready':
        if (this.#head !== undefined) throw reader.altered('tells two heads of the log');
        this.#head = await this.#welcome(frame, reader);
        return;
      case 'notice':
        this.#notices.push({ code: frame.code, message: frame.message });
        return;
      case 'settings':
        readable(reader, () => decodeSettingsBody(frame.settings.body));
        await this.#parts.desk?.take(
          { settings: frame.settings, certificate: frame.certificate },
          'collector',
        );
        return;
      case 'receipt':
        if (this.#head === undefined)
          throw reader.altered('holds a receipt before the head of the log');
        return this.#receipt(frame, this.#head, reader);
      default:
        throw reader.altered(`holds a ${frame.type} frame`);
    }
  }

  async #welcome(ready: Ready, reader: CarriedReader): Promise<TreeHead> {
    const { queue, trust, welcome } = this.#parts;
    const { question, collector, certificate } = this.#opening;
    const seen = trust.verified?.head;
    const { head } = readable(reader, () => decodeTreeHeadBody(ready.head.body));
    const isPresentChain = equalBytes(question.chainId, queue.chain.present().chainId);
    if (seen !== undefined && sameHead(seen, head)) {
      // Taken in before, wholly or until a crash: what is missing is made up for.
      await this.#learn(ready);
      if (isPresentChain) await this.#settleChain(ready);
      return seen;
    }
    const isAnswerToNow =
      seen === undefined
        ? question.treeHead === undefined
        : question.treeHead !== undefined && sameHead(question.treeHead, seen);
    if (!isAnswerToNow || !isPresentChain) {
      const says =
        'answers an export that this PC has left behind since (it knows a newer state of the collector)';
      throw new CarryError(
        'CARRY_OUTDATED',
        `${this.#path} ${says}; nothing is lost: export again and carry that`,
      );
    }
    const believed = await welcome.believe(ready, collector, certificate);
    await this.#learn(ready);
    await this.#settleChain(ready);
    return believed;
  }

  async #learn({ gcEpoch }: Ready): Promise<void> {
    const { queue } = this.#parts;
    if (gcEpoch > queue.epochs.newest()) await queue.epochs.learn(gcEpoch);
  }

  async #settleChain(ready: Ready): Promise<void> {
    try {
      await this.#parts.welcome.settleChain(ready);
    } catch (error) {
      // The receipts are for commits that this folder did make, so they count anyway.
      if (!(error instanceof UplinkError && error.code === 'UPLINK_CHAIN_RENEWED')) throw error;
      this.#renewed = true;
    }
  }

  async #receipt(frame: ReceiptFrame, head: TreeHead, reader: CarriedReader): Promise<void> {
    const { queue, welcome } = this.#parts;
    const { sequence, commitHash } = readable(reader, () => decodeReceiptBody(frame.receipt.body));
    const commit = await queue.outbox.signedCommit(sequence);
    if (commit === undefined || !equalBytes(commit.hash, commitHash))
      throw new UplinkError(
        'UPLINK_BAD_RECEIPT',
        `the receipt for commit ${sequence} is for a commit that this folder did not make; tell central IT`,
      );
    const header = decodeCommitHeader(decodeSignedCommit(commit.bytes).header);
    const { receipt, lacking } = judgeReceipt(
      { ...frame, consistency: [] },
      { header, hash: commit.hash },
      head,
      this.#opening.collector,
    );
    if (sequence <= queue.outbox.receiptedSequence()) return;
    await queue.losses.record(sequence, lacking);
    await queue.outbox.receipted(frame.receipt, receipt);
    welcome.receipted();
    this.#receipts += 1;
    this.#versions += commit.entries;
  }
}

function sameHead(a: TreeHead, b: TreeHead): boolean {
  return a.logEpoch === b.logEpoch && a.size === b.size && equalBytes(a.root, b.root);
}

/**
 * As after a session: a problem that waiting does not solve is kept for everybody who looks (P6).
 */
async function keepProblem({ trust, clock }: CarryParts, error: unknown): Promise<void> {
  if (!(error instanceof UplinkError) || error.retryable) return;
  const problem: StandingProblem = {
    code: error.code,
    message: error.message,
    sinceMs: clock.nowMs(),
  };
  await trust.setProblem(problem);
}
