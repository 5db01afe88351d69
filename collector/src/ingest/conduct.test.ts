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
  noted.uploaded(30_017, 1);
  noted.committed(30_000);
  noted.uploaded(39_000, 1);
  expect(conduct.problems(vaultId, agentId)).toEqual([]);
  noted.uploaded(1_000, 1);
  expect(conduct.problems(vaultId, agentId)).toMatchObject([
    { code: 'uncommitted-uploads', message: expect.stringContaining('no commit') },
  ]);
  // A small commit does not wash a large upload away.
  noted.committed(30_000);
  noted.uploaded(30_000, 1);
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

it('P6 an agent that sends commits again and again that cannot be taken waits longer each time, and is named', () => {
  const conduct = new Conduct({ nowMs: () => 1000 });
  const noted = conduct.of(vaultId, agentId, 'hplc-1');
  const pauses: number[] = [];
  for (let attempt = 0; attempt < 12; attempt += 1) {
    pauses.push(noted.pauseMs);
    noted.inVain(1, 'it lacks 1 item');
  }
  expect(pauses).toEqual([0, 0, 0, 250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000, 10_000]);
  // Neither a heartbeat, nor another session, nor another item makes it forgotten.
  noted.accepted();
  expect(conduct.of(vaultId, agentId, 'hplc-1').pauseMs).toBe(10_000);
  expect(conduct.problems(vaultId, agentId)).toMatchObject([
    { code: 'repeats-commit', message: expect.stringMatching(/12 times.*it lacks 1 item: .*fsck/) },
  ]);
  noted.committed(0);
  expect([noted.pauseMs, conduct.problems(vaultId, agentId)]).toEqual([0, []]);
});

it('P6 an agent that sends what each commit lacked, as after a rollback, does not wait', () => {
  const conduct = new Conduct({ nowMs: () => 1000 });
  const noted = conduct.of(vaultId, agentId, 'hplc-1');
  for (let round = 0; round < 300; round += 1) {
    expect(noted.pauseMs).toBe(0);
    noted.inVain(4096, 'it lacks 4,096 items');
    for (let part = 0; part < 4; part += 1) noted.uploaded(1_000_000, 1024);
  }
  // Less than what was asked for counts as nothing.
  for (let round = 0; round < 5; round += 1) {
    noted.inVain(4096, 'it lacks 4,096 items');
    noted.uploaded(1000, 10);
  }
  expect(noted.pauseMs).toBeGreaterThan(0);
});

it('P6 of agents that no vault knows the last thousand are remembered, and whoever is enrolled stays', () => {
  const conduct = new Conduct({ nowMs: () => 1000 });
  const agent = (number: number) => {
    const id = new Uint8Array(16);
    new DataView(id.buffer).setUint32(0, number);
    return conduct.of(vaultId, asAgentId(id), `pc-${number}`);
  };
  agent(0).refused('not-enrolled', 'not enrolled here');
  agent(0).accepted();
  agent(0).violated('INGEST_PROTOCOL', 'out of turn');
  agent(1).refused('revoked', 'was revoked');
  for (let number = 2; number < 2002; number += 1)
    agent(number).refused('not-enrolled', 'not enrolled here');
  agent(2000).refused('not-enrolled', 'not enrolled here');
  const refused = conduct.refused().map(({ name }) => name);
  expect(refused).toHaveLength(1 + 1024);
  expect(refused).toContain('pc-1');
  expect(refused).toContain('pc-2001');
  expect(refused).not.toContain('pc-2');
  expect(conduct.problems(vaultId, asAgentId(new Uint8Array(16)))).toHaveLength(1);
});
