import { createCipheriv, createHash, createHmac } from 'node:crypto';
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openCommitKeys } from '@aliquot/shared/commit/commit';
import { openBlockKey } from '@aliquot/shared/commit/keys';
import { openNames } from '@aliquot/shared/commit/open-names';
import { sealChunk } from '@aliquot/shared/content/seal';
import { SlabBuilder } from '@aliquot/shared/content/slab';
import { boxKeyFromSecret } from '@aliquot/shared/crypto/box';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import { type OpenBundle, openBundle } from '@aliquot/shared/keys/bundle';
import { vaultKeysFrom } from '@aliquot/shared/keys/derive';
import { createKit, sealKit } from '@aliquot/shared/keys/kit';
import { systemRandom } from '@aliquot/shared/ports';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { IndexStore, indexOptions } from '../agent/src/queue/log/index-store.ts';
import { mustRun } from '../demo/programs.ts';
import { cachedChunks, derived, unmasked } from './attack/derive.ts';
import { aesBlock, aesKey, hmac, newHmacKey, padded, setHmacKey } from './attack/fast-crypto.ts';
import {
  type Material,
  overheard,
  seize,
  together,
  unionOf,
  windowsOf,
} from './attack/material.ts';
import { type Clue, investigate, Thief } from './attack/thief.ts';
import { type Trove, troveOf } from './attack/trove.ts';
import { World } from './world.ts';

/*
 * A thief has the whole folder of an agent, the bundle that it was enrolled with, all that the
 * programs ever printed, and everything that the collector stores. He tries whatever 32 bytes he
 * finds, and all that can be derived from them, as the key of every chunk, page, list part, read
 * part, wrap and queued draft.
 */

const PASSPHRASE = 'correct horse battery staple';
const nothingFound = { chunks: [], pages: [], names: [], reads: [], drafts: [], wraps: [] };
/** Small chunks, so that a file of 6 MB has pages. */
const vaultParameters = {
  chunkerVersion: 1,
  minChunkBytes: 8192,
  averageChunkBytes: 32_768,
  maxChunkBytes: 131_072,
  encoderVersion: 1,
};
const smallParameters = {
  'sequence 12.csv': 'vial,area,height\r\n1,48213.7,993.1\r\n',
  'patient 4711.txt': 'HIV-1 viral load 48000 copies/mL, confirmed by the second operator',
  'repeated.txt': 'the same line again\n'.repeat(500),
};

/**
 * Some 6 MB in nearly fifty chunks that compress to next to nothing: every stored byte is the
 * beginning of a candidate key.
 */
function trace(label: string, scans = 46): Buffer {
  const content = Buffer.alloc(scans * vaultParameters.maxChunkBytes);
  for (let at = 0; at < scans; at += 1)
    content.write(`${label} scan ${at}`, at * vaultParameters.maxChunkBytes);
  return content;
}

/** What one thief tries. */
interface Loot {
  readonly material: Material;
  readonly candidates: ReadonlySet<string>;
  readonly itemKeys: ReadonlySet<string>;
}

