import { cpSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  asFileId,
  asHoldId,
  asLineageId,
  type EventBody,
  encodeEventBody,
  type FileId,
  type HoldBody,
  type LineageId,
  MAX_TIME_MS,
  type OperatorPurpose,
  type Signed,
  type TreeHead,
} from '@aliquot/proto';
import { boxKeyFromSecret, newBoxKey } from '@aliquot/shared/crypto/box';
import { utf8 } from '@aliquot/shared/crypto/bytes';
import { newSigningKey, type SigningKey } from '@aliquot/shared/crypto/sign';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import { resultIdFor } from '@aliquot/shared/keys/derive';
import { issueHoldRelease, issueHoldResolution, sealHoldPaths } from '@aliquot/shared/keys/hold';
import { issueOperator } from '@aliquot/shared/keys/operator-certificate';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { catalogIn, catalogRows } from '../../testing/store/copies.ts';
import { StoreWorld, type WorldAgent } from '../../testing/store/world.ts';
import type { HeldFile } from '../retention/holds.ts';
import { Registry } from './catalog/registry.ts';
import type { UnfitRecord } from './errors.ts';
import { StoredVault } from './stored-vault.ts';
import { holdsFile, writeBook } from './vault/event-book.ts';
import { HeldFiles } from './vault/held-files.ts';

/* Holds: who may set and end them, which files they cover, and that a replay says the same. */

let world: StoreWorld;
let dir: string;
let store: StoredVault;
let agent: WorldAgent;

beforeEach(async () => {
  world = new StoreWorld('holds');
  dir = temporaryFolder();
  store = await StoredVault.inFolder(dir, world.identity, world.ports());
  await store.events.append(world.vaultAdded());
  agent = await world.agent(store, 'hplc-1');
});
afterEach(() => store.close());

function hold(change: Partial<HoldBody> & { globs?: readonly string[] } = {}): EventBody {
  const { globs, ...rest } = change;
  const holdId = asHoldId(world.random.bytes(16));
  const { descriptor, random } = world;
  const body: HoldBody = {
    ...{ version: 1, vaultId: descriptor.vaultId, holdId },
    ...{ name: 'trial-7', reason: 'audit', owner: 'QA' },
    ...{ agents: [], lineageIds: [], classes: [], fromMs: 0, toMs: MAX_TIME_MS },
    paths: globs && sealHoldPaths(descriptor, { holdId }, globs, random),
    ...rest,
  };
  return { type: 'holdSet', timeMs: world.clock.now, hold: body };
}

async function set(change: Parameters<typeof hold>[0] = {}): Promise<HoldBody> {
  const event = hold(change);
  await store.events.append(event);
  return (event as Extract<EventBody, { type: 'holdSet' }>).hold;
}

interface ReleaseBy {
  readonly key?: SigningKey;
  readonly operator?: Signed | undefined;
  readonly releasedAtMs?: number;
}

function release({ vaultId, holdId }: HoldBody, by: ReleaseBy = {}): EventBody {
  const { key = world.authority, operator, releasedAtMs = world.clock.now } = by;
  const body = { version: 1, vaultId, holdId, releasedAtMs, reason: 'over' } as const;
  const signed = issueHoldRelease(key, body);
  return { type: 'holdReleased', timeMs: world.clock.now, release: signed, operator };
}

function certified(purposes: readonly OperatorPurpose[]): { key: SigningKey; operator: Signed } {
  const key = newSigningKey(world.random);
  const operator = issueOperator(world.authority, {
    ...{ version: 1, vaultId: world.descriptor.vaultId, name: 'maria', signKey: key.publicKey },
    ...{ boxKey: newBoxKey(world.random).publicKey, purposes },
    ...{ issuedAtMs: world.clock.now, expiresAtMs: world.clock.now + 1000 },
  });
  return { key, operator };
}

interface Part {
  readonly files?: readonly FileId[];
  readonly part?: number;
  readonly parts?: number;
  readonly head?: TreeHead;
  readonly key?: SigningKey;
}

function resolution({ vaultId, holdId }: HoldBody, change: Part = {}): EventBody {
  const { files = [], part = 1, parts = 1, head = store.log.treeHead(), key } = change;
  const fileIds = [...files].sort((a, b) => Buffer.compare(a, b));
  const body = { version: 1, vaultId, holdId, head, part, parts, fileIds } as const;
  const signed = issueHoldResolution(key ?? world.authority, body);
  return { type: 'holdResolved', timeMs: world.clock.now, resolution: signed };
}

