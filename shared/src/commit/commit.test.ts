import {
  asAgentId,
  asChainId,
  asCommitHash,
  asVaultId,
  blockRow,
  type CommitBlock,
  type CommitHeader,
  decodeBlock,
  decodeCommitHeader,
  decodeSignedCommit,
  encodeCommitHeader,
  encodeSignedCommit,
  type SignedCommit,
} from '@aliquot/proto';
import { describe, expect, it } from 'vitest';
import { flipped, noise, repeatableRandom, toHex } from '../../testing/bytes.ts';
import { CHAIN, fileDraft, testAgent, testVault } from '../../testing/vault.ts';
import { labelled, sha256 } from '../crypto/primitives.ts';
import { sign } from '../crypto/sign.ts';
import { openBlock } from './block-open.ts';
import { withoutRows } from './block-purge.ts';
import { sealDrafts } from './block-seal.ts';
import {
  buildCommit,
  type CommitExpectation,
  type CommitInput,
  commitHash,
  NO_PREDECESSOR,
  verifyCommit,
} from './commit.ts';
import { type CommitRecipient, openCommitKeys } from './keys.ts';
import { lostCommit, withoutVersions } from './loss.ts';
import { openNames } from './open-names.ts';
import { type CommitRows, rowsIn } from './rows.ts';
import { blockMarks } from './summary.ts';

const vault = testVault('ours');
const agent = testAgent(vault, 'lc-1');
const stranger = testAgent(vault, 'lc-2');
const { vaultId } = vault.descriptor;
/** Its bytes are no block, or not the ones that were signed. */
const refused = expect.objectContaining({
  code: expect.stringMatching(/^(COMMIT_ENTR(IES|Y_COUNT)|FORMAT_\w+)$/),
});
const code = (expected: string) => expect.objectContaining({ code: expected });

const recipients: CommitRecipient[] = [
  { recipient: 'vault', key: vault.vaultKey.publicKey },
  { recipient: 'catalog', key: vault.catalogKey.publicKey },
];
const drafts = ['/data/a.raw', '/data/b.raw', '/data/c.raw'].map((path) => fileDraft(path));

const random = repeatableRandom('commits');
/** One row each, so that blocks are what entries were. */
const blocks = drafts.flatMap((draft) => sealDrafts([draft], random));

function input(change: Partial<CommitInput> = {}): CommitInput {
  return {
    vaultId,
    agentId: agent.certificate.binding.agentId,
    chainId: CHAIN,
    sequence: 1,
    predecessor: NO_PREDECESSOR,
    agentTimeMs: 1_700_000_002_000,
    treeHead: { logEpoch: 1, size: 4, root: noise('root', 32) },
    chunkerVersion: 1,
    encoderVersion: 1,
    forkedFrom: undefined,
    blocks,
    recipients,
    signKey: agent.signKey,
    ...change,
  };
}

const expected: CommitExpectation = {
  vaultId,
  agent: agent.certificate,
  firstSubmission: true,
  recipients,
};
const built = buildCommit(input(), random);
const commit = decodeSignedCommit(built.bytes);

/** The commit with parts replaced and its signature kept. */
const changed = (change: Partial<SignedCommit>): Uint8Array =>
  encodeSignedCommit({ ...commit, ...change });
/** The commit with another header, signed by whoever. */
const resigned = (change: Partial<CommitHeader>, key = agent.signKey): Uint8Array => {
  const header = encodeCommitHeader({ ...built.header, ...change });
  return changed({ header, signature: sign(key, 'aliquot/v1/commit', header).signature });
};
/** The blocks, one of them sealed anew without its row, as a purge leaves it. */
const purged = (index: number): CommitBlock[] =>
  commit.blocks.map((one, at) => {
    const made = blocks[at];
    if (at !== index || made === undefined) return one;
    const open = openBlock(decodeBlock(one.block), made);
    const { bytes } = withoutRows(open, new Set([0]), random);
    return { ...one, ...formerly(one), block: bytes };
  });
const formerly = ({ block, listBox, readBox }: CommitBlock) => ({
  formerDigest: sha256(labelled('aliquot/v1/commit-block'), listBox, readBox, block),
  formerMarks: blockMarks(decodeBlock(block)),
});

