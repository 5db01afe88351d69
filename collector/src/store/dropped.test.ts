import { rmSync } from 'node:fs';
import { join } from 'node:path';
import {
  asFileId,
  decodeReceiptBody,
  type EntryDraft,
  type FileId,
  type LineageId,
  type ResultId,
  type StateRecord,
  type StoredDropped,
} from '@aliquot/proto';
import { utf8 } from '@aliquot/shared/crypto/bytes';
import { resultIdFor } from '@aliquot/shared/keys/derive';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { catalogRows } from '../../testing/store/copies.ts';
import { content, StoreWorld, type WorldAgent } from '../../testing/store/world.ts';
import { setBit } from './catalog/item-row.ts';
import { StoredVault } from './stored-vault.ts';
import type { VaultStore } from './vault-store.ts';

const paths = ['/a', '/b', '/c'];
const ROOT = '/run.D';

const change = fc.record({
  path: fc.nat(paths.length - 1),
  gone: fc.boolean(),
  lateMs: fc.integer({ min: -3000, max: 2000 }),
});
const commit = fc.record({
  type: fc.constant('commit' as const),
  byCopy: fc.boolean(),
  changes: fc.array(change, { minLength: 1, maxLength: 4 }),
  withResult: fc.boolean(),
});
const drop = fc.record({
  type: fc.constant('drop' as const),
  ofBranch: fc.boolean(),
  /** Of a hundred versions so many are let go. */
  percent: fc.constantFrom(20, 50, 100),
  seed: fc.nat(1000),
});
const decide = fc.record({
  type: fc.constant('decide' as const),
  decision: fc.constantFrom('restored' as const, 'clone' as const),
});
/** Dropped rows leave the history. */
const thin = fc.record({ type: fc.constant('thin' as const) });
const lives = fc.array(
  fc.oneof(
    { weight: 5, arbitrary: commit },
    { weight: 4, arbitrary: drop },
    { weight: 1, arbitrary: decide },
    { weight: 2, arbitrary: thin },
  ),
  { minLength: 4, maxLength: 20 },
);

/** A version by its place, and when it became the newest. */
interface Told {
  readonly leafIndex: number;
  readonly slot: number;
  readonly timeMs: number;
}

async function told(records: AsyncIterable<StateRecord>): Promise<Told[]> {
  const found: Told[] = [];
  for await (const { receipt, live, versionTimesMs } of records) {
    const { leafIndex } = decodeReceiptBody(receipt.body);
    for (const [at, slot] of live.entries())
      found.push({ leafIndex, slot, timeMs: versionTimesMs[at] ?? 0 });
  }
  return found;
}

const nameOf = ({ leafIndex, slot }: Pick<Told, 'leafIndex' | 'slot'>) => `${leafIndex}/${slot}`;
const inOrder = (versions: readonly Told[]) => versions.map((one) => JSON.stringify(one)).sort();

/** Two vaults with one life: from one of them versions are dropped, from the other none ever. */
class Twins {
  readonly world = new StoreWorld('dropped', { blind: true });
  readonly dir = temporaryFolder();
  readonly dropped = new Set<string>();
  /** Of versions that have bytes. */
  readonly sizes = new Map<string, number>();
  thinned!: StoredVault;
  whole!: StoredVault;
  agent!: WorldAgent;
  copy: WorldAgent | undefined;
  decided: 'restored' | 'clone' | undefined;
  joinedThinned = false;
  rewritten = 0;
  run = 0;

  async begin(): Promise<void> {
    const { world } = this;
    this.thinned = await this.open();
    this.whole = await StoredVault.inFolder(temporaryFolder(), world.identity, world.ports());
    onTestFinished(() => this.close());
    for (const store of this.both) await store.events.append(world.vaultAdded());
    this.agent = await world.agent(this.whole, 'hplc-1');
    const { enrolment, binding } = this.agent;
    const timeMs = world.clock.now;
    await this.thinned.events.append({ type: 'agentExpected', timeMs, enrolment });
    await this.thinned.events.append({ type: 'agentEnrolled', timeMs, enrolment, binding });
    await this.commit({ byCopy: false, changes: [{ path: 0, gone: false, lateMs: 0 }] });
  }

