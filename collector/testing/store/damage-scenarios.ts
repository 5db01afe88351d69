import { mkdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { AliquotError, decodeCommitHeader, decodeSignedCommit } from '@aliquot/proto';
import { readCommit } from '@aliquot/shared/commit/rows';
import { hex } from '@aliquot/shared/crypto/bytes';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import { hereHasher } from '@aliquot/shared/hashing/hasher';
import {
  type DamageTrial,
  damaged,
  damageScenario,
  damagesOf,
  type FileDamage,
  imageOf,
  layOut,
} from '@aliquot/shared/testing/damage';
import type { TortureScenario } from '@aliquot/shared/testing/scenario';
import { initCollector, openCollector } from '../../src/store/collector.ts';
import type { CollectorStore } from '../../src/store/collector-store.ts';
import type { UnfitRecord } from '../../src/store/errors.ts';
import { fsckCollector } from '../../src/store/fsck/fsck.ts';
import type { Finding } from '../../src/store/fsck-finding.ts';
import type { VaultStore } from '../../src/store/vault-store.ts';
import { holdOn } from '../retention/signed.ts';
import { expectThat } from './collector-life.ts';
import { recordsIn } from './copies.ts';
import { content, StoreWorld, type WorldAgent, type WorldFile } from './world.ts';

/** So small that a few items fill a pack, and a few records a file of the history. */
const sizes = { packBytes: 3000, historyFileBytes: 3000 };
const folders = ['packs', 'history', 'catalog'];

/** A commit that an agent has a receipt for, and what is in it. */
interface Sent {
  readonly bytes: Uint8Array;
  readonly files: readonly WorldFile[];
}

interface KnownAgent {
  readonly agent: WorldAgent;
  readonly sent: Sent[];
}

/** A vault of the collector whose folder is damaged. */
interface Known {
  readonly world: StoreWorld;
  readonly agents: readonly KnownAgent[];
  /** Who was revoked, of whom nothing more may be taken. */
  readonly out?: WorldAgent;
}

async function backed(
  known: KnownAgent,
  vault: VaultStore,
  files: readonly WorldFile[],
): Promise<void> {
  known.agent.world.clock.now += 1000;
  const { bytes } = await known.agent.back(vault, files);
  known.sent.push({ bytes, files });
}

const chunks = (word: string, count: number, bytes: number) =>
  Array.from({ length: count }, (_, index) => content(`${word} ${index}`, bytes));

/** A collector with two vaults; what of it is older was taken half-way. */
async function made(root: string) {
  const dir = join(root, 'collector');
  const [one, two] = [new StoreWorld('one'), new StoreWorld('two', { blind: true })];
  const ports = one.ports(sizes);
  let store = await initCollector(dir, { name: 'freezer' }, ports);
  const add = (world: StoreWorld, catalogSecretKey: Uint8Array | undefined) => {
    const certificate = world.certificateFor(store.identity);
    return store.addVault({ descriptor: world.kit.descriptor, certificate, catalogSecretKey });
  };
  const vault = await add(one, one.kit.catalogSecretKey);
  const other = await add(two, undefined);
  const a: KnownAgent = { agent: await one.agent(vault, 'hplc-1'), sent: [] };
  const b: KnownAgent = { agent: await one.agent(vault, 'ms-2'), sent: [] };
  const c: KnownAgent = { agent: await two.agent(other, 'gc-3'), sent: [] };
  const out = await one.agent(vault, 'thief');
  const known: Known[] = [
    { world: one, agents: [a, b], out },
    { world: two, agents: [c] },
  ];
  await backed(a, vault, [a.agent.file('/d/a', chunks('a', 2, 60))]);
  await backed(c, other, [c.agent.file('/d/x', chunks('x', 2, 60))]);
  await store.close();
  const older = imageOf(dir);
  store = await openCollector(dir, ports);
  const [again, otherAgain] = [one, two].map((world) => store.vault(world.descriptor.vaultId));
  if (again === undefined || otherAgain === undefined) throw new Error('no vault');
  const small = { '/s/1': content('s', 80), '/s/2': content('t', 90), '/s/3': content('u', 9) };
  await backed(a, again, a.agent.small(small));
  await backed(a, again, [a.agent.file('/d/big', chunks('part', 40, 30))]);
  await backed(b, again, [b.agent.file('/e/b', chunks('a', 2, 60))]);
  const { agentId } = out;
  await again.events.append({ type: 'agentRevoked', timeMs: one.clock.now, agentId, reason: '' });
  await again.events.append(holdOn(one, ['/d/**']).set);
  await backed(a, again, [a.agent.file('/d/a', chunks('later', 1, 60))]);
  await backed(c, otherAgain, [c.agent.file('/d/y', chunks('y', 1, 60))]);
  await store.close();
  return { dir, known, image: imageOf(dir), older };
}

const kinds: readonly (readonly [RegExp, string])[] = [
  [/\.pack$/, 'pack'],
  [/\.history$/, 'history'],
  [/catalog\//, 'catalog'],
  [/durable\.json$/, 'durable.json'],
  [/ended\.bin$/, 'ended.bin'],
  [/holds\.bin$/, 'holds.bin'],
  [/vault\.bin$/, 'vault.bin'],
  [/catalog\.key$/, 'catalog.key'],
  [/identity\.key$/, 'identity.key'],
  [/admin\.token$/, 'admin.token'],
  [/collector\.json$/, 'collector.json'],
  [/lock/, 'lock'],
];

/** Those that no vault can be served without. */
const ofAll: ReadonlySet<string> = new Set(['identity.key', 'collector.json', 'folder']);
/** Those whose loss may stop the vault that they belong to. */
const ofVault: ReadonlySet<string> = new Set(['vault.bin', 'catalog.key', 'history']);

/**
 * A vault whose packs are all gone, or whose newest is another's, has the wrong disk below it more
 * often than a fault: it stops, and is named.
 */
const stopsItsVault = ({ kind, name }: FileDamage): boolean =>
  ofVault.has(kind) || (kind === 'pack' && !/, (bit|cut) /.test(name));

function kindOf(file: string): string {
  return kinds.find(([pattern]) => pattern.test(file))?.[1] ?? 'folder';
}

async function edgesIn(dir: string, vaults: readonly string[]): Promise<Map<string, number[]>> {
  const edges = new Map<string, number[]>();
  for (const vault of vaults)
    for (const log of ['packs', 'history'] as const)
      for (const { file, offset, end } of await recordsIn(nodeDisk, join(dir, vault), log)) {
        const suffix = log === 'packs' ? 'pack' : 'history';
        const name = join(vault, log, `${String(file).padStart(8, '0')}.${suffix}`);
        edges.set(name, [...(edges.get(name) ?? []), offset, end]);
      }
  return edges;
}

/** Judges one damage of the collector's folder. */
class Judge {
  readonly #dir: string;
  readonly #damage: FileDamage;
  readonly #known: readonly Known[];
  readonly #told: UnfitRecord[] = [];
  readonly #sentSince: Uint8Array[] = [];
  #findings: Finding[] = [];

  constructor(dir: string, damage: FileDamage, known: readonly Known[]) {
    this.#dir = dir;
    this.#damage = damage;
    this.#known = known;
  }

  async run(): Promise<'whole' | 'named'> {
    this.#findings = await this.#fsck();
    const store = await this.#open();
    if (store === undefined) return 'named';
    let lost = 0;
    try {
      for (const known of this.#known) lost += await this.#vault(store, known);
    } finally {
      await store.close();
    }
    if (lost > 0) {
      expectThat(this.#findings.length > 0, `${lost} versions are lost, and fsck finds nothing`);
      return 'named';
    }
    return this.#findings.length > 0 || this.#told.length > 0 ? 'named' : 'whole';
  }

  get #ports() {
    const onUnfit = (record: UnfitRecord) => void this.#told.push(record);
    return { ...(this.#known[0] as Known).world.ports(sizes), onUnfit, hasher: hereHasher };
  }

  /** What fsck finds wrong. */
  async #fsck(): Promise<Finding[]> {
    const findings: Finding[] = [];
    const onFinding = (finding: Finding) => {
      if (finding.severity !== 'info') findings.push(finding);
      expectThat(
        !finding.what.includes('unexpected'),
        `fsck meets what nobody foresaw: ${finding.what}`,
      );
    };
    try {
      await fsckCollector(this.#dir, { ...this.#ports, onFinding });
    } catch (error) {
      this.#refused(error);
      findings.push({ code: 'folder' } as Finding);
    }
    return findings;
  }

  async #open(): Promise<CollectorStore | undefined> {
    try {
      return await openCollector(this.#dir, this.#ports);
    } catch (error) {
      this.#refused(error);
      return undefined;
    }
  }

  #refused(error: unknown): void {
    if (!(error instanceof AliquotError)) throw error;
    const { kind, files } = this.#damage;
    expectThat(ofAll.has(kind), `no vault is served: ${error.code} ${error.message}`);
    const isNamed = files.some((file) => error.message.includes(basename(file)));
    expectThat(isNamed || error.message.includes(this.#dir), `not named: ${error.message}`);
  }

  /** Whether the damage is in this vault's folder. */
  #isIn({ world }: Known): boolean {
    return this.#damage.files.some((file) => file.includes(hex(world.descriptor.vaultId)));
  }

  /** How many versions of a vault are lost. */
  async #vault(store: CollectorStore, known: Known): Promise<number> {
    const { vaultId } = known.world.descriptor;
    const vault = store.vault(vaultId);
    if (vault === undefined) {
      const isOurs = this.#isIn(known) && stopsItsVault(this.#damage);
      expectThat(isOurs, 'a vault is not served that is not concerned');
      expectThat(this.#findings.length > 0, 'a vault is not served, and fsck finds nothing');
      const ailing = store.ailing().find(({ id }) => id === hex(vaultId));
      expectThat(ailing !== undefined, 'a vault is not served, and nobody says so');
      return 1;
    }
    let lost = 0;
    for (const { agent, sent } of known.agents) lost += await this.#agent(vault, agent, sent);
    if (lost > 0) expectThat(this.#isIn(known), 'a vault that is not concerned has lost something');
    if (known.out !== undefined) await this.#staysOut(vault, known.out);
    for (const { agent, sent } of known.agents) await this.#goesOn(vault, agent.copy(), sent);
    for (const { agent, sent } of known.agents) {
      const rest = await this.#agent(vault, agent, sent);
      expectThat(rest === 0, `${rest} versions are lost though ${agent.name} has all of them`);
    }
    return lost;
  }

  /** Versions of an agent that cannot be had; throws where that is not named. */
  async #agent(vault: VaultStore, agent: WorldAgent, sent: readonly Sent[]): Promise<number> {
    const listed = new Set<string>();
    let isNamed = this.#told.length > 0;
    const onLost = () => {
      isNamed = true;
    };
    for await (const record of vault.reading.everyVersion(agent.lineageId, onLost)) {
      const { header } = decodeSignedCommit(record.commit);
      const { sequence } = decodeCommitHeader(header);
      const { rows } = readCommit(record.commit);
      expectThat(
        [...sent.map(({ bytes }) => bytes), ...this.#sentSince].some((bytes) =>
          equalBytes(bytes, record.commit),
        ),
        'a commit is listed that the agent did not make',
      );
      for (const slot of record.live) {
        const entry = rows.entry(slot);
        if (entry !== undefined) listed.add(`${sequence} ${hex(entry.fileId)}`);
      }
    }
    let lost = 0;
    for (const [at, { files }] of sent.entries())
      for (const { draft, items } of files) {
        const isListed = listed.has(`${at + 1} ${hex(draft.fileId)}`);
        const missing = isListed ? await this.#missing(vault, items) : 0;
        if (isListed && missing === 0) continue;
        lost += 1;
        if (missing > 0) isNamed = true;
      }
    expectThat(lost === 0 || isNamed, `${lost} versions of ${agent.name} are gone in silence`);
    return lost;
  }

  /** How many items are not there; throws for one that is passed off as another. */
  async #missing(vault: VaultStore, items: WorldFile['items']): Promise<number> {
    let missing = 0;
    for await (const item of vault.reading.readItems(items.map(({ id }) => id))) {
      const sent = items.find(({ id }) => equalBytes(id, item.id));
      const isWhole =
        item.type === 'item' && sent !== undefined && equalBytes(sent.bytes, item.bytes);
      // Of a slab the pieces that still prove are given, with a hole that whoever opens it names.
      if (item.type === 'item' && item.kind !== 'slab') expectThat(isWhole, 'wrong bytes');
      if (!isWhole) missing += 1;
    }
    return missing;
  }

  /** Nothing of who was revoked is taken, whichever file says so no more. */
  async #staysOut(vault: VaultStore, out: WorldAgent): Promise<void> {
    const { bytes } = out.copy().build([out.directory('/in')]);
    const outcome = await vault.intake.commit(out.agentId, bytes, out.world.clock.now);
    expectThat(outcome.type === 'refused', 'who was revoked is let in again');
  }

  /** The agent sends what it is asked for, and something new. */
  async #goesOn(vault: VaultStore, agent: WorldAgent, sent: readonly Sent[]): Promise<void> {
    const head = await vault.intake.chainHead(agent.agentId, agent.chainId);
    for (const [at, { bytes, files }] of sent.entries())
      if (at + 1 > (head?.sequence ?? 0)) await this.#deliver(vault, agent, bytes, files);
    const file = agent.file('/new', [content(`new of ${agent.name}`, 50)]);
    const { bytes } = agent.build([file.draft]);
    this.#sentSince.push(bytes);
    await this.#deliver(vault, agent, bytes, [file]);
  }

  async #deliver(
    vault: VaultStore,
    agent: WorldAgent,
    bytes: Uint8Array,
    files: readonly WorldFile[],
  ): Promise<void> {
    for (let round = 0; round < 6; round += 1) {
      const outcome = await vault.intake.commit(agent.agentId, bytes, agent.world.clock.now);
      if (outcome.type === 'accepted') return;
      if (outcome.type === 'refused')
        throw new Error(`refused: ${agent.name}: ${outcome.code} ${outcome.message}`);
      const items = files.flatMap((file) => file.items);
      await vault.intake.putChunks(agent.lineageId, items);
    }
    throw new Error('six uploads were not enough');
  }
}

async function trialIn(root: string, only: (damage: FileDamage) => boolean): Promise<DamageTrial> {
  mkdirSync(root, { recursive: true });
  const { dir, known, image, older } = await made(root);
  const vaults = known.map(({ world }) => join('vaults', hex(world.descriptor.vaultId)));
  const edges = await edgesIn(dir, vaults);
  const damages = damagesOf(image, {
    kindOf,
    edgesOf: (file) => edges.get(file) ?? [],
    older,
  }).filter(only);
  const empty = vaults.flatMap((vault) => folders.map((folder) => join(vault, folder)));
  const clocks = known.map(({ world }) => world.clock.now);
  return {
    damages,
    async judge(damage, at) {
      known.forEach(({ world }, index) => {
        world.clock.now = clocks[index] ?? 0;
      });
      layOut(damaged(image, damage), at, empty);
      return new Judge(at, damage, known).run();
    },
  };
}

function scenario(name: string, what: string, mine: readonly string[]): TortureScenario {
  const about = {
    name: `damaged-collector-${name}`,
    about: `every bit and every cut of ${what} in a collector's folder, its loss, its swap with another, and an older copy of it: all is there, or what is missing is named; no other vault is concerned, what agents still have comes again, and they go on`,
    proves: ['P1', 'P2', 'P5', 'P6'] as const,
  };
  return damageScenario(about, (root) => trialIn(root, ({ kind }) => mine.includes(kind)));
}

/** Damage of each kind of file in the collector's folder. */
export const damageScenarios: readonly TortureScenario[] = [
  scenario('packs', 'each pack', ['pack']),
  scenario('history', 'each file of the history', ['history']),
  scenario('catalog', 'each file of the catalog', ['catalog', 'durable.json']),
  scenario('keys', 'each small file', [
    'vault.bin',
    'ended.bin',
    'holds.bin',
    'catalog.key',
    'identity.key',
    'admin.token',
    'collector.json',
    'folder',
    'lock',
  ]),
];