describe('a commit', () => {
  it('verifies, and opens to what went in for vault and catalog', () => {
    const verified = verifyCommit(built.bytes, expected);
    expect(verified.header).toEqual(built.header);
    expect(verified.hash).toEqual(built.hash);
    const forVault = openCommitKeys(verified.wraps, vault.vaultKey, 'vault', verified.header);
    const forCatalog = openCommitKeys(verified.wraps, vault.catalogKey, 'catalog', verified.header);
    expect(forCatalog.readKey).toBeUndefined();
    expect(forCatalog.listKey).toEqual(forVault.listKey);
    const reader = { key: vault.vaultKey, recipient: 'vault' } as const;
    const named = [...openNames(verified, rowsIn(verified.rows), reader, () => undefined)];
    expect(named.map(({ list }) => list)).toEqual(drafts.map(({ list }) => list));
    expect(named.map(({ read }) => read())).toEqual(drafts.map(({ read }) => read));
  });

  it('has a hash over its header alone', () => {
    expect(built.hash).toEqual(commitHash(commit.header));
    expect(
      verifyCommit(changed({ wraps: [] }), { vaultId, agent: agent.certificate }).hash,
    ).toEqual(built.hash);
  });

  it('P4: is opened by no key of the agent that made it, unless self-restore asks for that', () => {
    expect(() => openCommitKeys(commit.wraps, agent.boxKey, 'agent', built.header)).toThrow(
      code('COMMIT_NO_WRAP'),
    );
    expect(() => openCommitKeys(commit.wraps, agent.boxKey, 'vault', built.header)).toThrow(
      code('COMMIT_NO_WRAP'),
    );
    const own = buildCommit(
      input({ recipients: [...recipients, { recipient: 'agent', key: agent.boxKey.publicKey }] }),
      random,
    );
    const { wraps } = decodeSignedCommit(own.bytes);
    expect(openCommitKeys(wraps, agent.boxKey, 'agent', own.header).readKey).toHaveLength(32);
    expect(() => openCommitKeys(wraps, stranger.boxKey, 'agent', own.header)).toThrow(
      code('COMMIT_NO_WRAP'),
    );
  });

  it('has other keys than any other commit', () => {
    const again = buildCommit(input(), random);
    const keysOf = ({ bytes, header }: typeof built) =>
      openCommitKeys(decodeSignedCommit(bytes).wraps, vault.vaultKey, 'vault', header);
    expect(keysOf(again)).not.toEqual(keysOf(built));
  });

  it('has wraps that open at its own place only', () => {
    for (const place of [
      { ...built.header, sequence: 2 },
      { ...built.header, chainId: asChainId(noise('another chain', 16)) },
      { ...built.header, agentId: stranger.certificate.binding.agentId },
      { ...built.header, vaultId: asVaultId(noise('another vault', 16)) },
    ]) {
      expect(() => openCommitKeys(commit.wraps, vault.vaultKey, 'vault', place)).toThrow(
        code('WRAP_CORRUPT'),
      );
    }
  });

  it('opens by a good wrap though a broken one was added before it', () => {
    const broken = commit.wraps.map((wrap) => ({ ...wrap, box: flipped(wrap.box, 20) }));
    const keys = openCommitKeys(
      [...broken, ...commit.wraps],
      vault.vaultKey,
      'vault',
      built.header,
    );
    expect(keys).toEqual(openCommitKeys(commit.wraps, vault.vaultKey, 'vault', built.header));
    expect(() => openCommitKeys(broken, vault.vaultKey, 'vault', built.header)).toThrow(
      code('WRAP_CORRUPT'),
    );
  });

  it('carries on a chain by its predecessor, and a frozen chain by its fork point', () => {
    const next = buildCommit(input({ sequence: 2, predecessor: built.hash }), random);
    expect(verifyCommit(next.bytes, expected).header.predecessor).toEqual(built.hash);
    const forkedFrom = { chainId: asChainId(noise('frozen', 16)), sequence: 7, hash: built.hash };
    const fork = buildCommit(input({ forkedFrom }), random);
    expect(verifyCommit(fork.bytes, expected).header.forkedFrom).toEqual(forkedFrom);
  });

  it('is not built when sequence, predecessor and fork point contradict each other', () => {
    expect(() => buildCommit(input({ sequence: 2 }), random)).toThrow(code('FORMAT_MALFORMED'));
    expect(() => buildCommit(input({ predecessor: built.hash }), random)).toThrow(
      code('FORMAT_MALFORMED'),
    );
    expect(() =>
      buildCommit(input({ forkedFrom: { chainId: CHAIN, sequence: 7, hash: built.hash } }), random),
    ).toThrow(code('COMMIT_CHAIN'));
  });
});