  /** With files of the history of two or three commits each. */
  open(): Promise<StoredVault> {
    const { world } = this;
    return StoredVault.inFolder(this.dir, world.identity, world.ports({ historyFileBytes: 6000 }));
  }

  async thin(): Promise<void> {
    const { history } = await this.thinned.data.rewrite({ all: true });
    expect(history).toMatchObject({ isDone: true, kept: [] });
    this.rewritten += history.rewrittenFiles;
  }

  get both(): readonly StoredVault[] {
    return [this.thinned, this.whole];
  }

  get branchId(): LineageId | undefined {
    return this.whole.register.branchIds(this.agent.agentId)[0];
  }

  get resultId(): ResultId {
    return resultIdFor(this.agent.pathKey, utf8(ROOT));
  }

  async commit(one: {
    readonly byCopy: boolean;
    readonly changes: readonly { path: number; gone: boolean; lateMs: number }[];
    readonly withResult?: boolean;
  }): Promise<void> {
    const { clock } = this.world;
    clock.now += 1000;
    if (one.byCopy && this.copy === undefined) {
      this.copy = this.agent.copy();
      await this.commit({ byCopy: false, changes: one.changes });
      clock.now += 1000;
    }
    const agent = one.byCopy && this.copy !== undefined ? this.copy : this.agent;
    const drafts: EntryDraft[] = [];
    for (const [at, { path, gone, lateMs }] of one.changes.entries()) {
      const name = paths[path] ?? '';
      const bytes = content(`${name} ${clock.now} ${at}`, 70 + at);
      const capturedAtMs = clock.now + lateMs;
      const file = agent.file(name, [bytes], { capturedAtMs });
      if (!gone)
        for (const store of this.both) await store.intake.putChunks(agent.lineageId, file.items);
      drafts.push(gone ? agent.gone(name, capturedAtMs) : file.draft);
    }
    const members = agent.membersOf(ROOT, [agent.directory(`${ROOT}/x`)]);
    const results = one.withResult === true ? [agent.result(ROOT, members)] : [];
    const built = agent.build(one.withResult === true ? [...drafts, ...members] : drafts, {
      results,
    });
    const answers = [];
    for (const store of this.both) {
      const answer = await store.intake.commit(agent.agentId, built.bytes, clock.now);
      if (answer.type !== 'accepted') throw new Error(JSON.stringify(answer));
      answers.push(answer);
    }
    expect(answers[0]?.receipt).toEqual(answers[1]?.receipt);
    for (const [slot, { size }] of drafts.entries())
      this.sizes.set(`${answers[0]?.leafIndex}/${slot}`, size);
    agent.advance(built, answers[0]?.head);
  }

  async decide(decision: 'restored' | 'clone'): Promise<void> {
    const { branchId } = this;
    if (branchId === undefined || this.decided !== undefined) return;
    this.decided = decision;
    this.joinedThinned = decision === 'restored' && this.dropped.size > 0;
    const name = decision === 'clone' ? 'hplc-9' : '';
    const timeMs = this.world.clock.now;
    const { agentId } = this.agent;
    for (const store of this.both)
      await store.events.append({
        ...{ type: 'forkDecided', timeMs, agentId, branchId, decision, name },
      });
  }

  /** Files and results of a history, each with its versions that were not dropped, oldest first. */
  async chains(store: VaultStore, history: LineageId): Promise<Told[][]> {
    const ids: FileId[] = [...paths, `${ROOT}/x`].map((path) => this.agent.fileId(path));
    const chains = [];
    for (const id of ids) chains.push(await told(store.reading.versions(history, asFileId(id))));
    chains.push(await told(store.reading.resultVersions(history, this.resultId)));
    return chains.map((chain) => chain.filter((one) => !this.dropped.has(nameOf(one))));
  }

