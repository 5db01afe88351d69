import {
  decodeBlock,
  decodeSignedCommit,
  encodeBlockClear,
  encodeSignedCommit,
  type SignedCommit,
  type StateRecord,
} from '@aliquot/proto';
import { pathText } from '@aliquot/shared/cli/format';
import { blockClearHashes } from '@aliquot/shared/commit/block-open';
import { blockMarks } from '@aliquot/shared/commit/summary';
import { boxKeyFromSecret } from '@aliquot/shared/crypto/box';
import { labelled, sha256 } from '@aliquot/shared/crypto/primitives';
import { LogTimes } from '@aliquot/shared/log/log-times';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { describe, expect, onTestFinished, test } from 'vitest';
import { content, StoreWorld } from '../../testing/store/world.ts';
import { MemberTallies } from '../api/result-rows.ts';
import { StoredVault } from '../store/stored-vault.ts';
import { missingMembers } from './members.ts';
import { type ProvedVault, readerOf } from './open-vault.ts';
import { openResultVersions } from './verified.ts';

const ROOT = '/data/run.D';
/** The slot of the member that is not there any more. */
const GONE = 1;

/** The members' block as if all of them had been purged: that needs no key. */
function purged(commit: SignedCommit): SignedCommit {
  const [one, ...others] = commit.blocks;
  if (one === undefined) throw new Error('no block');
  const { listBox, readBox, block } = one;
  const leaf = content('leaf', 32);
  const rows = blockClearHashes(decodeBlock(block)).map((clearHash, number) => ({
    ...{ number, clearHash, leaf },
  }));
  const { clear } = encodeBlockClear({
    ...{ count: rows.length, purged: rows, rows: [] },
    isKeyedSingly: () => true,
  });
  const formerDigest = sha256(labelled('aliquot/v1/commit-block'), listBox, readBox, block);
  const formerMarks = blockMarks(decodeBlock(block));
  return { ...commit, blocks: [{ ...one, block: clear, formerDigest, formerMarks }, ...others] };
}

describe('P6 the members that a result lacks', () => {
  interface Case {
    readonly lacking?: readonly number[];
    readonly slots: readonly number[];
    readonly change: (commit: SignedCommit) => SignedCommit;
  }
  test.each<[string, Case, object]>([
    [
      'are named where their versions were lost',
      { lacking: [GONE], slots: [], change: (commit) => commit },
      { present: 2, missing: [`${ROOT}/b`] },
    ],
    [
      'are counted where they were purged, and their names with them',
      { slots: [0, 1, 2], change: purged },
      { present: 0, missing: [] },
    ],
  ])('%s', async (_, { lacking, slots, change }, expected) => {
    const world = new StoreWorld();
    const store = await StoredVault.inFolder(temporaryFolder(), world.identity, world.ports());
    onTestFinished(() => store.close());
    await store.events.append(world.vaultAdded());
    const agent = await world.agent(store, 'hplc-1');
    const files = Object.fromEntries(
      ['a', 'b', 'c'].map((name) => [`${ROOT}/${name}`, content(name)]),
    );
    const small = agent.small(files);
    const drafts = agent.membersOf(
      ROOT,
      small.map(({ draft }) => draft),
    );
    const members = small.map((file, at) => ({ ...file, draft: drafts[at] ?? file.draft }));
    await agent.back(store, members, { results: [agent.result(ROOT, drafts)], lacking });
    async function* changed(records: AsyncIterable<StateRecord>): AsyncGenerator<StateRecord> {
      for await (const record of records) {
        const commit = encodeSignedCommit(change(decodeSignedCommit(record.commit)));
        const kept = [...record.live.entries()].filter(([, slot]) => !slots.includes(slot));
        yield {
          ...{ ...record, commit, live: kept.map(([, slot]) => slot) },
          versionTimesMs: kept.map(([index]) => record.versionTimesMs[index] ?? 0),
        };
      }
    }
    const { reading } = store;
    const { lineageId } = agent;
    const open = {
      kit: {
        ...{ descriptor: world.descriptor, authority: world.authority },
        vaultKey: boxKeyFromSecret(world.kit.vaultSecretKey),
      },
      collector: store.certificate,
      vault: {
        reading: {
          members: () => changed(reading.state(lineageId, undefined)),
          everyVersion: () => changed(reading.everyVersion(lineageId)),
        },
      },
      proofs: { times: async () => LogTimes.asRecorded },
    } as unknown as ProvedVault;
    const certified = { ...agent, enrolment: agent.enrolmentBody };
    const watch = { onUnopened: () => undefined };
    const rows = changed(reading.results(lineageId, undefined));
    const reader = await readerOf(open);
    const tallies = new MemberTallies();
    for await (const result of openResultVersions(rows, reader, certified, watch)) {
      const place = { open, branchId: '', agent: certified, result };
      const told = await missingMembers(place, watch);
      const missing = told.missing.map(({ path }) => pathText(path));
      expect({ ...told, missing }).toEqual({ members: 3, ...expected });
      expect(tallies.told(result.line)).toMatchObject({ progress: 'open', missing: 3 });
      return;
    }
    throw new Error('no result');
  });
});