describe('P5: a commit that was touched', () => {
  it('with any byte of its header or signature changed is refused', () => {
    for (let at = 0; at < commit.header.length; at += 1) {
      expect(() =>
        verifyCommit(changed({ header: flipped(commit.header, at, at % 8) }), expected),
      ).toThrow(code('COMMIT_SIGNATURE'));
    }
    for (let at = 0; at < commit.signature.length; at += 1) {
      expect(() =>
        verifyCommit(changed({ signature: flipped(commit.signature, at, at % 8) }), expected),
      ).toThrow(code('COMMIT_SIGNATURE'));
    }
  });

  it('with any byte of a block or of its keys changed is refused', () => {
    const [first, ...rest] = commit.blocks;
    if (first === undefined) throw new Error('a block was expected');
    for (let at = 0; at < first.block.length; at += 5) {
      const touched = [{ ...first, block: flipped(first.block, at) }, ...rest];
      expect(() => verifyCommit(changed({ blocks: touched }), expected)).toThrow(refused);
    }
    for (const part of ['listBox', 'readBox', 'root'] as const) {
      const touched = [{ ...first, [part]: flipped(first[part], 3) }, ...rest];
      expect(() => verifyCommit(changed({ blocks: touched }), expected)).toThrow(
        code('COMMIT_ENTRIES'),
      );
    }
  });

  it.each<[string, (all: readonly CommitBlock[]) => CommitBlock[], string]>([
    ['dropped', (all) => all.slice(1), 'COMMIT_ENTRY_COUNT'],
    ['added', (all) => [...all, ...all.slice(0, 1)], 'COMMIT_ENTRY_COUNT'],
    ['reordered', (all) => [...all].reverse(), 'COMMIT_ENTRIES'],
    [
      'repeated in the place of another',
      (all) => all.flatMap((one, index) => (index === 1 ? all.slice(0, 1) : [one])),
      'COMMIT_ENTRIES',
    ],
    [
      'said to be purged that is whole',
      (all) => all.map((one) => ({ ...one, ...formerly(one) })),
      'FORMAT_MALFORMED',
    ],
    [
      'purged by somebody who made up its row',
      () =>
        purged(0).map((one, at) => {
          // The clear hash stands behind the head and one byte of marks.
          return at === 0 ? { ...one, block: flipped(one.block, 25) } : one;
        }),
      'COMMIT_ENTRIES',
    ],
  ])('with a block %s is refused', (_, change, refusal) => {
    expect(() =>
      verifyCommit(changed({ blocks: change(commit.blocks) }), {
        vaultId,
        agent: agent.certificate,
      }),
    ).toThrow(code(refusal));
  });

  it('with wraps changed, dropped, added or reordered is refused when it is submitted', () => {
    const [first, ...rest] = commit.wraps;
    if (first === undefined) throw new Error('wraps were expected');
    for (const wraps of [
      [{ ...first, box: flipped(first.box, 0) }, ...rest],
      rest,
      [...commit.wraps, first],
      [...rest, first],
      [],
    ]) {
      expect(() => verifyCommit(changed({ wraps }), expected)).toThrow(code('COMMIT_WRAPS'));
      verifyCommit(changed({ wraps }), { vaultId, agent: agent.certificate });
    }
  });

  it.each<[string, Uint8Array, string]>([
    [
      'of another vault',
      resigned({ vaultId: asVaultId(noise('another', 16)) }),
      'COMMIT_OTHER_VAULT',
    ],
    [
      'in the name of another agent',
      resigned({ agentId: asAgentId(noise('another', 16)) }),
      'COMMIT_OTHER_AGENT',
    ],
    ['with another count', resigned({ entryCount: 4 }), 'COMMIT_ENTRY_COUNT'],
    [
      'with another entries root',
      resigned({ entriesRoot: noise('another', 32) }),
      'COMMIT_ENTRIES',
    ],
    ['with another summary', resigned({ summaryHash: noise('another', 32) }), 'COMMIT_ENTRIES'],
    ['with another wraps hash', resigned({ wrapsHash: noise('another', 32) }), 'COMMIT_WRAPS'],
    [
      'that forks from itself',
      resigned({ forkedFrom: { chainId: CHAIN, sequence: 1, hash: asCommitHash(noise('h', 32)) } }),
      'COMMIT_CHAIN',
    ],
    ['signed by another agent', resigned({}, stranger.signKey), 'COMMIT_SIGNATURE'],
  ])('%s is refused', (_, bytes, refusal) => {
    expect(() => verifyCommit(bytes, expected)).toThrow(code(refusal));
  });

  it('is refused when a signature of another purpose is put on it', () => {
    const { signature } = sign(agent.signKey, 'aliquot/v1/heartbeat', commit.header);
    expect(() => verifyCommit(changed({ signature }), expected)).toThrow(code('COMMIT_SIGNATURE'));
  });

  it('without a wrap for the vault or the catalog is refused when it is submitted', () => {
    for (const recipient of recipients) {
      const lacking = buildCommit(
        input({ recipients: recipients.filter((other) => other !== recipient) }),
        random,
      );
      expect(() => verifyCommit(lacking.bytes, expected)).toThrow(code('COMMIT_RECIPIENT'));
    }
    const foreign = buildCommit(
      input({
        recipients: recipients.map(({ recipient }) => ({
          recipient,
          key: stranger.boxKey.publicKey,
        })),
      }),
      random,
    );
    expect(() => verifyCommit(foreign.bytes, expected)).toThrow(code('COMMIT_RECIPIENT'));
  });
});

