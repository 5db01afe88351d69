import { asFileId, decodeSignedCommit, encodeSignedCommit } from '@aliquot/proto';
import { sealDrafts } from '@aliquot/shared/commit/block-seal';
import { buildCommit, NO_PREDECESSOR } from '@aliquot/shared/commit/commit';
import { goneOf, type HeldBlock } from '@aliquot/shared/commit/held-block';
import { readCommit } from '@aliquot/shared/commit/rows';
import { noise, repeatableRandom } from '@aliquot/shared/testing/bytes';
import { CHAIN, fileDraft, testAgent, testVault } from '@aliquot/shared/testing/vault';
import { expect, test } from 'vitest';
import { OwnNewest } from './own-newest.ts';

const vault = testVault('ours');
const agent = testAgent(vault, 'lc-1');
const random = repeatableRandom('own newest');

const fileId = asFileId(noise('the file', 16));
/** Two versions of a file, each in a block of its own. */
const blocks = ['/a, older', '/a, newer'].flatMap((path) =>
  sealDrafts([fileDraft(path, { fileId })], random),
);
const { bytes, hash } = buildCommit(
  {
    ...{ vaultId: vault.descriptor.vaultId, agentId: agent.certificate.binding.agentId },
    ...{ chainId: CHAIN, sequence: 1, predecessor: NO_PREDECESSOR, forkedFrom: undefined },
    ...{ agentTimeMs: 5, treeHead: { logEpoch: 1, size: 4, root: noise('root', 32) } },
    ...{ chunkerVersion: 1, encoderVersion: 1, blocks, signKey: agent.signKey },
    recipients: [{ recipient: 'vault', key: vault.vaultKey.publicKey }],
  },
  random,
);

/** The commit as a collector shows it that has taken these blocks out. */
function without(...gone: readonly number[]): Uint8Array {
  const held = readCommit(bytes).rows.blocks;
  const all = decodeSignedCommit(bytes);
  const left = all.blocks.map((one, at) =>
    gone.includes(at) ? goneOf(held[at] as HeldBlock) : one,
  );
  return encodeSignedCommit({ ...all, blocks: left });
}

async function keptBack(shown: Uint8Array, live: readonly number[]): Promise<readonly number[]> {
  const own = { sequence: 1, hash, commit: bytes, isAfter: false };
  const queue = {
    outbox: {
      async *receiptedCommits() {
        yield own;
      },
    },
    chain: { present: () => ({ chainId: CHAIN, forkedFrom: undefined, inherited: false }) },
  };
  const newest = await OwnNewest.read(queue, agent, 0);
  newest?.saw(shown, live);
  const slots: number[] = [];
  for await (const { slots: some } of newest?.keptBack() ?? []) slots.push(...some);
  return slots;
}

test.each<[string, Uint8Array, readonly number[], readonly number[]]>([
  ['the newest shown', bytes, [1], []],
  ['the newest shown, and the one before it gone', without(0), [1], []],
  ['an older one of the same commit shown for it', bytes, [0], [1]],
  ['the newest taken out, and the older one shown for it', without(1), [0], [1]],
  ['all taken out', without(0, 1), [], [1]],
])('P5 what its own chain log has is the newest for a PC: %s', async (_, shown, live, missing) => {
  expect(await keptBack(shown, live)).toEqual(missing);
});
