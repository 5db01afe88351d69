import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { openCommitKeys, verifyCommit } from '@aliquot/shared/commit/commit';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import { systemRandom } from '@aliquot/shared/ports';
import { FIXTURE_TIME_MS } from '@aliquot/shared/testing/keys/fixtures';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { expect, onTestFinished, test } from 'vitest';
import { collect, sample } from '../../agent/testing/queue/support.ts';
import { StoredVault } from '../../collector/src/store/stored-vault.ts';
import { Pair } from './pair.ts';

const ROUNDS = 8;
const LEFT = 2;

test('I-C28 P2 a PC restores its own files from a vault whose history was thinned, and goes on', async () => {
  const dir = temporaryFolder();
  const ports = { files: nodeDisk, random: systemRandom, clock: { nowMs: () => FIXTURE_TIME_MS } };
  const pair = await Pair.open((vault) =>
    StoredVault.inFolder(dir, vault, { ...ports, historyFileBytes: 4000 }),
  );
  onTestFinished(() => pair.close());
  const agent = await pair.agent('lcms-1');
  agent.start();
  await agent.until('ready');
  const rounds = Array.from({ length: ROUNDS }, (_, round) => sample('/data/a', 2 + round));
  for (const file of rounds) {
    await agent.capture(file);
    await agent.uplink.drained();
  }
  const { lineageId } = agent.identity.certificate.enrolment;
  const { vault } = pair;
  const size = vault.log.treeHead().size;
  const leaves = Array.from({ length: ROUNDS - LEFT }, (_, at) => {
    return { leafIndex: size - ROUNDS + at, slots: Uint8Array.of(1) };
  });
  expect(await vault.sweep.drop({ run: 1, branchId: lineageId, leaves })).toBe(ROUNDS - LEFT);
  const { history } = await vault.data.rewrite({ all: true });
  expect(history).toMatchObject({ isDone: true, kept: [] });
  expect(history.rewrittenFiles).toBeGreaterThan(0);
  expect(readdirSync(join(dir, 'history')).some((name) => name.includes('-1.'))).toBe(true);

  const states = await collect(agent.uplink.state(0));
  expect(states.map(({ live }) => live)).toEqual([[0]]);
  const { descriptor, certificate, boxKey } = agent.identity;
  const { header, wraps } = verifyCommit(states[0]?.commit ?? new Uint8Array(), {
    ...{ vaultId: descriptor.vaultId, agent: certificate },
  });
  expect(header.sequence).toBe(ROUNDS);
  expect(openCommitKeys(wraps, boxKey, 'agent', header).readKey).toBeDefined();
  const newest = rounds.at(-1) ?? expect.fail('no rounds');
  const fetched = await collect(agent.uplink.fetch(newest.items.map(({ id }) => id)));
  expect(fetched.every((item) => 'bytes' in item)).toBe(true);

  // A new session proves to the PC that the log is the one that it knows.
  await agent.stop();
  const next = sample('/data/b', 3);
  await agent.capture(next);
  agent.start();
  await agent.uplink.drained();
  expect(agent.setbacks).toBe(0);
  await agent.mustHold([newest, next]);
});
