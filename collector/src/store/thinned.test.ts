import { cpSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodeCommitHeader, decodeHistoryCommit, type StateRecord } from '@aliquot/proto';
import { verifyCommit, verifySummary } from '@aliquot/shared/commit/commit';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import { verifyAgent } from '@aliquot/shared/keys/certificates';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { describe, expect, onTestFinished, test } from 'vitest';
import { catalogRows, recordsIn } from '../../testing/store/copies.ts';
import { spoil } from '../../testing/store/fsck-lab.ts';
import { content, StoreWorld, type WorldAgent } from '../../testing/store/world.ts';
import { setBit } from './catalog/item-row.ts';
import { StoredVault } from './stored-vault.ts';

const FILES = 40;
const ROUNDS = 10;

/** A vault of ten rounds of forty files, seven rounds of which are dropped. */
class Lab {
  readonly world = new StoreWorld('thinned');
  readonly dir = join(temporaryFolder(), 'vault');
  readonly commits: { readonly leafIndex: number; readonly bytes: Uint8Array }[] = [];
  vault!: StoredVault;
  agent!: WorldAgent;

  static async make(): Promise<Lab> {
    const lab = new Lab();
    await lab.open();
    onTestFinished(() => lab.vault.close());
    await lab.vault.events.append(lab.world.vaultAdded());
    lab.agent = await lab.world.agent(lab.vault, 'hplc-1');
    for (let round = 0; round < ROUNDS; round += 1) {
      lab.world.clock.now += 60_000;
      await lab.back(round);
    }
    return lab;
  }

  async open(dir = this.dir): Promise<void> {
    const ports = this.world.ports({ historyFileBytes: 12_000 });
    this.vault = await StoredVault.inFolder(dir, this.world.identity, ports);
  }

  async back(round: number): Promise<void> {
    const names = Array.from({ length: FILES }, (_, at) => `/data/run-${at}/signal-${at}.dat`);
    const small = this.agent.small(
      Object.fromEntries(names.map((name) => [name, content(`${name} ${round}`, 60)])),
    );
    const large = this.agent.file('/data/large', [content('same', 400), content(`${round}`, 400)]);
    const { leafIndex, bytes } = await this.agent.back(this.vault, [...small, large]);
    this.commits.push({ leafIndex, bytes });
  }

  /** Every version of these rounds is let go. */
  async drop(rounds: readonly number[]): Promise<void> {
    const leaves = rounds.map((round) => {
      const slots = new Uint8Array(Math.ceil((FILES + 1) / 8));
      for (let slot = 0; slot <= FILES; slot += 1) setBit(slots, slot);
      return { leafIndex: this.commits[round]?.leafIndex ?? 0, slots };
    });
    const branchId = this.agent.lineageId;
    const dropped = await this.vault.sweep.drop({ run: 1, branchId, leaves });
    expect(dropped).toBe(rounds.length * (FILES + 1));
  }

  async sweep(): Promise<void> {
    const { agent, vault } = this;
    const epoch = await vault.sweep.announceGcEpoch(agent.lineageId, this.world.clock.now);
    vault.sweep.gcLearned(agent.agentId, agent.chainId, epoch);
    expect((await vault.sweep.sweep(agent.lineageId)).type).toBe('swept');
  }

  async thin() {
    return (await this.vault.data.rewrite({ all: true })).history;
  }

  historyBytes(): Promise<number> {
    return this.vault.data.space().then(({ historyBytes }) => historyBytes);
  }

  names(): string[] {
    return readdirSync(join(this.dir, 'history')).sort();
  }

  /** What an operator verifies of each commit of a list. */
  async verified(records: AsyncIterable<StateRecord>): Promise<number> {
    const { vaultId, authorityKey } = this.world.descriptor;
    let versions = 0;
    for await (const { enrolment, binding, commit, live } of records) {
      const agent = verifyAgent(authorityKey, vaultId, enrolment, binding);
      const { rows } = verifyCommit(commit, { vaultId, agent });
      for (const slot of live) expect(rows.entry(slot)).toBeDefined();
      versions += live.length;
    }
    return versions;
  }

  async expectReplayed(): Promise<void> {
    await this.vault.close();
    const live = await catalogRows(this.dir);
    rmSync(join(this.dir, 'catalog'), { recursive: true });
    await this.open();
    await this.vault.flush();
    await this.vault.close();
    expect(await catalogRows(this.dir)).toEqual(live);
    await this.open();
  }
}

const seven = [0, 1, 2, 3, 4, 5, 6];

