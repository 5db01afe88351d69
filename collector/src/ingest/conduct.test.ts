import { asAgentId, asVaultId } from '@aliquot/proto';
import { systemRandom } from '@aliquot/shared/ports';
import { expect, it } from 'vitest';
import { Front } from '../testing/front.ts';
import { Conduct } from './conduct.ts';

const vaultId = asVaultId(new Uint8Array(16).fill(1));
const agentId = asAgentId(new Uint8Array(16).fill(2));

it('P6 an agent that breaks the protocol is named for a day after the last time', () => {
  let nowMs = 1000;
  const conduct = new Conduct({ nowMs: () => nowMs });
  expect(conduct.problems(vaultId, agentId)).toEqual([]);
  conduct.of(vaultId, agentId).violated('INGEST_PROTOCOL', 'the session is authenticated already');
  conduct.of(vaultId, agentId).violated('FORMAT_LIMIT', 'too many ids');
  expect(conduct.problems(vaultId, agentId)).toMatchObject([
    { code: 'broke-protocol', sinceMs: 1000, message: expect.stringMatching(/2 times.*too many ids \(FORMAT_LIMIT\)/) },
  ]);
  nowMs += 24 * 3600 * 1000;
  expect(conduct.problems(vaultId, agentId)).toEqual([]);
});

it('P6 content that no commit ever names is told; what a commit names is not held against it', async () => {
  const front = await Front.open();
  try {
    const agent = await front.agent('hplc-1');
    const content = systemRandom.bytes(30_000);
    const { bytes } = agent.commitOf([{ path: '/data/a', bytes: content }]);
    const conduct = new Conduct(front.clock, 40_000);
    const noted = conduct.of(vaultId, agentId);
    noted.uploaded(content.length + 17);
    noted.committed(bytes);
    noted.uploaded(39_000);
    expect(conduct.problems(vaultId, agentId)).toEqual([]);
    noted.uploaded(1_000);
    expect(conduct.problems(vaultId, agentId)).toMatchObject([
      { code: 'uncommitted-uploads', message: expect.stringContaining('no commit') },
    ]);
    // A small commit does not wash a large upload away.
    noted.committed(bytes);
    noted.uploaded(30_000);
    expect(conduct.problems(vaultId, agentId)).toHaveLength(1);
  } finally {
    await front.close();
  }
});