/** Asks, with the catalog key or as a collector without. The vault is closed meanwhile. */
async function asking<T>(ask: (held: HeldFiles) => Promise<T>, isBlind = false): Promise<T> {
  await store.close();
  const catalog = await catalogIn(dir);
  try {
    const registry = await Registry.load(catalog, () => Promise.reject(new Error('no head')));
    const key = isBlind ? undefined : boxKeyFromSecret(world.kit.catalogSecretKey);
    return await ask(new HeldFiles({ registry, catalog }, key));
  } finally {
    await catalog.close();
    store = await StoredVault.inFolder(dir, world.identity, world.ports());
  }
}

const named = (path: string, more: Partial<HeldFile> = {}): HeldFile => ({
  id: agent.fileId(path),
  isResult: false,
  firstLeaf: 0,
  openPath: async () => ({ path: utf8(path), platform: 'posix' }),
  ...more,
});
const unopened = (path: string, more: Partial<HeldFile> = {}): HeldFile =>
  named(path, { openPath: async () => undefined, ...more });

/** The names of the holds over a file, those over all of its lineage in front. */
async function over(held: HeldFiles, file: HeldFile, lineageId = agent.lineageId) {
  const { whole, hasOthers, othersOver } = held.of(lineageId);
  return [...whole, ...(hasOthers ? await othersOver(file) : [])].map(({ name }) => name);
}

const refused = async (event: EventBody, why: RegExp) =>
  expect(store.events.append(event)).rejects.toMatchObject({
    code: 'STORE_BAD_EVENT',
    message: expect.stringMatching(why),
  });