describe('a history from which seven of ten rounds were dropped', () => {
  test('I-C28 has much less, and a replay gives the same catalog', async () => {
    const lab = await Lab.make();
    await lab.drop(seven);
    await lab.sweep();
    const before = await lab.historyBytes();
    const report = await lab.thin();
    const after = await lab.historyBytes();
    expect(report).toMatchObject({ isDone: true, kept: [], freedBytes: before - after });
    // Of a row that goes its mark and its facts stay: some 34 of 116 bytes.
    expect(after).toBeLessThan(0.65 * before);
    expect(lab.names().every((name) => /^\d{8}(-\d+)?\.history$/.test(name))).toBe(true);
    await lab.expectReplayed();
    expect(await lab.thin()).toMatchObject({ rewrittenFiles: 0, isDone: true });
    // What came is known to have come, though only a part of it is here.
    for (const { leafIndex, bytes } of lab.commits) {
      const { agent, world, vault } = lab;
      const outcome = await vault.intake.commit(agent.agentId, bytes, world.clock.now);
      expect(outcome).toMatchObject({ type: 'accepted', repeated: true, leafIndex });
    }
  });

  test('I-C28 is proved by operators as before: signatures, roots, and what commits are about', async () => {
    const lab = await Lab.make();
    await lab.drop(seven);
    const { lineageId } = lab.agent;
    const size = (lab.commits.at(-1)?.leafIndex ?? 0) + 1;
    const proofs = async () => {
      const found: Uint8Array[] = [];
      for await (const one of lab.vault.reading.commits(lineageId, 0, size))
        if (one instanceof Uint8Array) found.push(one);
      return found;
    };
    const before = await proofs();
    await lab.thin();
    expect(await proofs()).toEqual(before);
    for (const bytes of before) {
      const { header, summary } = decodeHistoryCommit(bytes);
      verifySummary(decodeCommitHeader(header), summary);
    }
    const { reading } = lab.vault;
    expect(await lab.verified(reading.everyVersion(lineageId))).toBe(3 * (FILES + 1));
    expect(await lab.verified(reading.state(lineageId, undefined))).toBe(FILES + 1);
  });

  test('I-C29 readers that began before a file was written anew go on', async () => {
    const lab = await Lab.make();
    await lab.drop(seven);
    const { lineageId } = lab.agent;
    const records = lab.vault.reading.everyVersion(lineageId)[Symbol.asyncIterator]();
    const some = [(await records.next()).value as StateRecord];
    expect((await lab.thin()).rewrittenFiles).toBeGreaterThan(0);
    for (let next = await records.next(); next.done !== true; next = await records.next())
      some.push(next.value);
    expect(some.reduce((sum, { live }) => sum + live.length, 0)).toBe(3 * (FILES + 1));
  });

  test('I-C29 a catalog of before, or one file beside the other, is brought to the file in force', async () => {
    const lab = await Lab.make();
    await lab.drop(seven);
    await lab.vault.flush();
    const before = join(temporaryFolder(), 'before');
    await lab.vault.close();
    cpSync(lab.dir, before, { recursive: true });
    await lab.open();
    const { rewrittenFiles } = await lab.thin();
    expect(rewrittenFiles).toBeGreaterThan(0);
    await lab.vault.close();
    const live = await catalogRows(lab.dir);
    // As after a crash between the name and the catalog: both files are there, the catalog is old.
    for (const part of ['catalog', 'history', 'durable.json'])
      cpSync(join(before, part), join(lab.dir, part), { recursive: true, force: true });
    writeFileSync(join(lab.dir, 'history', '00000001-9.history.new'), 'never placed');
    expect(lab.names().length).toBeGreaterThan(rewrittenFiles + 1);
    await lab.open();
    await lab.vault.flush();
    expect(lab.names().every((name) => /^\d{8}(-1)?\.history$/.test(name))).toBe(true);
    expect(lab.names().filter((name) => name.includes('-')).length).toBe(rewrittenFiles);
    await lab.vault.close();
    expect(await catalogRows(lab.dir)).toEqual(live);
    await lab.open();
  });

  test('I-C17 a thinned record that rots is written again by the very bytes of its agent', async () => {
    const lab = await Lab.make();
    await lab.drop(seven);
    await lab.thin();
    await lab.vault.close();
    const thinned = (await recordsIn(nodeFiles, lab.dir, 'history')).filter(
      ({ kind }) => kind === 'thinned',
    );
    const rotten = thinned[1] ?? expect.fail('nothing was thinned');
    const path = join(lab.dir, 'history', `0000000${rotten.file}-1.history`);
    for (const byte of [600, 610, 620]) await spoil(path, rotten.offset + byte);
    await lab.open();
    const { agent, world } = lab;
    const { leafIndex, bytes } = lab.commits[1] ?? expect.fail('no commit');
    await expect(lab.vault.log.leafAt(leafIndex)).rejects.toMatchObject({ code: 'STORE_DAMAGED' });
    const outcome = await lab.vault.intake.commit(agent.agentId, bytes, world.clock.now);
    expect(outcome).toMatchObject({ type: 'accepted', repeated: true });
    const { record } = await lab.vault.log.leafAt(leafIndex);
    expect(record.type === 'commit' && Buffer.from(record.commit)).toEqual(Buffer.from(bytes));
    await lab.expectReplayed();
    expect((await lab.thin()).rewrittenFiles).toBe(1);
    await lab.expectReplayed();
  });
});

