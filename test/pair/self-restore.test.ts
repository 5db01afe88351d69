import { openCommitKeys, verifyCommit } from '@aliquot/shared/commit/commit';
import { withoutVersions } from '@aliquot/shared/commit/loss';
import type { Unopened } from '@aliquot/shared/commit/open-names';
import { readCommit } from '@aliquot/shared/commit/rows';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ownFiles } from '../../agent/src/restore/own-files.ts';
import { OwnNewest } from '../../agent/src/restore/own-newest.ts';
import type { StateCommit } from '../../agent/src/uplink/uplink.ts';
import { collect, sample } from '../../agent/testing/queue/support.ts';
import { Pair } from './pair.ts';

let pair: Pair;

beforeEach(async () => {
  pair = await Pair.open();
});
afterEach(() => pair.close());

async function connected(selfRestore = true) {
  const agent = await pair.agent('lcms-1', { selfRestore });
  agent.start();
  await agent.until('ready');
  return agent;
}

describe('self-restore', () => {
  test('P2: own versions and chunks come back verified; what is missing is named', async () => {
    const agent = await connected();
    const file = sample('/data/a', 3);
    await agent.capture(file);
    await agent.uplink.drained();
    const [state, ...more] = await collect(agent.uplink.state(0));
    expect(more).toEqual([]);
    expect(state?.live).toEqual([0]);
    const { header, wraps } = verifyCommit(state?.commit ?? new Uint8Array(), {
      vaultId: agent.identity.descriptor.vaultId,
      agent: agent.identity.certificate,
    });
    expect(header.sequence).toBe(1);
    expect(openCommitKeys(wraps, agent.identity.boxKey, 'agent', header).readKey).toBeDefined();
    const strange = sample('/data/other').items[0];
    const ids = [...file.items, ...(strange === undefined ? [] : [strange])].map(({ id }) => id);
    const fetched = await collect(agent.uplink.fetch(ids));
    expect(fetched.flatMap((item) => ('bytes' in item ? [item.bytes.length] : []))).toEqual(
      file.items.map(({ sealed }) => sealed.length),
    );
    expect(fetched.filter((item) => 'missing' in item).map(({ id }) => id)).toEqual([strange?.id]);
  });

  test('P4: what another agent uploaded is missing, although the collector holds it', async () => {
    const [one, two] = [await connected(), await pair.agent('lcms-2')];
    two.start();
    await two.until('ready');
    const file = sample('/data/a', 3);
    await one.capture(file);
    await one.uplink.drained();
    const ids = file.items.map(({ id }) => id);
    const fetched = await collect(two.uplink.fetch(ids));
    expect(fetched.filter((item) => 'missing' in item)).toHaveLength(3);
    // Sent again, it is stored once, and belongs to both.
    await two.capture(file);
    await two.uplink.drained();
    expect(two.uplink.status().sentContentBytes).toBeGreaterThan(600);
    await two.mustHold([file]);
  });

  test('a fetch beside a state that is read slowly is answered, and so is a heartbeat; the state goes on', async () => {
    const agent = await connected();
    for (let index = 0; index < 12; index += 1) {
      await agent.capture(sample(`/data/${index}`, 3));
      await agent.uplink.drained();
    }
    const ids = sample('/data/0', 3).items.map(({ id }) => id);
    let commits = 0;
    for await (const { live } of agent.uplink.state(0)) {
      expect(live).toEqual([0]);
      commits += 1;
      expect(await collect(agent.uplink.fetch(ids))).toHaveLength(3);
      await agent.uplink.heartbeat({
        files: 1,
        bytes: 1,
        unprotected: 0,
        pending: 0,
        unsettled: 0,
        problems: [],
      });
    }
    expect(commits).toBe(12);
  });

  test('P6: a version that the collector lists, and whose commit lacks it, is named', async () => {
    const agent = await connected();
    await agent.capture(sample('/data/a', 2));
    await agent.uplink.drained();
    const hiding = {
      async *state(atMs: number) {
        for await (const { commit, ...rest } of agent.uplink.state(atMs))
          yield { ...rest, commit: withoutVersions(commit, [0], agent.identity.signKey) };
      },
    };
    const named: Unopened[] = [];
    const watch = {
      onUnopened: (_: number, unopened: Unopened) => named.push(unopened),
      onEarlier: () => undefined,
      onKeptBack: () => undefined,
    };
    const filesFrom = async (uplink: typeof hiding) =>
      (await collect(ownFiles(uplink, agent.identity, 0, ['/data/a'], watch))).map(
        ({ path }) => path,
      );
    expect(await filesFrom(agent.uplink)).toEqual(['/data/a']);
    expect(named).toEqual([]);
    expect(await filesFrom(hiding)).toEqual([]);
    expect(named).toMatchObject([{ versions: 1, error: { code: 'COMMIT_ENTRIES' } }]);
  });

  test('P5: whatever the collector leaves out of what this PC has receipts for is named', async () => {
    const agent = await connected();
    let [old, honest]: [StateCommit[], StateCommit[]] = [[], []];
    for (const file of [sample('/data/a', 2), sample('/data/b', 2), sample('/data/a', 3)]) {
      await agent.capture(file);
      await agent.uplink.drained();
      const now = await collect(agent.uplink.state(0));
      [old, honest] = old.length === 0 ? [now, now] : [old, now];
    }
    const sequenceOf = ({ commit }: StateCommit) => readCommit(commit).header.sequence;
    const cases: readonly (readonly [readonly StateCommit[], readonly string[]])[] = [
      [honest, []],
      [honest.filter((commit) => sequenceOf(commit) !== 3), ['/data/a 3']],
      [honest.filter((commit) => sequenceOf(commit) !== 2), ['/data/b 2']],
      [honest.map((commit) => ({ ...commit, live: [] })), ['/data/a 3', '/data/b 2']],
      [old, ['/data/a 3', '/data/b 2']],
      [[], ['/data/a 3', '/data/b 2']],
    ];
    for (const [shown, expected] of cases) {
      const keptBack: string[] = [];
      const watch = {
        onUnopened: () => undefined,
        onEarlier: () => undefined,
        onKeptBack: (path: string, sequence: number) => keptBack.push(`${path} ${sequence}`),
      };
      const state = async function* () {
        yield* shown;
      };
      const newest = await OwnNewest.read(agent.queue, agent.identity, 0);
      await collect(ownFiles({ state }, agent.identity, 0, ['/data'], watch, newest));
      expect(keptBack.sort()).toEqual(expected);
    }
  });

  test('P4: without the permission nothing is even asked', async () => {
    const agent = await connected(false);
    await expect(collect(agent.uplink.fetch([]))).rejects.toMatchObject({
      code: 'UPLINK_SELF_RESTORE_OFF',
    });
  });
});