/** By slot: whether its version is not there, as rows and columns both say. */
function lackingIn(rows: CommitRows): boolean[] {
  const lacking = Array.from({ length: rows.count }, (_, slot) => rows.entry(slot) === undefined);
  const shown = new Map<number, unknown>();
  rows.each((block, place, slot) => void shown.set(slot, blockRow(block, place)));
  for (const [slot, isLacking] of lacking.entries())
    expect(shown.get(slot)).toEqual(isLacking ? undefined : rows.entry(slot));
  return lacking;
}

describe('a commit from which something was purged', () => {
  const later: CommitExpectation = { vaultId, agent: agent.certificate };

  it.each([0, 1, 2])(
    'verifies with entry %i replaced by its hash, and keeps its own hash',
    (index) => {
      const verified = verifyCommit(changed({ blocks: purged(index) }), later);
      expect(verified.hash).toEqual(built.hash);
      expect(lackingIn(verified.rows)).toEqual(commit.blocks.map((_, at) => at === index));
    },
  );

  it('verifies by its header alone', () => {
    const verified = verifyCommit(changed({ blocks: [], wraps: [], headerOnly: true }), later);
    expect(verified).toMatchObject({ hash: built.hash, headerOnly: true });
    expect(verified.rows.count).toBe(0);
    expect(verified.header).toEqual(decodeCommitHeader(commit.header));
  });

  it('is refused when it is submitted like that', () => {
    expect(() => verifyCommit(changed({ blocks: purged(1) }), expected)).toThrow(
      code('COMMIT_INCOMPLETE'),
    );
    expect(() =>
      verifyCommit(changed({ blocks: [], wraps: [], headerOnly: true }), expected),
    ).toThrow(code('COMMIT_INCOMPLETE'));
  });

  it('P5: says which of its versions are lost, as its agent signed it and nobody else', () => {
    const lacking = withoutVersions(built.bytes, [1], agent.signKey);
    const verified = verifyCommit(lacking, expected);
    expect(verified).toMatchObject({ hash: built.hash, lostVersions: 1, loss: { lacking: [1] } });
    expect(verified.rows.lacking).toBe(1);
    expect(lackingIn(verified.rows)).toEqual([false, true, false]);
    const beyond = withoutVersions(built.bytes, [1, 3], agent.signKey);
    expect(() => verifyCommit(beyond, expected)).toThrow(code('COMMIT_LOSS'));
    const { lossSignature } = decodeSignedCommit(lacking);
    for (const other of [
      withoutVersions(built.bytes, [1], stranger.signKey),
      // Taken for another loss, and for the loss of all.
      changed({ lacking: [0], lossSignature }),
      changed({ lacking: [0, 1], lossSignature }),
      changed({ blocks: [], wraps: [], headerOnly: true, lossSignature }),
    ])
      for (const firstSubmission of [true, false])
        expect(() => verifyCommit(other, { ...expected, firstSubmission })).toThrow(
          code('COMMIT_LOSS'),
        );
    expect(() => verifyCommit(changed({ blocks: purged(1) }), expected)).toThrow(
      code('COMMIT_INCOMPLETE'),
    );
    const unwrapped = changed({ lacking: [1], lossSignature, wraps: commit.wraps.slice(1) });
    expect(() => verifyCommit(unwrapped, expected)).toThrow(code('COMMIT_WRAPS'));
  });

  it('P5: is taken without anything but its header when its agent says that all of it is lost', () => {
    const { header, signature } = commit;
    const lost = lostCommit({ header, signature }, agent.signKey);
    const verified = verifyCommit(lost, expected);
    expect(verified).toMatchObject({ hash: built.hash, headerOnly: true, loss: { lacking: [] } });
    expect(verified.lostVersions).toBe(3);
    expect(verified.loss?.hash).not.toEqual(built.hash);
    expect(() =>
      verifyCommit(lostCommit({ header, signature }, stranger.signKey), expected),
    ).toThrow(code('COMMIT_LOSS'));
  });

  it('P3: holds nothing of the purged entry', () => {
    const [one] = commit.blocks;
    if (one === undefined) throw new Error('a block was expected');
    const { list, read, ids } = decodeBlock(one.block);
    const left = toHex(changed({ blocks: purged(0) }));
    for (const part of [list.subarray(0, 30), read.subarray(0, 30), ids])
      expect(left.includes(toHex(part))).toBe(false);
  });
});