  async drop(history: LineageId, percent: number, seed: number): Promise<void> {
    const letGo: Told[] = [];
    const goes: Told[] = [];
    const live = new Set((await told(this.whole.reading.state(history, undefined))).map(nameOf));
    for (const one of await told(this.whole.reading.results(history, undefined)))
      live.add(nameOf(one));
    for (const chain of await this.chains(this.whole, history)) {
      const some = chain.filter(({ leafIndex, slot }) => {
        return (leafIndex * 31 + slot * 17 + seed) % 100 < percent;
      });
      letGo.push(...some);
      const newest = chain.at(-1);
      if (newest === undefined) continue;
      const isGone = !live.has(nameOf(newest));
      const all = some.length === chain.length;
      const mayEnd = isGone && all && this.isTrunk(history);
      goes.push(...some.filter((one) => one !== newest || mayEnd));
    }
    await this.letGo(history, letGo, goes);
  }

  /** Lets versions go, of which only some may be dropped. */
  async letGo(history: LineageId, versions: readonly Told[], goes = versions): Promise<void> {
    if (versions.length === 0) return;
    this.run += 1;
    const dropped = await this.thinned.sweep.drop(droppedOf(this.run, history, versions));
    expect(dropped).toBe(goes.length);
    for (const one of goes) this.dropped.add(nameOf(one));
  }

  isTrunk(history: LineageId): boolean {
    return Buffer.from(history).equals(Buffer.from(this.agent.lineageId));
  }

  async expectSame(): Promise<void> {
    const { agent, branchId, whole, thinned, dropped } = this;
    const isLeft = (one: Told) => !dropped.has(nameOf(one));
    let [goneVersions, goneBytes] = [0, 0];
    for (const history of branchId === undefined
      ? [agent.lineageId]
      : [agent.lineageId, branchId]) {
      const chains = await this.chains(whole, history);
      expect(await this.chains(thinned, history)).toEqual(chains);
      const times = chains.flat().map(({ timeMs }) => timeMs);
      for (const atMs of [undefined, 0, ...times.flatMap((one) => [one - 1, one])]) {
        for (const of of ['state', 'results'] as const) {
          const expected = (await told(whole.reading[of](history, atMs))).filter(isLeft);
          const found = await told(thinned.reading[of](history, atMs));
          // Of many that were dropped in a row only the first took the place of something.
          if (this.joinedThinned && atMs !== undefined)
            expect(inOrder(found)).toEqual(expect.arrayContaining(inOrder(expected)));
          else expect(inOrder(found)).toEqual(inOrder(expected));
        }
      }
      const all = await told(whole.reading.everyVersion(history));
      const gone = all.filter((one) => !isLeft(one));
      goneVersions += gone.length;
      for (const one of gone) goneBytes += this.sizes.get(nameOf(one)) ?? 0;
      expect(inOrder(await told(thinned.reading.everyVersion(history)))).toEqual(
        inOrder(all.filter(isLeft)),
      );
    }
    const { files, liveBytes, versions, rawBytes } = whole.figures.stats();
    expect(thinned.figures.stats()).toMatchObject({
      ...{ files, liveBytes },
      versions: versions - goneVersions,
      rawBytes: rawBytes - goneBytes,
    });
  }

  async expectSameAgain(): Promise<void> {
    await this.thinned.close();
    const live = await catalogRows(this.dir);
    rmSync(join(this.dir, 'catalog'), { recursive: true });
    this.thinned = await this.open();
    await this.thinned.flush();
    await this.expectSame();
    await this.thinned.close();
    expect(await catalogRows(this.dir)).toEqual(live);
  }

  async close(): Promise<void> {
    for (const store of this.both) await store.close();
  }
}

