import {
  asAgentId,
  asChainId,
  asCollectorId,
  asCommitHash,
  asVaultId,
  type CommitHeader,
  decodeLogLeaf,
  encodeEventBody,
  type ReceiptBody,
  type TreeHeadBody,
} from '@aliquot/proto';
import { describe, expect, it } from 'vitest';
import { flipped, noise } from '../../testing/bytes.ts';
import { testVault } from '../../testing/vault.ts';
import { sign } from '../crypto/sign.ts';
import { leafHash } from './hashing.ts';
import { commitLeaf, eventLeaf, receiptLeafHash } from './leaf.ts';
import { MemoryHashStore, MerkleLog } from './merkle.ts';
import {
  requireReceiptFor,
  signHead,
  signReceipt,
  verifyHead,
  verifyReceipt,
  verifyReceiptInclusion,
} from './receipt.ts';

const vault = testVault('ours');
const { collector, collectorKey } = vault;
const { vaultId, collectorId } = collector;
const code = (refusal: string) => expect.objectContaining({ code: refusal });
const place = {
  agentId: asAgentId(noise('agent', 16)),
  chainId: asChainId(noise('chain', 16)),
  sequence: 3,
};
const commitHash = asCommitHash(noise('commit', 32));
const RECEIVED_AT_MS = 1_700_000_005_000;

const receipt: ReceiptBody = {
  version: 1,
  vaultId,
  collectorId,
  ...place,
  commitHash,
  receivedAtMs: RECEIVED_AT_MS,
  leafIndex: 8,
  head: { logEpoch: 1, size: 9, root: noise('root', 32) },
  copies: 1,
  lossHash: undefined,
};
const head: TreeHeadBody = {
  version: 1,
  vaultId,
  collectorId,
  timeMs: RECEIVED_AT_MS,
  head: receipt.head,
};

const confirmed = (heldMs: number): Uint8Array =>
  encodeEventBody({ type: 'clockConfirmed', timeMs: 5, heldMs });

describe('a receipt', () => {
  const signed = signReceipt(collectorKey, receipt);

  it('is believed from the certified collector', () => {
    expect(verifyReceipt(signed, collector)).toEqual(receipt);
  });

  it('P1: is refused with any byte changed, from another key, or when it is really a tree head', () => {
    for (let at = 0; at < signed.body.length; at += 1) {
      expect(() => verifyReceipt({ ...signed, body: flipped(signed.body, at) }, collector)).toThrow(
        code('LOG_SIGNATURE'),
      );
    }
    expect(() =>
      verifyReceipt(signReceipt(testVault('theirs').collectorKey, receipt), collector),
    ).toThrow(code('LOG_SIGNATURE'));
    expect(() =>
      verifyReceipt(sign(collectorKey, 'aliquot/v1/tree-head', signed.body), collector),
    ).toThrow(code('LOG_SIGNATURE'));
  });

  it('is refused for another vault or in the name of another collector', () => {
    const forVault = signReceipt(collectorKey, {
      ...receipt,
      vaultId: asVaultId(noise('other', 16)),
    });
    const forCollector = signReceipt(collectorKey, {
      ...receipt,
      collectorId: asCollectorId(noise('other', 16)),
    });
    expect(() => verifyReceipt(forVault, collector)).toThrow(code('LOG_OTHER_ISSUER'));
    expect(() => verifyReceipt(forCollector, collector)).toThrow(code('LOG_OTHER_ISSUER'));
  });

  it('is not signed when its head is not the one just after its leaf', () => {
    expect(() => signReceipt(collectorKey, { ...receipt, leafIndex: 9 })).toThrow(
      code('FORMAT_MALFORMED'),
    );
    expect(() => signReceipt(collectorKey, { ...receipt, leafIndex: 7 })).toThrow(
      code('FORMAT_MALFORMED'),
    );
  });

  it('answers exactly one commit', () => {
    const header = { ...place } as CommitHeader;
    const commit = { header, hash: commitHash, lossHash: undefined };
    requireReceiptFor(receipt, commit);
    const loss = noise('loss', 32);
    requireReceiptFor({ ...receipt, lossHash: loss }, { ...commit, lossHash: loss });
    for (const other of [
      { ...commit, hash: asCommitHash(noise('other', 32)) },
      { ...commit, header: { ...header, sequence: 4 } },
      { ...commit, header: { ...header, agentId: asAgentId(noise('x', 16)) } },
      { ...commit, header: { ...header, chainId: asChainId(noise('x', 16)) } },
      { ...commit, lossHash: loss },
    ])
      expect(() => requireReceiptFor(receipt, other)).toThrow(code('LOG_OTHER_COMMIT'));
    expect(() => requireReceiptFor({ ...receipt, lossHash: loss }, commit)).toThrow(
      code('LOG_OTHER_COMMIT'),
    );
  });

  it('P5: is proved by the log that really has its leaf, and by no other', async () => {
    const log = await MerkleLog.open(new MemoryHashStore());
    await log.append(
      Array.from({ length: 8 }, (_, index) => leafHash(eventLeaf(confirmed(index), index))),
    );
    await log.append([
      leafHash(commitLeaf(receipt.agentId, commitHash, RECEIVED_AT_MS, undefined)),
    ]);
    await log.append([leafHash(eventLeaf(confirmed(99), 99))]);
    const proof = await log.inclusionProof(receipt.leafIndex, log.size);
    const now = { size: log.size, root: log.root };
    verifyReceiptInclusion(receipt, now, proof);
    expect(() =>
      verifyReceiptInclusion({ ...receipt, receivedAtMs: RECEIVED_AT_MS + 1 }, now, proof),
    ).toThrow(code('LOG_INCLUSION'));
    expect(() => verifyReceiptInclusion({ ...receipt, leafIndex: 7 }, now, proof)).toThrow(
      code('LOG_INCLUSION'),
    );
    expect(() =>
      verifyReceiptInclusion(receipt, { ...now, root: noise('other', 32) }, proof),
    ).toThrow(code('LOG_INCLUSION'));
  });
});

