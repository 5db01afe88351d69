import {
  decodeBlock,
  decodeSignedCommit,
  encodeBlockClear,
  encodeSignedCommit,
  type SignedCommit,
  type StateRecord,
} from '@aliquot/proto';
import { blockClearHashes } from '@aliquot/shared/commit/block-open';
import { withoutVersions } from '@aliquot/shared/commit/loss';
import { blockMarks } from '@aliquot/shared/commit/summary';
import { boxKeyFromSecret } from '@aliquot/shared/crypto/box';
import { labelled, sha256 } from '@aliquot/shared/crypto/primitives';
import type { SigningKey } from '@aliquot/shared/crypto/sign';
import type { OpenKit } from '@aliquot/shared/keys/kit';
import { LogTimes } from '@aliquot/shared/log/log-times';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { describe, expect, onTestFinished, test } from 'vitest';
import { content, StoreWorld } from '../../testing/store/world.ts';
import { StoredVault } from '../store/stored-vault.ts';
import { openVersions } from './verified.ts';

/** Every row as if it had been purged: that needs no key. */
function purged(commit: SignedCommit): SignedCommit {
  const blocks = commit.blocks.map((one) => {
    const { listBox, readBox, block } = one;
    const hashes = blockClearHashes(decodeBlock(block));
    const leaf = content('leaf', 32);
    const rows = hashes.map((clearHash, number) => ({ number, clearHash, leaf }));
    const { clear } = encodeBlockClear({
      ...{ count: rows.length, purged: rows, rows: [] },
      isKeyedSingly: () => true,
    });
    const formerDigest = sha256(labelled('aliquot/v1/commit-block'), listBox, readBox, block);
    const formerMarks = blockMarks(decodeBlock(block));
    return { ...one, block: clear, formerDigest, formerMarks };
  });
  return { ...commit, blocks };
}

describe('P6 what a collector lists and does not give', () => {
  test.each<[string, (commit: SignedCommit, agent: { signKey: SigningKey }) => SignedCommit]>([
    [
      'as lost by nobody’s word',
      (commit) => ({ ...commit, lacking: [0, 1], lossSignature: content('forged', 64) }),
    ],
    [
      'as lost by its agent’s key, after its receipt',
      (commit, { signKey }) =>
        decodeSignedCommit(withoutVersions(encodeSignedCommit(commit), [0, 1], signKey)),
    ],
    ['as purged', purged],
  ])('is named: %s', async (_, change) => {
    const world = new StoreWorld();
    const store = await StoredVault.inFolder(temporaryFolder(), world.identity, world.ports());
    onTestFinished(() => store.close());
    await store.events.append(world.vaultAdded());
    const agent = await world.agent(store, 'hplc-1');
    await agent.back(store, agent.small({ '/d/a': content('a'), '/d/b': content('b') }));
    const kit: Pick<OpenKit, 'descriptor' | 'authority' | 'vaultKey'> = {
      descriptor: world.descriptor,
      authority: world.authority,
      vaultKey: boxKeyFromSecret(world.kit.vaultSecretKey),
    };
    const named = async (
      change: (commit: SignedCommit, from: typeof agent) => SignedCommit,
    ): Promise<number> => {
      async function* records(): AsyncGenerator<StateRecord> {
        for await (const record of store.reading.state(agent.lineageId, undefined)) {
          const commit = encodeSignedCommit(change(decodeSignedCommit(record.commit), agent));
          yield { ...record, commit };
        }
      }
      let count = 0;
      const watch = { onUnopened: () => undefined };
      const { certificate } = store;
      for await (const _ of openVersions(
        records(),
        { kit: kit as OpenKit, collector: certificate, times: LogTimes.asRecorded },
        { ...agent, enrolment: agent.enrolmentBody },
        watch,
      ))
        count += 1;
      return count;
    };
    expect(await named((commit) => commit)).toBe(2);
    await expect(named(change)).rejects.toMatchObject({ code: 'COMMAND_UNVERIFIED' });
  });
});