test('I-C17 I-C29 a commit that is mended while its file is written anew stays mended', async () => {
  const lab = await Lab.make();
  await lab.drop([1, 2, 3, 4, 5, 6]);
  await lab.vault.flush();
  await lab.vault.close();
  const [first] = lab.commits;
  if (first === undefined) throw new Error('a commit was made');
  const [record] = (await recordsIn(nodeFiles, lab.dir, 'history')).filter(
    ({ kind }) => kind === 'commit',
  );
  const path = join(lab.dir, 'history', `${String(record?.file).padStart(8, '0')}.history`);
  for (const byte of [100, 200, 300]) await spoil(path, (record?.offset ?? 0) + byte);
  const ports = lab.world.ports({ historyFileBytes: 12_000 });
  let sent: Promise<unknown> | undefined;
  // It is sent again when it was read, and its file is not whole yet.
  const after = (writtenBytes: number, over: () => void) => {
    if (writtenBytes > 3000 && lab.names().some((name) => !name.endsWith('.history')))
      sent ??= lab.vault.intake.commit(lab.agent.agentId, first.bytes, lab.world.clock.now);
    void (sent ?? Promise.resolve()).then(over);
    return () => undefined;
  };
  const pace = { elapsedMs: () => 0, timers: { after } };
  lab.vault = await StoredVault.inFolder(lab.dir, lab.world.identity, { ...ports, pace });
  await expect(lab.vault.log.leafAt(first.leafIndex)).rejects.toMatchObject({
    code: 'STORE_DAMAGED',
  });
  const { history } = await lab.vault.data.rewrite({ all: true, bytesPerSecond: 1000 });
  expect(await sent).toMatchObject({ type: 'accepted', repeated: true });
  expect(history).toMatchObject({ isDone: true, kept: [] });
  expect(history.rewrittenFiles).toBeGreaterThan(0);
  const { record: after1 } = await lab.vault.log.leafAt(first.leafIndex);
  expect(after1.type === 'commit' && Buffer.from(after1.commit).equals(first.bytes)).toBe(true);
  await lab.expectReplayed();
});

test('I-C28 where the record has rotted that dropped what was thinned, nothing is listed that is not there', async () => {
  const lab = await Lab.make();
  await lab.drop(seven);
  await lab.sweep();
  await lab.thin();
  await lab.vault.close();
  const dropped = (await recordsIn(nodeFiles, lab.dir, 'history')).filter(
    ({ kind }) => kind === 'dropped',
  );
  expect(dropped.length).toBeGreaterThan(0);
  for (const { file, offset } of dropped) {
    const [name] = lab.names().filter((one) => one.startsWith(String(file).padStart(8, '0')));
    for (const byte of [60, 70, 80])
      await spoil(join(lab.dir, 'history', name ?? ''), offset + byte);
  }
  rmSync(join(lab.dir, 'catalog'), { recursive: true });
  await lab.open();
  const { reading } = lab.vault;
  const versions = await lab.verified(reading.everyVersion(lab.agent.lineageId));
  expect(versions).toBe((ROUNDS - seven.length) * (FILES + 1));
  // And who proves the list is told that the rest was dropped.
  let wholly = 0;
  const size = lab.vault.log.treeHead().size;
  for await (const one of reading.commits(lab.agent.lineageId, 0, size))
    if (one instanceof Uint8Array) {
      const { dropped, summary } = decodeHistoryCommit(one);
      wholly += dropped.length === summary.length ? 1 : 0;
    }
  expect(wholly).toBeGreaterThan(0);
});
