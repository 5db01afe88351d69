import { asChunkId, type Ref } from '@aliquot/proto';
import { describe, expect, it } from 'vitest';
import { noise, ofHex, repeatableRandom, toHex } from '../../testing/bytes.ts';
import { CHAIN, fileDraft, testAgent, testVault } from '../../testing/vault.ts';
import { vectors } from '../../testing/vectors.ts';
import { buildContent, openPage } from '../content/pages.ts';
import { boxKeyFromSecret } from '../crypto/box.ts';
import { leafHash } from '../log/hashing.ts';
import { commitLeaf } from '../log/leaf.ts';
import { sealDrafts } from './block-seal.ts';
import { buildCommit, NO_PREDECESSOR, verifyCommit } from './commit.ts';
import { openNames } from './open-names.ts';

interface CommitVectors {
  readonly page: { id: string; key: string; plainSize: number; sealed: string };
  readonly commit: {
    vaultSecretKey: string;
    catalogSecretKey: string;
    agentPublicKey: string;
    hash: string;
    signed: string;
  };
  readonly leaf: { receivedAtMs: number; bytes: string; hash: string };
}

const frozen = vectors<CommitVectors>('commit-1');
const vault = testVault('ours');
const agent = testAgent(vault, 'lc-1');
const draft = fileDraft('/data/run/sample.raw');

describe('formats of version 1, frozen: what was written once can always be read, and is still written the same', () => {
  it('a page', () => {
    const { id, key, plainSize, sealed } = frozen.page;
    const items = Array.from({ length: 33 }, (_, index) => ({
      ref: { id: asChunkId(noise(`id ${index}`, 32)), plainSize: 1000 + index, epoch: 1 },
      key: noise(`key ${index}`, 32),
    }));
    const ref: Ref = { id: asChunkId(ofHex(id)), plainSize, epoch: 1 };
    const opened = openPage(vault.keys.vaultId, ref, ofHex(key), ofHex(sealed));
    expect(opened.content.refs).toEqual(items.map((item) => item.ref));
    expect(opened.keys).toEqual(items.map((item) => item.key));
    expect(toHex(buildContent(vault.keys, items).pages[0]?.sealed ?? ref.id)).toBe(sealed);
  });

  it('a commit', () => {
    const { hash, signed, vaultSecretKey, catalogSecretKey } = frozen.commit;
    const verified = verifyCommit(ofHex(signed), {
      vaultId: vault.keys.vaultId,
      agent: agent.certificate,
      firstSubmission: true,
    });
    expect(toHex(verified.hash)).toBe(hash);
    const opened = (key: string, recipient: 'vault' | 'catalog') => [
      ...openNames(
        verified,
        [{ slot: 0 }],
        { key: boxKeyFromSecret(ofHex(key)), recipient },
        ({ error }) => {
          throw error;
        },
      ),
    ];
    const [entry] = opened(vaultSecretKey, 'vault');
    expect(entry?.read()).toEqual(draft.read);
    expect(opened(catalogSecretKey, 'catalog').map(({ list }) => list)).toEqual([draft.list]);
    const {
      version: _,
      entryCount: _count,
      entriesRoot: _root,
      rowsHash: _rows,
      blocksHash: _blocks,
      wrapsHash: _wraps,
      summaryHash: _summary,
      ...fields
    } = verified.header;
    const recipients = [
      { recipient: 'vault', key: vault.vaultKey.publicKey },
      { recipient: 'catalog', key: vault.catalogKey.publicKey },
    ] as const;
    expect(fields).toMatchObject({ chainId: CHAIN, predecessor: NO_PREDECESSOR });
    const again = buildCommit(
      {
        ...fields,
        blocks: sealDrafts([draft], repeatableRandom('frozen blocks')),
        recipients,
        signKey: agent.signKey,
      },
      repeatableRandom('frozen commit'),
    );
    expect(toHex(again.bytes)).toBe(signed);
  });

  it('a leaf of the log', () => {
    const { receivedAtMs, bytes, hash } = frozen.leaf;
    const { hash: commit, header } = verifyCommit(ofHex(frozen.commit.signed), {
      vaultId: vault.keys.vaultId,
      agent: agent.certificate,
    });
    expect(toHex(commitLeaf(header.agentId, commit, receivedAtMs, undefined))).toBe(bytes);
    expect(toHex(leafHash(ofHex(bytes)))).toBe(hash);
  });
});