describe('P4: a stolen agent', () => {
  let world: World;
  let trove: Trove;
  let clues: Clue[];
  /** With --no-self-restore, everything receipted. */
  let receipted: Loot;
  /** The same agent a little earlier, with versions that were queued but not sent. */
  let unsent: Loot;
  /** An agent that may restore its own files. */
  let selfRestoring: Loot;
  /** What the collector's own folder adds. */
  let collector: ReadonlySet<string>;
  const written = { receipted: [] as string[], unsent: [] as string[], own: [] as string[] };
  let bundle: OpenBundle;
  let vaultSecret: Uint8Array;
  let said = '';

  async function agent(...args: readonly string[]): Promise<void> {
    const { stdout, stderr } = await mustRun('aliquot-agent', args);
    said += stdout + stderr;
  }

  async function write(
    place: string,
    files: Readonly<Record<string, string | Buffer>>,
  ): Promise<string[]> {
    await mkdir(join(world.folder, place), { recursive: true });
    for (const [name, content] of Object.entries(files))
      await writeFile(join(world.folder, place, name), content);
    return Object.values(files).map((content) => content.toString('latin1'));
  }

  function published(): Buffer[] {
    return Object.values(written)
      .flat()
      .map((text) => createHash('sha256').update(text, 'latin1').digest());
  }

  async function lootOf(folder: string, bundleText: string): Promise<Loot> {
    const material = together(await seize(folder), overheard(bundleText, said));
    const { enrolmentKey, pathKey, dedupSecrets } = openBundle(bundleText);
    const known = [
      ...material.secrets,
      enrolmentKey.seed,
      pathKey,
      ...dedupSecrets.map(({ secret }) => secret),
    ];
    const secrets = [
      ...new Map(known.map((key) => [Buffer.from(key).toString('hex'), key])).values(),
    ];
    return {
      material,
      candidates: unionOf(windowsOf(material), derived(secrets, trove)),
      itemKeys: unmasked(material, secrets, published()),
    };
  }

  function thief(...loots: readonly ReadonlySet<string>[]): Thief {
    return new Thief(trove, clues, unionOf(...loots));
  }

  beforeAll(async () => {
    vi.stubEnv('ALIQUOT_LOG_LEVEL', 'debug');
    world = await World.open();
    world.server.child.stderr?.on('data', (bytes: Buffer) => {
      said += bytes.toString('latin1');
    });
    const kit = join(world.folder, 'small chunks.kit');
    const made = createKit(
      { name: 'small chunks', blind: false, nowMs: Date.now(), parameters: vaultParameters },
      systemRandom,
    );
    vaultSecret = made.vaultSecretKey;
    await writeFile(kit, sealKit(made, PASSPHRASE, systemRandom, { logN: 4, r: 8, p: 1 }));
    await world.aliquot(['vault', 'add', '--kit', kit]);
    const enrol = async (
      name: string,
      ...options: readonly string[]
    ): Promise<{ data: string; bundleText: string }> => {
      const file = join(world.folder, `${name}.bundle`);
      await world.aliquot(['enroll', name, '--kit', kit, '--out', file, ...options]);
      const data = join(world.folder, `agent-${name}`);
      await agent('enroll', file, '--data', data);
      return { data, bundleText: await readFile(file, 'utf8') };
    };
    const plain = await enrol('write-only', '--no-self-restore');
    const own = await enrol('self-restoring');
    bundle = openBundle(plain.bundleText);

    const data = join(world.folder, 'data');
    written.receipted = await write('data', { ...smallParameters, 'run.raw': trace('first') });
    await agent('backup', data, '--data', plain.data, '--json');
    // The grown run shares its first chunks with what was receipted before.
    written.unsent = await write('data', {
      'late.txt': 'written while the cable was out',
      'run.raw': trace('first', 47),
    });
    await agent('backup', data, '--data', plain.data, '--offline', '--json');
    const offline = join(world.folder, 'stolen while offline');
    await cp(plain.data, offline, { recursive: true });
    await agent('flush', '--data', plain.data, '--json');
    written.own = await write('own', {
      'mine.txt': 'of the PC that may restore its own files',
      'third.raw': trace('third', 34),
    });
    await agent('backup', join(world.folder, 'own'), '--data', own.data, '--json');
    await world.unserve();

    const folders = [plain.data, own.data, offline];
    trove = await troveOf(world.collectorData, folders, published());
    receipted = await lootOf(plain.data, plain.bundleText);
    unsent = await lootOf(offline, plain.bundleText);
    selfRestoring = await lootOf(own.data, own.bundleText);
    // Records of packs and history are the trove; everything else there may hold keys.
    const collectorFolder = await seize(
      world.collectorData,
      (path) => !/\.(pack|history)$/.test(path),
    );
    collector = unionOf(windowsOf(collectorFolder), derived(collectorFolder.secrets, trove));
    const loots = [receipted, unsent, selfRestoring];
    const candidates = unionOf(collector, ...loots.map((loot) => loot.candidates));
    const itemKeys = unionOf(...loots.map((loot) => loot.itemKeys));
    clues = await investigate(trove, candidates, itemKeys);
  });

  afterAll(async () => {
    vi.unstubAllEnvs();
    await world?.close();
  });

  it('the attack looks where it should: there are chunks, a page, pieces of slabs, commits, sealed drafts and a cache, and all rows of LevelDB are seen', async () => {
    const kinds = [...trove.items.values()].map(({ kind }) => kind);
    expect(kinds.filter((kind) => kind === 'chunk').length).toBeGreaterThan(80);
    expect(kinds.filter((kind) => kind === 'page').length).toBeGreaterThanOrEqual(3);
    expect(kinds.filter((kind) => kind === 'piece').length).toBeGreaterThan(3);
    expect(trove.commits.length).toBeGreaterThanOrEqual(3);
    expect(trove.drafts.reduce((sum, { count }) => sum + count, 0)).toBeGreaterThan(10);
    expect(cachedChunks(receipted.material)).toBeGreaterThan(40);
    expect(receipted.material.secrets.length).toBeGreaterThan(4);
    expect(said).toContain('agent connected');
  });

  it('P4, I-A3: with the agent and all that the collector stores but the catalog key, not one chunk, page, name or read part opens', () => {
    expect(thief(receipted.candidates, receipted.itemKeys).spoils).toEqual(nothingFound);
  });

  it('P3, P4: with the whole folder of the collector, catalog key included, names and times open, and still no chunk, page or read part', () => {
    const { names, wraps, ...rest } = thief(
      receipted.candidates,
      receipted.itemKeys,
      collector,
    ).spoils;
    expect(rest).toEqual({ chunks: [], pages: [], reads: [], drafts: [] });
    const data = join(world.folder, 'data');
    expect(names).toEqual(
      expect.arrayContaining(
        [...Object.keys(smallParameters), 'late.txt', 'run.raw'].map((name) => join(data, name)),
      ),
    );
    expect(names).toContain(join(world.folder, 'own', 'mine.txt'));
    expect(wraps).toHaveLength(trove.commits.length);
  });

  it('the attack can succeed: an agent stolen with unsent versions gives away those, and what they share with receipted ones', () => {
    const found = thief(unsent.candidates);
    const plaintexts = [...found.chunks.values()].map((bytes) => bytes.toString('latin1'));
    expect(plaintexts).toContain('written while the cable was out');
    expect(plaintexts.filter((text) => text.startsWith('first scan')).length).toBeGreaterThan(40);
    expect(found.pages.size).toBe(1);
    expect(found.drafts.size).toBeGreaterThanOrEqual(2);
    // Receipted, and not among the unsent: closed here, too.
    for (const content of Object.values(smallParameters)) expect(plaintexts).not.toContain(content);
    expect(found.spoils).toMatchObject({ names: [], reads: [], wraps: [] });
  });

  it("the attack can succeed: an agent that may restore by itself opens its own wraps, names, pages and chunks, and nobody else's", () => {
    const found = thief(selfRestoring.candidates, selfRestoring.itemKeys);
    const plaintexts = [...found.chunks.values()].map((bytes) => bytes.toString('latin1'));
    const own = join(world.folder, 'own');
    expect([...found.names].sort()).toEqual([own, join(own, 'mine.txt'), join(own, 'third.raw')]);
    expect(plaintexts).toContain(written.own[0]);
    expect(plaintexts.filter((text) => text.startsWith('third scan')).length).toBeGreaterThan(30);
    expect(plaintexts.filter((text) => /first scan|viral|cable/.test(text))).toEqual([]);
    expect(found.pages.size).toBe(1);
    expect(found.reads.size).toBe(2);
  });

  it('the attack can succeed: each kind of key alone, in Base64 somewhere in a text, opens what it should and nothing more', async () => {
    const [commit] = trove.commits.filter(({ entries }) =>
      entries.some(({ content }) => content.depth === 1),
    );
    const slot = commit?.entries.findIndex(({ content }) => content.depth === 1);
    const block = commit?.rows.blocks[commit.rows.placeOf(slot ?? 0)?.index ?? 0];
    if (!commit || !block || slot === undefined) throw new Error('no commit with a page');
    const { listKey, readKey } = openCommitKeys(
      commit.wraps,
      boxKeyFromSecret(vaultSecret),
      'vault',
      commit.header,
    );
    if (!listKey || !readKey) throw new Error('the kit does not open the commit');
    const reader = { key: boxKeyFromSecret(vaultSecret), recipient: 'vault' } as const;
    const [opened] = openNames(commit, [{ slot }], reader, ({ error }) => {
      throw error;
    });
    const [pageKey] = opened?.read()?.keys ?? [];
    const spoilsOf = async (
      key: Uint8Array | undefined,
    ): Promise<Record<keyof typeof nothingFound, number>> => {
      const candidates = windowsOf(
        overheard(`{"oops":"${Buffer.from(key ?? []).toString('base64')}"}`),
      );
      const { chunks, pages, names, reads, drafts, wraps } = new Thief(
        trove,
        await investigate(trove, candidates, new Set()),
        candidates,
      ).spoils;
      const counts = { chunks: chunks.length, pages: pages.length, names: names.length };
      return { ...counts, reads: reads.length, drafts: drafts.length, wraps: wraps.length };
    };
    const none = { chunks: 0, pages: 0, names: 0, reads: 0, drafts: 0, wraps: 0 };
    const filesIn = (entries: readonly { readonly kind: string }[]) =>
      entries.filter(({ kind }) => kind === 'file').length;
    const files = filesIn(commit.entries);
    const all = trove.commits.flatMap(({ entries }) => entries);
    const behindPage = { chunks: expect.toSatisfy((count: number) => count > 30), pages: 1 };
    expect(await spoilsOf(listKey)).toEqual({ ...none, names: commit.entries.length });
    expect(await spoilsOf(readKey)).toMatchObject({ names: 0, reads: files, pages: 1 });
    // A block's key opens its rows. Grants hand out none of these: `block.test.ts`.
    const inBlock = commit.entries.slice(block.from, block.from + block.rows.count);
    expect(await spoilsOf(openBlockKey('list', listKey, block.listBox))).toEqual({
      ...none,
      names: inBlock.length,
    });
    expect(await spoilsOf(openBlockKey('read', readKey, block.readBox))).toMatchObject({
      ...none,
      ...behindPage,
      reads: filesIn(inBlock),
    });
    expect(await spoilsOf(pageKey)).toEqual({ ...none, ...behindPage });
    const { reads, wraps, chunks } = await spoilsOf(vaultSecret);
    expect({ reads, chunks }).toEqual({
      reads: filesIn(all),
      chunks: [...trove.items.values()].filter(({ kind }) => kind !== 'page').length,
    });
    expect(wraps).toBe(
      trove.commits.flatMap((one) => one.wraps.filter(({ recipient }) => recipient === 'vault'))
        .length,
    );
  });

  it('the honest limit: with the dedup secret a right guess at a whole chunk, or at all files of a slab, is confirmed, and a nearly right one is not', async () => {
    const keys = vaultKeysFrom(bundle.dedupSecrets, bundle.descriptor);
    const confirmed = async (guessed: readonly Uint8Array[]): Promise<string[]> => {
      const itemKeys = new Set(guessed.map((key) => Buffer.from(key).toString('latin1')));
      const found = new Thief(trove, await investigate(trove, new Set(), itemKeys), itemKeys);
      expect({ ...found.spoils, chunks: [] }).toEqual(nothingFound);
      return [...found.chunks.values()].map((bytes) => bytes.toString('latin1')).sort();
    };
    const chunkKey = (text: string) => sealChunk(keys, Buffer.from(text, 'latin1')).key;
    const scan = [...thief(unsent.candidates).chunks.values()]
      .map((bytes) => bytes.toString('latin1'))
      .find((text) => text.startsWith('first scan'));
    expect(await confirmed([chunkKey(scan ?? '')])).toEqual([scan]);
    expect(await confirmed([chunkKey(`${scan?.slice(0, -1)}?`)])).toEqual([]);
    const slabKeys = (files: readonly string[]) => {
      const builder = new SlabBuilder(keys);
      for (const file of files) builder.add(Buffer.from(file), sha256(Buffer.from(file)));
      return builder.seal().pieceKeys;
    };
    const names = Object.keys(smallParameters).sort() as (keyof typeof smallParameters)[];
    const files = names.map((name): string => smallParameters[name]);
    expect(await confirmed(slabKeys(files))).toEqual([...files].sort());
    const nearly = files.map((file) => file.replace('48000', '49000'));
    expect(nearly).not.toEqual(files);
    expect(await confirmed(slabKeys(nearly))).toEqual([]);
    expect(await confirmed([chunkKey(smallParameters['patient 4711.txt'])])).toEqual([]);
  });

  it('the attack finds a key wherever it is hidden: in a deleted row of LevelDB, behind Snappy, in Base64, in hex', async () => {
    const [id] = [...trove.items].find(([, { kind }]) => kind === 'chunk') ?? [''];
    const key = Buffer.from(id, 'hex'); // any 32 bytes do
    const folder = temporaryFolder();
    const text = `{"a":"${key.toString('base64')}"}`;
    await writeFile(join(folder, 'odd.json'), text);
    await writeFile(join(folder, 'odd.txt'), `token: ${key.toString('hex')}\n`);
    for (const file of ['odd.json', 'odd.txt'])
      expect(
        windowsOf(await seize(folder, (path) => path.endsWith(file))).has(key.toString('latin1')),
        file,
      ).toBe(true);
    const database = join(folder, 'database');
    const repeated = Buffer.concat([
      Buffer.alloc(5000, 'compresses well'),
      key.subarray(0, 16),
      Buffer.alloc(9),
      key,
    ]);
    for (const step of ['put', 'del', 'nothing'] as const) {
      // opening turns the log of the time before into a table
      const { store } = await IndexStore.open(nodeDisk, indexOptions(database, new Uint8Array()));
      if (step === 'put') store.put(Buffer.from('row'), repeated);
      if (step === 'del') store.del(Buffer.from('row'));
      await store.write();
      await store.close();
    }
    const raw = await readdir(database);
    expect(raw.some((name) => name.endsWith('.ldb'))).toBe(true);
    const tables = await seize(database, (path) => path.endsWith('.ldb'));
    expect(windowsOf(tables).has(key.toString('latin1'))).toBe(true);
    const unaided = await Promise.all(raw.map((name) => readFile(join(database, name))));
    expect(unaided.some((bytes) => bytes.includes(key))).toBe(false);
  });

  it('the fast ciphers of the search are those of node:crypto', () => {
    const words = (bytes: Buffer): Uint32Array =>
      Uint32Array.from({ length: bytes.length / 4 }, (_, at) => bytes.readUInt32BE(4 * at));
    const hex = (value: Uint32Array): string =>
      [...value].map((word) => word.toString(16).padStart(8, '0')).join('');
    for (let seed = 0; seed < 100; seed += 1) {
      const key = createHash('sha256').update(`key ${seed}`).digest();
      const block = key.subarray(0, 16);
      const [a = 0, b = 0, c = 0, d = 0] = words(block);
      const out = new Uint32Array(4);
      aesKey(words(key));
      aesBlock(a, b, c, d, out, 0);
      expect(hex(out)).toBe(createCipheriv('aes-256-ecb', key, null).update(block).toString('hex'));
      const message = Buffer.alloc(seed, key);
      const mac = newHmacKey();
      const digest = new Uint32Array(8);
      setHmacKey(words(key), mac);
      hmac(mac, padded(message), digest);
      expect(hex(digest)).toBe(createHmac('sha256', key).update(message).digest('hex'));
    }
  });
});
