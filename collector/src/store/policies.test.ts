import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { ClockCorrectionBody, RetentionRule, Term } from '@aliquot/proto';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import { issueClockCorrection } from '@aliquot/shared/keys/clock-correction';
import { policyKeyFor } from '@aliquot/shared/keys/derive';
import { issuePolicy, sealPolicyText } from '@aliquot/shared/keys/policy';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { expect, onTestFinished, test } from 'vitest';
import { DAY_MS, type DatedVersion, factsOf } from '../../testing/retention/histories.ts';
import { staysByTheBook } from '../../testing/retention/oracle.ts';
import { StoreWorld, seededRandom } from '../../testing/store/world.ts';
import { keptFor } from '../retention/kept.ts';
import type { SetPolicy } from '../retention/ruling.ts';
import { StoredVault } from './stored-vault.ts';

/** Policies as the store has them, over years: set, weakened by mistake, and taken back. */

const random = seededRandom('policies');
const days = (count: number): Term => ({ count, unit: 'd' });
const rule = (within: number, lock?: number): RetentionRule => ({
  match: { classes: undefined, agents: undefined, sources: undefined },
  lock: lock === undefined ? undefined : days(lock),
  keep: { within: days(within), daily: 4, weekly: 3, monthly: 2, yearly: 0, last: 0 },
  gone: 'forever',
});

async function opened() {
  const world = new StoreWorld('policies');
  const dir = temporaryFolder();
  let store = await StoredVault.inFolder(dir, world.identity, world.ports());
  onTestFinished(() => store.close());
  await store.events.append(world.vaultAdded());
  const { descriptor, authority, clock } = world;
  const policyKey = policyKeyFor(new Uint8Array(32), descriptor.vaultId).publicKey;
  let revision = 0;
  return {
    world,
    store: () => store,
    async set(rules: readonly RetentionRule[]): Promise<SetPolicy> {
      revision += 1;
      const sealed = sealPolicyText(policyKey, descriptor, `# ${revision}\n`, random);
      const policy = issuePolicy(authority, {
        ...{ version: 1, vaultId: descriptor.vaultId, revision, setAtMs: clock.now },
        sealedHash: sha256(sealed),
        rules: rules.length === 0 ? undefined : { rules, grace: days(7) },
      });
      const event = { type: 'policySet', timeMs: clock.now, certificate: undefined } as const;
      await store.events.append({ ...event, policy, sealed });
      const grace = rules.length === 0 ? undefined : days(7);
      return { revision, setAtMs: clock.now, rules, grace };
    },
    async again(afresh: boolean) {
      await store.close();
      if (afresh) rmSync(join(dir, 'catalog'), { recursive: true });
      store = await StoredVault.inFolder(dir, world.identity, world.ports());
    },
  };
}

test('P2: over two years every state stays that a policy keeps or kept in the last seven days; a slip that is taken back costs none', async () => {
  const at = await opened();
  const { clock } = at.world;
  const start = clock.now;
  const versions: DatedVersion[] = [];
  const set: SetPolicy[] = [];
  /** By the store; by the book; by the book, had nobody ever slipped. */
  const [left, byTheBook, without] = [new Set<number>(), new Set<number>(), new Set<number>()];
  const meant: SetPolicy[] = [];
  const choices = [[rule(60)], [rule(25)], [rule(25, 90)], [rule(40, 30)], []];
  let gone = 0;
  for (let day = 0; day < 730; day += 1) {
    clock.now = start + day * DAY_MS;
    if (day % 3 === 0) {
      for (const all of [left, byTheBook, without]) all.add(versions.length);
      const timeMs = clock.now;
      versions.push({ timeMs, receivedMs: timeMs, kind: 'whole', className: 'raw' });
    }
    const before = set.at(-1);
    // Somebody's slip, and the policy before it set again on the sixth day.
    if (day % 45 === 20) set.push(await at.set([rule(7)]));
    else if (day % 45 === 26) set.push(await at.set(set.at(-2)?.rules ?? []));
    else if (day % 90 === 1) {
      set.push(await at.set(choices[((day / 90) % choices.length) | 0] ?? []));
      meant.push({ ...(set.at(-1) as SetPolicy) });
    }
    if (before !== set.at(-1) && day % 4 === 0) await at.again(day % 8 === 0);
    if (day % 6 !== 0) continue;
    const policies = at.store().desk.policies();
    expect(policies).toEqual(set);
    const nowMs = clock.now;
    const world = { versions, policies, holds: [], isDecided: true, nowMs };
    const facts = factsOf(world, nowMs, (place) => left.has(place));
    for (const [place, end] of keptFor(facts).ends.entries())
      if (end <= nowMs) left.delete(facts.versions[place]?.place ?? -1);
    for (const [place, stays] of staysByTheBook({ ...world, policies: set }).entries())
      if (!stays) byTheBook.delete(place);
    for (const [place, stays] of staysByTheBook({ ...world, policies: meant }).entries())
      if (!stays) without.delete(place);
    expect([...left]).toEqual([...byTheBook]);
    for (const place of without) expect(left.has(place)).toBe(true);
    gone = versions.length - left.size;
  }
  expect(gone).toBeGreaterThan(50);
});

test('I-C27: a policy counts from when it was set, as its leaf counts: not from where a wrong clock was', async () => {
  const at = await opened();
  const { world } = at;
  const truth = world.clock.now;
  const beforeLeaf = at.store().log.treeHead().size;
  world.clock.now = truth + 3650 * DAY_MS;
  await at.set([rule(30)]);
  const toMs = world.clock.now + 1;
  const head = at.store().log.treeHead();
  world.clock.now = truth + 1000;
  const body: ClockCorrectionBody = {
    ...{ version: 1, vaultId: world.descriptor.vaultId, fromLeaf: beforeLeaf, head },
    ...{ fromMs: truth + 3649 * DAY_MS, toMs, isMs: truth - DAY_MS },
    ...{ notBeforeMs: truth, notAfterMs: truth + 1000 },
  };
  const correction = issueClockCorrection(world.authority, body);
  await at.store().events.append({ type: 'clockCorrected', timeMs: world.clock.now, correction });
  const times = () =>
    at
      .store()
      .desk.policies()
      .map(({ setAtMs }) => setAtMs - truth);
  await at.again(false);
  expect(times()).toEqual([expect.toSatisfy((ms: number) => ms >= 0 && ms <= 1000)]);
});