describe('I-C20 a hold', () => {
  test('is set by whoever may ask, once under a name, and the same again is the same leaf', async () => {
    const event = hold({ globs: ['/data/trial-7/**'] });
    const { leafIndex } = await store.events.append(event);
    expect(await store.events.append(event)).toEqual({ leafIndex });
    await refused(hold(), /there is a hold trial-7 in force/);
    await refused(
      { ...event, hold: { ...holdIn(event), reason: 'other' } } as EventBody,
      /another/,
    );
    await refused(hold({ vaultId: new StoreWorld('x').descriptor.vaultId }), /another vault/);
    expect(store.holds.all()).toMatchObject([{ setLeaf: leafIndex, released: undefined }]);
  });

  test('is ended by the authority, or by an operator for retention within the term, and by nobody else', async () => {
    const first = await set();
    const stranger = newSigningKey(world.random);
    await refused(release(first, { key: stranger }), /not signed by the key/);
    await refused(
      release(first, certified(['settings', 'agents', 'diagnose'])),
      /not for retention/,
    );
    const releasedAtMs = world.clock.now + 2000;
    await refused(release(first, { ...certified(['retention']), releasedAtMs }), /expired/);
    await refused(release({ ...first, holdId: asHoldId(world.random.bytes(16)) }), /no such hold/);
    expect(store.holds.all()[0]?.released).toBe(undefined);

    const event = release(first, certified(['retention']));
    const { leafIndex } = await store.events.append(event);
    expect(await store.events.append(release(first))).toEqual({ leafIndex });
    const second = await set();
    await store.events.append(release(second));
    expect(store.holds.all().map(({ released }) => [released?.by, released?.reason])).toEqual([
      ['maria', 'over'],
      ['', 'over'],
    ]);
    // The word that ended one ends no other of that name.
    await set();
    await store.events.append(event);
    expect(store.holds.all().at(-1)?.released).toBe(undefined);
  });

  test('covers PCs by their names, those that get one later, and those whose name has changed', async () => {
    const other = await world.agent(store, 'ms-1');
    await set({ agents: ['hplc-*'], lineageIds: [agent.lineageId], classes: ['raw'], toMs: 9 });
    const later = await world.agent(store, 'hplc-2');
    const renamed = await world.agent(store, 'cupboard', { replaces: agent });
    expect(renamed.lineageId).toEqual(agent.lineageId);
    await asking(async (held) => {
      const names = async (id: LineageId) => over(held, named('/d/a'), id);
      expect(await names(renamed.lineageId)).toEqual(['trial-7']);
      expect(await names(later.lineageId)).toEqual(['trial-7']);
      expect(await names(other.lineageId)).toEqual([]);
      expect(held.of(later.lineageId).whole).toEqual([
        { name: 'trial-7', classes: new Set(['raw']), fromMs: 0, toMs: 9 },
      ]);
    });
  });

  test('by path opens names where it can: it covers what fits, what lies below, and what does not open', async () => {
    await set({ globs: ['/data/trial-7/**', '*.raw', '/data/run.D/AcqData/**'] });
    await asking(async (held) => {
      expect(held.of(agent.lineageId)).toMatchObject({ whole: [], hasOthers: true });
      const covers = async (file: HeldFile) => (await over(held, file)).length > 0;
      expect(await covers(named('/data/trial-7/a.txt'))).toBe(true);
      expect(await covers(named('/data/run.raw/inside'))).toBe(true);
      expect(await covers(named('/data/trial-8/a.txt'))).toBe(false);
      expect(await covers(unopened('/data/trial-8/a.txt'))).toBe(true);
      // The rows of a result are those of its root; a hold on a part of it keeps them too.
      expect(await covers(named('/data/run.D', { isResult: true }))).toBe(true);
      expect(await covers(named('/data/run.D'))).toBe(false);
      expect(await covers(named('/data/trial-8', { isResult: true }))).toBe(false);
    });
  });

  test('by path of which a pattern cannot be read, or that was sealed wrongly, covers everything', async () => {
    await set({ globs: ['/data/['] });
    await set({ name: 'other', paths: world.random.bytes(80) });
    const names = await asking((held) => over(held, named('/x')));
    expect(names.sort()).toEqual(['other', 'trial-7']);
  });

  test('by path covers its PCs whole where nobody opens names, until its authority says which files', async () => {
    await agent.back(store, [agent.directory('/data/trial-7/a'), agent.directory('/data/b')]);
    const body = await set({
      globs: ['/data/trial-7/**'],
      agents: ['hplc-*'],
      lineageIds: [agent.lineageId],
    });
    const later = await world.agent(store, 'hplc-2');
    const leaf = store.log.treeHead().size;
    const askOf = (id = agent.lineageId) =>
      asking(async (held) => {
        const covers = async (file: HeldFile) => (await over(held, file, id)).length > 0;
        return {
          fits: await covers(unopened('/data/trial-7/a')),
          does: await covers(unopened('/data/b')),
          result: await covers(
            unopened('/data/trial-7', {
              id: resultIdFor(agent.pathKey, utf8('/data/trial-7')),
              isResult: true,
            }),
          ),
          newer: await covers(unopened('/data/b', { firstLeaf: leaf })),
        };
      }, true);
    expect(await askOf()).toEqual({ fits: true, does: true, result: true, newer: true });

    const head = store.log.treeHead();
    const files = [agent.fileId('/data/trial-7/a')];
    await store.events.append(resolution(body, { files, parts: 2, head }));
    expect(await askOf()).toMatchObject({ does: true });
    await refused(resolution(body, { key: newSigningKey(world.random) }), /not signed by the key/);
    const result = asFileId(resultIdFor(agent.pathKey, utf8('/data/trial-7')));
    await store.events.append(resolution(body, { files: [result], part: 2, parts: 2, head }));
    expect(await askOf()).toEqual({ fits: true, does: false, result: true, newer: true });
    // A PC that came to it later was not looked at.
    expect(await askOf(later.lineageId)).toMatchObject({ does: true });
    // With its name it is judged by that.
    expect(await asking((held) => over(held, named('/data/b', { firstLeaf: leaf })))).toEqual([]);
  });

  test('is resolved by all parts in their order, for leaves that the log has, while it is in force', async () => {
    const body = await set({ globs: ['/a'] });
    const plain = await set({ name: 'plain' });
    await refused(resolution(plain), /names no paths/);
    const head = store.log.treeHead();
    await refused(resolution(body, { head: { ...head, size: head.size + 9 } }), /does not have/);
    const resolved = () => store.holds.all()[0]?.resolved;
    await store.events.append(resolution(body, { part: 2, parts: 2, head }));
    await store.events.append(resolution(body, { part: 1, parts: 2, head }));
    await store.events.append(resolution(body, { part: 3, parts: 3, head }));
    await store.events.append(resolution(body, { part: 2, parts: 2, head }));
    expect(resolved()).toBe(undefined);
    await store.events.append(resolution(body, { part: 1, parts: 2, head }));
    const { leafIndex } = await store.events.append(resolution(body, { part: 2, parts: 2, head }));
    expect(resolved()).toEqual({ size: head.size, leaf: leafIndex });
    expect(await store.events.append(resolution(body, { head }))).toEqual({ leafIndex });
    await store.events.append(release(body));
    await refused(resolution(body), /was released/);
  });

  test('I-C2: and all that was said of it is in the catalog, live and after a rebuild alike', async () => {
    const body = await set({ globs: ['/a'], agents: ['hplc-1'], lineageIds: [agent.lineageId] });
    await store.events.append(resolution(body, { files: [agent.fileId('/a')] }));
    const begun = await set({ name: 'begun', globs: ['/b'] });
    await store.events.append(resolution(begun, { parts: 2 }));
    const over = await set({ name: 'over' });
    await store.events.append(release(over, certified(['retention'])));
    const holds = store.holds.all();
    await store.close();
    const live = await catalogRows(dir);
    rmSync(join(dir, 'catalog'), { recursive: true });
    store = await StoredVault.inFolder(dir, world.identity, world.ports());
    expect(store.holds.all()).toEqual(holds);
    await store.close();
    expect(await catalogRows(dir)).toEqual(live);
    store = await StoredVault.inFolder(dir, world.identity, world.ports());
    expect(store.holds.all()).toEqual(holds);
  });
});

