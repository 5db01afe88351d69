import { NO_PREDECESSOR, verifyCommit } from '@aliquot/shared/commit/commit';
import { rowsIn } from '@aliquot/shared/commit/rows';
import { resultIdFor } from '@aliquot/shared/keys/derive';
import { FIXTURE_TIME_MS, seededRandom } from '@aliquot/shared/testing/keys/fixtures';
import { expect, it } from 'vitest';
import { sampleSlab } from '../../testing/queue/support.ts';
import { testIdentity } from '../../testing/uplink/test-agent.ts';
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
    drafts,
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