function droppedOf(run: number, branchId: LineageId, versions: readonly Told[]): StoredDropped {
  const leaves = new Map<number, Uint8Array>();
  for (const { leafIndex, slot } of versions) {
    const slots = leaves.get(leafIndex) ?? new Uint8Array(8);
    setBit(slots, slot);
    leaves.set(leafIndex, slots);
  }
  return {
    ...{ run, branchId },
    leaves: [...leaves]
      .sort(([a], [b]) => a - b)
      .map(([leafIndex, slots]) => {
        const length = slots.findLastIndex((byte) => byte !== 0) + 1;
        return { leafIndex, slots: slots.slice(0, length) };
      }),
  };
}

describe('I-C2 I-C21 a history of which versions were dropped', () => {
  test('is what it was without them: at any time, held apart and joined, and after a rebuild row by row', async () => {
    let rewritten = 0;
    await fc.assert(
      fc.asyncProperty(lives, async (life) => {
        const twins = new Twins();
        await twins.begin();
        for (const step of life) {
          if (step.type === 'commit') await twins.commit(step);
          else if (step.type === 'decide') await twins.decide(step.decision);
          else if (step.type === 'thin') await twins.thin();
          else {
            const branch = twins.decided === 'restored' ? undefined : twins.branchId;
            const history = step.ofBranch ? branch : twins.agent.lineageId;
            if (history !== undefined) await twins.drop(history, step.percent, step.seed);
          }
        }
        await twins.expectSame();
        await twins.expectSameAgain();
        twins.thinned = await twins.open();
        await twins.thin();
        await twins.expectSame();
        await twins.expectSameAgain();
        rewritten += twins.rewritten;
        await twins.close();
      }),
      { numRuns: 12 },
    );
    expect(rewritten).toBeGreaterThan(0);
  });

  test('knows when what is left was replaced, though what replaced it is gone', async () => {
    const twins = new Twins();
    await twins.begin();
    for (let round = 0; round < 3; round += 1)
      await twins.commit({ byCopy: false, changes: [{ path: 0, gone: false, lateMs: 0 }] });
    const { lineageId } = twins.agent;
    const [chain = []] = await twins.chains(twins.whole, lineageId);
    const [first, second, third, last] = chain;
    if (first === undefined || second === undefined || third === undefined || last === undefined)
      throw new Error('four versions were made');
    const at = async (timeMs: number) => told(twins.thinned.reading.state(lineageId, timeMs));
    // One by one, so that the second is known through the third that goes after it.
    await twins.letGo(lineageId, [second]);
    await twins.letGo(lineageId, [third]);
    expect(await at(second.timeMs - 1)).toEqual([first]);
    expect(await at(second.timeMs)).toEqual([]);
    expect(await at(last.timeMs - 1)).toEqual([]);
    expect(await at(last.timeMs)).toEqual([last]);
    // The same again changes nothing, and what is there stays whatever anybody says.
    await twins.letGo(lineageId, [second, last], []);
    await twins.expectSameAgain();
  });

  test('loses a file that is gone when all of it is let go, and only then; a clone says for ever that it is', async () => {
    const twins = new Twins();
    await twins.begin();
    await twins.commit({ byCopy: true, changes: [{ path: 0, gone: true, lateMs: 0 }] });
    await twins.decide('clone');
    const { branchId, whole } = twins;
    const { lineageId } = twins.agent;
    if (branchId === undefined) throw new Error('no clone');
    const [[there, gone] = [], [apart] = []] = [
      (await twins.chains(whole, lineageId))[0],
      (await twins.chains(whole, branchId))[0],
    ];
    if (there === undefined || gone === undefined || apart === undefined)
      throw new Error('three versions were made');
    await twins.letGo(lineageId, [gone], []);
    await twins.letGo(lineageId, [there]);
    await twins.letGo(lineageId, [gone]);
    await twins.letGo(branchId, [apart], []);
    const now = async (store: VaultStore) =>
      told(store.reading.stateWithout(lineageId, branchId, undefined));
    expect(await now(twins.thinned)).toEqual(await now(whole));
    await twins.expectSameAgain();
  });
});