describe('I-C20 a history that was put back to before a hold was set', () => {
  /** Everything of the folder as it was, but `holds.bin`; what a start told then. */
  async function putBack(meanwhile: () => Promise<void>): Promise<UnfitRecord[]> {
    const old = `${dir}.old`;
    await store.close();
    cpSync(dir, old, { recursive: true });
    store = await StoredVault.inFolder(dir, world.identity, world.ports());
    await meanwhile();
    await store.close();
    if (existsSync(join(dir, 'holds.bin'))) cpSync(join(dir, 'holds.bin'), join(old, 'holds.bin'));
    rmSync(dir, { recursive: true });
    renameSync(old, dir);
    return again();
  }

  async function again(): Promise<UnfitRecord[]> {
    const told: UnfitRecord[] = [];
    const onUnfit = (record: UnfitRecord) => void told.push(record);
    store = await StoredVault.inFolder(dir, world.identity, { ...world.ports(), onUnfit });
    return told;
  }

  const inForce = () =>
    store.holds.all().flatMap(({ body, released }) => (released ? [] : [body.name]));

  test('ends none: it is in force again before anybody asks, once, and nothing else comes back', async () => {
    await set({ name: 'before' });
    const over = await set({ name: 'over' });
    const told = await putBack(async () => {
      await set({ name: 'since', globs: ['/a'] });
      const short = await set({ name: 'short' });
      await store.events.append(release(short));
      await store.events.append(release(over));
    });
    expect(told).toMatchObject([{ type: 'holds', where: join(dir, 'holds.bin') }]);
    // Of `over` only the release was lost: it keeps more until that is said again.
    expect(inForce()).toEqual(['before', 'over', 'since']);
    await store.events.append(release(over));
    await store.close();
    expect(await again()).toEqual([]);
    expect(inForce()).toEqual(['before', 'since']);
  });

  test('P6 I-C20: a hold for which the file has no room is refused, and each before it is kept', async () => {
    const lineageIds = Array.from({ length: 1024 }, (_, at) => {
      const id = Buffer.alloc(16);
      id.writeUInt32BE(at);
      return asLineageId(new Uint8Array(id));
    });
    const large = { agents: ['*'], lineageIds, paths: world.random.bytes(16 * 1024) };
    let count = 0;
    const more = async (): Promise<void> => {
      await set({ ...large, name: `large-${count}` });
      count += 1;
    };
    await putBack(async () => {
      await expect(async () => {
        for (;;) await more();
      }).rejects.toMatchObject({ code: 'STORE_BAD_EVENT', message: /no more fits/ });
    });
    expect(count).toBeGreaterThan(100);
    expect(inForce()).toHaveLength(count);
  });

  test('P6: a file that is damaged, another vault’s, or has what is no hold is named and made again', async () => {
    await set();
    const file = join(dir, 'holds.bin');
    const good = readFileSync(file);
    const flipped = Buffer.from(good);
    flipped[30] = (flipped[30] ?? 0) ^ 1;
    const events = [encodeEventBody({ type: 'clockConfirmed', timeMs: 5, heldMs: 5 })];
    const others: Uint8Array[] = [flipped, good.subarray(0, 40), Buffer.alloc(0)];
    for (const spoil of [
      ...others.map((bytes) => async () => writeFileSync(file, bytes)),
      async () =>
        writeBook(holdsFile(nodeDisk, dir), { vaultId: world.descriptor.vaultId, events }),
      async () =>
        writeBook(holdsFile(nodeDisk, dir), {
          vaultId: new StoreWorld('x').descriptor.vaultId,
          events: [],
        }),
    ]) {
      await store.close();
      await spoil();
      expect(await again()).toMatchObject([{ type: 'file', where: file }]);
      expect(inForce()).toEqual(['trial-7']);
      expect(readFileSync(file)).toEqual(good);
    }
  });
});

function holdIn(event: EventBody): HoldBody {
  if (event.type !== 'holdSet') throw new Error('no hold');
  return event.hold;
}
