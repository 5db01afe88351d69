import { asAgentId, asVaultId } from '@aliquot/proto';
import { expect, it } from 'vitest';
import { Conduct } from './conduct.ts';

const vaultId = asVaultId(new Uint8Array(16).fill(1));
const agentId = asAgentId(new Uint8Array(16).fill(2));

it('P6 an agent that breaks the protocol is named for a day after the last time', () => {
  let nowMs = 1000;
  const conduct = new Conduct({ nowMs: () => nowMs });
  expect(conduct.problems(vaultId, agentId)).toEqual([]);
  conduct
    .of(vaultId, agentId, 'hplc-1')
    .violated('INGEST_PROTOCOL', 'the session is authenticated already');
  conduct.of(vaultId, agentId, 'hplc-1').violated('FORMAT_LIMIT', 'too many ids');
  expect(conduct.problems(vaultId, agentId)).toMatchObject([
    {
      code: 'broke-protocol',
      sinceMs: 1000,
      message: expect.stringMatching(/2 times.*too many ids \(FORMAT_LIMIT\)/),
    },
  ]);
  nowMs += 24 * 3600 * 1000;
  expect(conduct.problems(vaultId, agentId)).toEqual([]);
});

it('P6 content that no commit ever names is told; what a commit names is not held against it', () => {
  const conduct = new Conduct({ nowMs: () => 1000 }, 40_000);
  const noted = conduct.of(vaultId, agentId, 'hplc-1');
  noted.uploaded(30_017);
  noted.committed(30_000);
  noted.uploaded(39_000);
  expect(conduct.problems(vaultId, agentId)).toEqual([]);
  noted.uploaded(1_000);
  expect(conduct.problems(vaultId, agentId)).toMatchObject([
    { code: 'uncommitted-uploads', message: expect.stringContaining('no commit') },
  ]);
  // A small commit does not wash a large upload away.
  noted.committed(30_000);
  noted.uploaded(30_000);
  expect(conduct.problems(vaultId, agentId)).toHaveLength(1);
});

it.each([
  ['revoked', true],
  ['replaced', true],
  ['not-enrolled', false],
] as const)(
  'P6 of one that is refused as %s it says what is to be done at that PC, where it was ended by an operator',
  (code, ended) => {
    const conduct = new Conduct({ nowMs: () => 1000 });
    conduct.of(vaultId, agentId, 'hplc-1').refused(code, 'no');
    expect(conduct.problems(vaultId, agentId)[0]?.message.includes('--accept-ended')).toBe(ended);
  },
);

it('P6 an agent that is refused is told with the reason until something of it is accepted, or for a day', () => {
  let nowMs = 1000;
  const conduct = new Conduct({ nowMs: () => nowMs });
  const noted = conduct.of(vaultId, agentId, 'hplc-1');
  noted.refused('revoked', 'agent hplc-1 was revoked');
  nowMs += 1000;
  noted.refused('revoked', 'agent hplc-1 was revoked');
  expect(noted.isRefused).toBe(true);
  expect(conduct.problems(vaultId, agentId)).toEqual([
    {
      code: 'refused',
      sinceMs: 1000,
      message: expect.stringMatching(
        /^was refused 2 times, last: agent hplc-1 was revoked \(revoked\)/,
      ),
    },
  ]);
  expect(conduct.refused()).toMatchObject([
    { name: 'hplc-1', agentId: '02'.repeat(16), vaultId: '01'.repeat(16) },
  ]);
  noted.accepted();
  expect(conduct.of(vaultId, agentId, 'hplc-1').isRefused).toBe(false);
  expect([conduct.problems(vaultId, agentId), conduct.refused()]).toEqual([[], []]);
  noted.refused('bad-commit', 'no');
  nowMs += 24 * 3600 * 1000;
  expect([conduct.problems(vaultId, agentId), conduct.refused()]).toEqual([[], []]);
});

it('a PC that waits for approval is not told as one that is refused', () => {
  const conduct = new Conduct({ nowMs: () => 1000 });
  conduct.of(vaultId, agentId, 'hplc-1').refused('pending', 'agent hplc-1 waits for approval');
  expect([conduct.problems(vaultId, agentId), conduct.refused()]).toEqual([[], []]);
});
