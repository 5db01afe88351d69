/**
 * The collector of tests, reached by hand instead of by the network. Nothing outside tests imports
 * this file.
 */
import {
  type CommitHash,
  decodeClientFrame,
  decodeReceiptBody,
  encodeFrame,
  encodeServerFrame,
  encodeSigned,
  type ServerFrame,
  splitCarriedFile,
  splitFrame,
  type TreeHead,
} from '@aliquot/proto';
import { carriedBytes } from '@aliquot/shared/carry/carried-file';
import { carriedBy, signCarried, verifyQuestion } from '@aliquot/shared/carry/statements';
import { hex } from '@aliquot/shared/crypto/bytes';
import type { SigningKey } from '@aliquot/shared/crypto/sign';
import type { TestCollector } from './test-collector.ts';

const noHead: TreeHead = { logEpoch: 0, size: 0, root: new Uint8Array(32) };

/**
 * Makes what is wrong with an answer: the frames behind question and certificate, before they are
 * signed.
 */
export type BendAnswer = (frames: readonly ServerFrame[]) => readonly ServerFrame[];

/** Takes a carried queue in, and gives the bytes of the receipts. */
export async function carryTo(
  collector: TestCollector,
  file: Uint8Array,
  bend: BendAnswer = (frames) => frames,
  key: SigningKey = collector.key,
): Promise<Uint8Array> {
  const { frames, trailer } = splitCarriedFile(file);
  const [first = new Uint8Array(), ...rest] = frames;
  const question = decodeClientFrame(splitFrame(first).header);
  if (question.type !== 'auth') throw new Error('no question');
  const { authorityKey, vaultId } = collector.vault.descriptor;
  const agent = verifyQuestion(question, authorityKey, vaultId);
  if (!carriedBy('queue', agent.binding.signKey, trailer))
    throw new Error('not signed by the agent');
  const answers: ServerFrame[] = [];
  for (const bytes of rest) {
    const { header, body } = splitFrame(bytes);
    const reply = (frame: ServerFrame): number => answers.push(frame);
    await collector.answer(decodeClientFrame(header), body.slice(), {
      agent,
      chainId: hex(question.chainId),
      proved: noHead,
      reply,
    });
  }
  const told: ServerFrame[] = [];
  const head = await collector.ready(question, (frame) => told.push(frame));
  const [ready] = told;
  if (ready?.type !== 'ready') throw new Error('no ready');
  const log = await collector.log();
  for (const answer of answers) {
    if (answer.type !== 'receipt') continue;
    const { leafIndex } = decodeReceiptBody(answer.receipt.body);
    const inclusion = await log.inclusionProof(leafIndex, head.size);
    told.push({ ...answer, inclusion, consistency: [], head: ready.head });
  }
  const all = [
    first,
    encodeSigned(collector.certificate),
    ...bend(told).map((frame) => encodeFrame(encodeServerFrame(frame))),
  ];
  const pieces: Uint8Array[] = [];
  for await (const piece of carriedBytes('receipts', inOrder(all), (digest) =>
    signCarried('receipts', key, digest),
  ))
    pieces.push(piece);
  return new Uint8Array(Buffer.concat(pieces));
}

async function* inOrder(frames: readonly Uint8Array[]): AsyncGenerator<Uint8Array, void, void> {
  yield* frames;
}

/** Another commit's hash, for lies. */
export const NOBODYS_HASH = new Uint8Array(32).fill(1) as CommitHash;