describe('a tree head', () => {
  it('is believed from the certified collector of its vault, and from nobody else', () => {
    const signed = signHead(collectorKey, head);
    expect(verifyHead(signed, collector)).toEqual(head);
    for (let at = 0; at < signed.body.length; at += 1) {
      expect(() => verifyHead({ ...signed, body: flipped(signed.body, at) }, collector)).toThrow(
        code('LOG_SIGNATURE'),
      );
    }
    expect(() => verifyHead(signHead(testVault('theirs').collectorKey, head), collector)).toThrow(
      code('LOG_SIGNATURE'),
    );
    const forVault = signHead(collectorKey, { ...head, vaultId: asVaultId(noise('other', 16)) });
    expect(() => verifyHead(forVault, collector)).toThrow(code('LOG_OTHER_ISSUER'));
  });
});

describe('a leaf', () => {
  it('is one for each time, kind, subject and agent', () => {
    const event = noise('event', 32);
    const signed = { body: noise('body', 20), signature: noise('signature', 64) };
    const corrected = { type: 'clockCorrected', timeMs: 1, correction: signed } as const;
    const hashes = [
      receiptLeafHash(receipt),
      receiptLeafHash({ ...receipt, receivedAtMs: 1 }),
      leafHash(eventLeaf(confirmed(1), RECEIVED_AT_MS)),
      leafHash(eventLeaf(confirmed(2), RECEIVED_AT_MS)),
      leafHash(eventLeaf(encodeEventBody(corrected), RECEIVED_AT_MS)),
      leafHash(commitLeaf(receipt.agentId, asCommitHash(event), RECEIVED_AT_MS, undefined)),
      leafHash(commitLeaf(asAgentId(noise('other', 16)), commitHash, RECEIVED_AT_MS, undefined)),
      receiptLeafHash({ ...receipt, lossHash: noise('loss', 32) }),
    ];
    expect(new Set(hashes.map((hash) => hash.join())).size).toBe(hashes.length);
    // Who walks over leaves sees that one corrects times.
    expect(decodeLogLeaf(eventLeaf(encodeEventBody(corrected), 1)).type).toBe('correction');
    expect(decodeLogLeaf(eventLeaf(confirmed(1), 1)).type).toBe('event');
  });
});
