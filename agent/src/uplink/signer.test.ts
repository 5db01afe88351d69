import type { EntryDraft } from '@aliquot/proto';
import { NO_PREDECESSOR, verifyCommit } from '@aliquot/shared/commit/commit';
import { checkResults, MemberSet } from '@aliquot/shared/commit/results';
import { readCommit, rowsIn } from '@aliquot/shared/commit/rows';
import { resultIdFor } from '@aliquot/shared/keys/derive';
import { FIXTURE_TIME_MS, seededRandom } from '@aliquot/shared/testing/keys/fixtures';
import { expect, it } from 'vitest';
import { sampleSlab } from '../../testing/queue/support.ts';
import { testIdentity } from '../../testing/uplink/test-agent.ts';
import type { ResultDraft } from '../queue/log/result-draft.ts';
import { commitSigner } from './signer.ts';

const names = ['/d/a.D/1', '/d/a.D/sub/2', '/d/b.D/1', '/d/plain', '/d/a.D/3', '/d/a.D'];
const roots = ['/d/a.D', '/d/a.D', '/d/b.D', undefined, '/d/a.D', '/d/a.D'];

it('a commit says of each member of a folder result to which it belongs, by the key of its root, and of no other file', () => {
  const identity = testIdentity('wss://127.0.0.1:1');
  const drafts = sampleSlab(names).map(({ draft }, at) => ({
    ...draft,
    list: { ...draft.list, resultPathLength: roots[at]?.length ?? 0 },
  }));
  const clock = { nowMs: () => FIXTURE_TIME_MS };
  const signer = commitSigner(identity, () => undefined, clock, seededRandom('signer'));
  const { bytes } = signer.sign({
    chainId: identity.chainId,
    sequence: 1,
    predecessor: NO_PREDECESSOR,
    forkedFrom: undefined,
    rows: drafts,
    results: new Map(),
  });
  const { rows } = verifyCommit(bytes, {
    vaultId: identity.descriptor.vaultId,
    agent: identity.certificate,
    firstSubmission: true,
  });
  const ids = [...rowsIn(rows)].map(({ entry }) => entry.resultId);
  expect(ids).toEqual(
    roots.map((root) =>
      root === undefined ? undefined : resultIdFor(identity.pathKey, Buffer.from(root)),
    ),
  );
  // Under another key the ids are others: who has none cannot tell which result it is.
  expect(ids[0]).not.toEqual(resultIdFor(new Uint8Array(32), Buffer.from('/d/a.D')));
});

it('I-A16 I-C16 a row whose members are not those before it is open, and no collector refuses it', () => {
  const identity = testIdentity('wss://127.0.0.1:1');
  const clock = { nowMs: () => FIXTURE_TIME_MS };
  const signer = commitSigner(identity, () => undefined, clock, seededRandom('signer'));
  const members = sampleSlab(names.slice(0, 2)).map(({ draft }) => ({
    ...draft,
    list: { ...draft.list, resultPathLength: '/d/a.D'.length },
  }));
  const row: ResultDraft = {
    ...{ kind: 'result', progress: 'closed', grade: 'assumed', members: 2, class: 'default' },
    ...{ sourceId: (members[0] as EntryDraft).sourceId, capturedAtMs: FIXTURE_TIME_MS },
    ...{ platform: 'posix', root: Buffer.from('/d/a.D'), versions: new Uint8Array() },
    evidence: { profile: 'folder', profileVersion: '1', evidence: '', started: '', ended: '' },
  };
  const signed = (here: number, lacks: boolean) => {
    const resultId = signer.resultIdOf(row.root);
    const { bytes } = signer.sign({
      chainId: identity.chainId,
      sequence: 1,
      predecessor: NO_PREDECESSOR,
      forkedFrom: undefined,
      rows: [...members, row],
      results: new Map([[2, { resultId, before: new MemberSet(), here, lacks }]]),
    });
    const { rows } = readCommit(bytes);
    expect(() => checkResults(rows)).not.toThrow();
    return rows.result(2);
  };
  expect(signed(2, false)).toMatchObject({ progress: 'closed', members: 2 });
  // A later version of one was lost before it was signed: the one before it is the newest again.
  expect(signed(1, true)).toMatchObject({ progress: 'open', members: 2 });
  // Nothing is known of one any more, and its version stands there all the same.
  expect(signed(1, false)).toMatchObject({ progress: 'open', members: 2 });
});
