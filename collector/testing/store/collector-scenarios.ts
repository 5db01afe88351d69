import { appendFileSync, cpSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { decodeCollectorAddressesBody, type EventBody, type Signed } from '@aliquot/proto';
import type { DiskPort } from '@aliquot/shared/derived/level-port';
import { issueAddresses } from '@aliquot/shared/keys/certificates';
import { type CrashScenario, tortureOf } from '@aliquot/shared/testing/enumerate';
import type { TortureScenario } from '@aliquot/shared/testing/scenario';
import { keys } from '../../src/store/catalog/catalog-keys.ts';
import { CatalogChange } from '../../src/store/catalog/catalog-store.ts';
import { initCollector, openCollector } from '../../src/store/collector.ts';
import { fsckCollector } from '../../src/store/fsck/fsck.ts';
import type { Finding } from '../../src/store/fsck-finding.ts';
import type { VaultStore } from '../../src/store/vault-store.ts';
import { holdOn } from '../retention/signed.ts';
import { CollectorLife } from './collector-life.ts';
import { catalogIn } from './copies.ts';
import { collectorExpire } from './expire-scenario.ts';
import { collectorKeep } from './keep-scenario.ts';
import {
  collectorDoubledPack,
  collectorLostPack,
  collectorSwappedPacks,
  collectorTwiceHeld,
} from './lost-scenarios.ts';
import { packsAndHistory } from './media-scenarios.ts';
import { collectorPurge } from './purge-scenario.ts';
import { collectorRewrite } from './rewrite-scenario.ts';
import { historyRewrite } from './thin-scenario.ts';
import { content, StoreWorld, WorldAgent } from './world.ts';

const chunks = (word: string, count: number, bytes = 100) =>
  Array.from({ length: count }, (_, index) => content(`${word} ${index}`, bytes));

const blind = { blind: true };

/** A collector in `dir` with the world's vault, closed. */
async function madeCollector(
  dir: string,
  world: StoreWorld,
  live: (vault: VaultStore) => Promise<void> = async () => undefined,
): Promise<void> {
  const store = await initCollector(dir, { name: 'freezer' }, world.ports({ packBytes: 9000 }));
  const certificate = world.certificateFor(store.identity);
  await live(
    await store.addVault({
      descriptor: world.kit.descriptor,
      certificate,
      catalogSecretKey: undefined,
    }),
  );
  await store.close();
}

const collectorInit: CrashScenario = {
  name: 'collector-init',
  about:
    'every file and LevelDB call of making a collector, adding a vault and enrolling an agent fails, is cut short or is the last',
  proves: ['P1'],
  begin: async (root) => {
    const world = new StoreWorld('init', blind);
    const life = new CollectorLife(join(root, 'collector'), world);
    const agent = new WorldAgent(world, 'hplc-1');
    return life
      .addVault()
      .enrol(agent)
      .back(agent, 'backs up one file', () => [agent.file('/d/a', [content('a')])]);
  },
};

/** Uploads, commits, events, a pack that is full, a catalog that is written, and a replacement. */
export const collectorDay: CrashScenario = {
  name: 'collector-day',
  about:
    'every file and LevelDB call of a collector that takes chunks, commits and events, rotates packs and writes its catalog fails, is cut short or is the last; every receipt and answer is honoured afterwards',
  proves: ['P1', 'P5'],
  begin: async (root) => {
    const world = new StoreWorld('day', blind);
    const dir = join(root, 'collector');
    await madeCollector(dir, world);
    const life = new CollectorLife(dir, world, { made: true });
    const [one, two] = [new WorldAgent(world, 'hplc-1'), new WorldAgent(world, 'ms-2')];
    life
      .enrol(one)
      .back(one, 'a small file', () => [one.file('/d/a', [content('a'), content('b')])]);
    const small = { '/s/a': content('s', 80), '/s/b': content('t', 900), '/s/c': content('u', 9) };
    life.back(one, 'small files', () => one.small(small));
    life.back(one, 'a file with pages', () => [one.file('/d/big', chunks('part', 40, 200))]);
    life.step('catalog', (vault) => vault.flush());
    life
      .enrol(two)
      .back(two, 'the same again', () => [
        two.file('/e/big', chunks('part', 40, 200)),
        two.directory('/e'),
        ...two.small(small),
      ]);
    life.back(one, 'a file that went', () => [
      one.gone('/d/a'),
      one.file('/d/c', [content('b'), content('c')]),
    ]);
    life.step('seen', async (vault) => vault.intake.seen(two.agentId, world.clock.now));
    const successor = new WorldAgent(world, 'ms-2', two);
    life
      .enrol(successor)
      .back(successor, 'goes on', () => [successor.file('/e/big', chunks('part', 20, 200))]);
    const agentId = successor.agentId;
    return life.event('revoke', () => ({
      type: 'agentRevoked',
      timeMs: world.clock.now,
      agentId,
      reason: 'left the house',
    }));
  },
};

/** What `npm test` enumerates in part. */
export const collectorShort: CrashScenario = {
  name: 'collector-short',
  about: 'as collector-day, for two commits of one agent and the pack that they fill',
  proves: ['P1'],
  begin: async (root) => {
    const world = new StoreWorld('short', blind);
    const dir = join(root, 'collector');
    const agent = new WorldAgent(world, 'hplc-1');
    await madeCollector(dir, world, async (vault) => {
      await vault.events.append({
        type: 'agentExpected',
        timeMs: world.clock.now,
        enrolment: agent.enrolment,
      });
      await agent.enrolAt(vault);
    });
    const life = new CollectorLife(dir, world, { made: true, packBytes: 4000 });
    life.back(agent, 'one', () => [
      agent.file('/d/a', chunks('a', 6, 300)),
      ...agent.small({ '/s/a': content('s', 80), '/s/b': content('t', 500) }),
    ]);
    return life.back(agent, 'two', () => [
      agent.gone('/d/a'),
      agent.file('/d/b', chunks('b', 6, 300)),
    ]);
  },
};

/**
 * A folder put back to an older state, but for what it keeps of who ended and what is held: the
 * agent shows what it holds, an operator opens the log again, and the lost commit comes again. Who
 * was revoked meanwhile is out from the first start on, and what was held is held.
 */
export const collectorRollback: CrashScenario = {
  name: 'collector-rollback',
  about:
    'as collector-day, for a collector that was put back to an older state, keeps out who was revoked since and holds what was held, hears of the loss, goes on in a new epoch of its log, and hears that a hold is over',
  proves: ['P1', 'P4', 'P5'],
  begin: async (root) => {
    const world = new StoreWorld('rollback', blind);
    const [dir, old] = [join(root, 'collector'), join(root, 'old')];
    const [agent, thief] = [new WorldAgent(world, 'hplc-1'), new WorldAgent(world, 'thief')];
    await madeCollector(dir, world, async (vault) => {
      for (const one of [agent, thief]) {
        await vault.events.append({
          type: 'agentExpected',
          timeMs: world.clock.now,
          enrolment: one.enrolment,
        });
        await one.enrolAt(vault);
      }
      await agent.back(vault, [agent.file('/d/a', [content('a')])]);
      await vault.flush();
      cpSync(dir, old, { recursive: true });
    });
    const before = agent.copy();
    const store = await openCollector(dir, world.ports({ packBytes: 9000 }));
    const vault = store.vaults()[0];
    const lost = [agent.file('/d/b', [content('b')])];
    if (vault !== undefined) await agent.back(vault, lost);
    await vault?.events.append({
      type: 'agentRevoked',
      timeMs: world.clock.now,
      agentId: thief.agentId,
      reason: 'stolen',
    });
    const hold = holdOn(world, ['/d/**']);
    await vault?.events.append(hold.set);
    const signedHead = vault?.log.head(world.clock.now);
    const collectorCertificate = vault?.signedCertificate ?? world.certificate;
    await store.close();
    const gone = agent.treeHead;
    const life = new CollectorLife(dir, world, { made: true });
    const beside = ['ended.bin', 'holds.bin'];
    for (const file of beside) cpSync(join(life.vaultDir, file), join(root, file));
    rmSync(dir, { recursive: true });
    renameSync(old, dir);
    for (const file of beside) renameSync(join(root, file), join(life.vaultDir, file));
    Object.assign(agent, before);
    const isOut = (vault: VaultStore) =>
      vault.register.agentById(thief.agentId)?.state === 'revoked';
    life.event('stays out', () => undefined, { holds: isOut });
    const isSet = ({ holds }: VaultStore) => holds.all().length === 1;
    life.event('stays held', () => undefined, { holds: isSet });
    life.step('is refused', async (vault) => {
      const { bytes } = thief.copy().build([thief.directory('/d')]);
      const outcome = await vault.intake.commit(thief.agentId, bytes, world.clock.now);
      if (outcome.type !== 'refused' || outcome.code !== 'revoked')
        throw new Error(`who was revoked is let in: ${outcome.type}`);
    });
    const report = (head: Signed): EventBody => {
      return {
        type: 'headReported',
        timeMs: world.clock.now,
        agentId: agent.agentId,
        head,
        collectorCertificate,
      };
    };
    life.event('report', () => (signedHead === undefined ? undefined : report(signedHead)));
    life.event('open anew', (now) =>
      gone === undefined ? undefined : world.opening(2, now.log.treeHead(), [gone]),
    );
    return life
      .back(agent, 'again', () => lost)
      .back(agent, 'more', () => [agent.file('/d/c', [content('c')])])
      .event('over', () => hold.over(), {
        holds: ({ holds }) => holds.all().every(({ released }) => released !== undefined),
      });
  },
};

/** A copied folder: two histories under one identity, of which one is decided. */
const collectorFork: CrashScenario = {
  name: 'collector-fork',
  about:
    'as collector-day, for an agent whose copy commits too: both histories are kept apart until an operator decides, and merged then',
  proves: ['P1', 'P5'],
  begin: async (root) => {
    const world = new StoreWorld('fork', blind);
    const dir = join(root, 'collector');
    const agent = new WorldAgent(world, 'hplc-1');
    await madeCollector(dir, world, async (vault) => {
      await vault.events.append({
        type: 'agentExpected',
        timeMs: world.clock.now,
        enrolment: agent.enrolment,
      });
      await agent.enrolAt(vault);
      await agent.back(vault, [agent.file('/d/a', [content('a')])]);
    });
    const copy = agent.copy();
    const life = new CollectorLife(dir, world, { made: true });
    life.back(agent, 'trunk', () => [agent.file('/d/trunk', [content('trunk')])]);
    life.back(copy, 'copy', () => [copy.file('/d/copy', [content('copy')])]);
    life.step('new chain', async () => {
      if (copy.forkedFrom === undefined) copy.fork();
    });
    life.back(copy, 'goes on', () => [copy.file('/d/later', [content('later')])]);
    life.event('decide', (vault): EventBody | undefined => {
      const [history] = vault.register.agentById(agent.agentId)?.histories ?? [];
      if (history === undefined) throw new Error('no history is held apart');
      const { branchId } = history;
      return {
        type: 'forkDecided',
        timeMs: world.clock.now,
        agentId: agent.agentId,
        branchId,
        decision: 'restored',
        name: '',
      };
    });
    life.back(copy, 'merged', () => [copy.file('/d/merged', [content('merged')])]);
    // An epoch is announced once: after a crash it may stand in the log already, and the next one
    // is announced.
    return life.event(
      'sweep epoch',
      (vault) => ({
        type: 'gcEpochAnnounced',
        timeMs: world.clock.now,
        gcEpoch: vault.sweep.gcEpoch(agent.lineageId) + 1,
        lineageId: agent.lineageId,
      }),
      {
        anew: true,
      },
    );
  },
};

/** What operators say beside commits, and the notes of who was heard when. */
export const collectorActs: CrashScenario = {
  name: 'collector-acts',
  about:
    'as collector-day, for what operators say: where the collector is to be found, that what a replaced PC had is gone, that a problem was seen; and for the notes of when each agent was heard',
  proves: ['P1', 'P5', 'P6'],
  begin: async (root) => {
    const world = new StoreWorld('acts', blind);
    const dir = join(root, 'collector');
    const old = new WorldAgent(world, 'hplc-1');
    const fresh = new WorldAgent(world, 'hplc-1', old);
    await madeCollector(dir, world, async (vault) => {
      await vault.events.append({
        type: 'agentExpected',
        timeMs: world.clock.now,
        enrolment: old.enrolment,
      });
      await old.enrolAt(vault);
      await old.back(vault, [
        old.file('/d/went', [content('went')]),
        old.file('/d/found', [content('found')]),
      ]);
      await vault.events.append({
        type: 'agentExpected',
        timeMs: world.clock.now,
        enrolment: fresh.enrolment,
      });
      await fresh.enrolAt(vault);
      await fresh.back(vault, [fresh.file('/d/found', [content('found')])]);
    });
    const life = new CollectorLife(dir, world, { made: true });
    const revisionOf = (vault: VaultStore) => {
      const known = vault.register.addresses();
      return known === undefined ? 0 : decodeCollectorAddressesBody(known.body).revision;
    };
    const { vaultId } = world.descriptor;
    for (const revision of [5, 6]) {
      const addresses = [{ url: `https://c${revision}.lab`, tlsCa: '', tlsPins: [] }];
      const signed = issueAddresses(world.authority, { version: 1, vaultId, revision, addresses });
      life.event(
        `addresses ${revision}`,
        (vault) =>
          revisionOf(vault) >= revision
            ? undefined
            : { type: 'addressesSet', timeMs: world.clock.now, addresses: signed },
        { anew: true, holds: (vault) => revisionOf(vault) >= revision },
      );
      life.step('heard', async (vault) => {
        world.clock.now += 2 * 3_600_000;
        vault.intake.seen(fresh.agentId, world.clock.now);
      });
    }
    const { agentId } = fresh;
    const fileIds = [fresh.fileId('/d/went')];
    const isGone = (vault: VaultStore) => vault.register.agentById(agentId)?.files === 1;
    life.event(
      'gone',
      (vault) =>
        isGone(vault)
          ? undefined
          : { type: 'filesGone', timeMs: world.clock.now, agentId, fileIds },
      {
        anew: true,
        holds: isGone,
      },
    );
    const copy = fresh.copy();
    life.back(fresh, 'trunk', () => [fresh.directory('/trunk')]);
    life.back(copy, 'copy', () => [copy.file('/d/copy', [content('copy')])]);
    life.event('clone', (vault): EventBody | undefined => {
      const history = vault.register
        .agentById(agentId)
        ?.histories.find(({ state }) => state === 'held');
      if (history === undefined) throw new Error('no history is held apart');
      const { branchId } = history;
      return {
        type: 'forkDecided',
        timeMs: world.clock.now,
        agentId,
        branchId,
        decision: 'clone',
        name: 'hplc-9',
      };
    });
    const isQuiet = (vault: VaultStore) => vault.register.agentById(agentId)?.problems.length === 0;
    life.event(
      'seen',
      (vault) =>
        isQuiet(vault)
          ? undefined
          : { type: 'problemsAcknowledged', timeMs: world.clock.now, agentId },
      {
        anew: true,
        holds: isQuiet,
      },
    );
    return life.back(fresh, 'goes on', () => [
      fresh.file('/d/found', [content('found'), content('more')]),
    ]);
  },
};

/** A repair that dies at every step, of a catalog that lies and a torn pack. */
const collectorRepair: CrashScenario = {
  name: 'collector-repair',
  about:
    'every file and LevelDB call of aliquot fsck --repair fails, is cut short or is the last; the next repair ends the work',
  proves: ['P1'],
  begin: async (root) => {
    const world = new StoreWorld('repair', blind);
    const dir = join(root, 'collector');
    const agent = new WorldAgent(world, 'hplc-1');
    const life = new CollectorLife(dir, world, { made: true });
    await madeCollector(dir, world, async (vault) => {
      await vault.events.append({
        type: 'agentExpected',
        timeMs: world.clock.now,
        enrolment: agent.enrolment,
      });
      await agent.enrolAt(vault);
      await agent.back(vault, [agent.file('/d/a', chunks('a', 36))]);
      await agent.back(vault, [agent.file('/d/b', [content('b')])]);
    });
    const catalog = await catalogIn(life.vaultDir, 'change');
    const change = new CatalogChange(catalog);
    change.put(keys.lineage(agent.lineageId), Buffer.from('nonsense'));
    change.commit();
    await catalog.flush();
    await catalog.close();
    const packs = join(life.vaultDir, 'packs');
    appendFileSync(join(packs, readdirSync(packs).sort().at(-1) ?? ''), 'torn');
    const repair = async (files: DiskPort) => {
      const unread: string[] = [];
      const onFinding = ({ code, what }: Finding) => {
        // What could not be read, or stopped the check of a vault, is a finding, and the person who
        // reads it runs the command again.
        if (code === 'folder' || code === 'pack-missing' || code === 'check-stopped')
          unread.push(what);
      };
      await fsckCollector(dir, {
        ...world.ports({ packBytes: 9000 }),
        files,
        repair: true,
        onFinding,
      });
      if (unread.length > 0) throw new Error(unread.join('; '));
    };
    return {
      open: async (files) => files,
      steps: [{ name: 'repair', run: repair }],
      close: async () => undefined,
      judge: (files, state) =>
        life.judge(files, { ...state, damaged: state.damaged || !state.whole }),
    };
  },
};

export const collectorScenarios: readonly TortureScenario[] = [
  collectorInit,
  collectorDay,
  collectorShort,
  collectorRollback,
  collectorFork,
  collectorActs,
  collectorRepair,
  collectorLostPack,
  collectorTwiceHeld,
  collectorSwappedPacks,
  collectorDoubledPack,
  collectorRewrite,
  historyRewrite,
  collectorKeep,
  collectorExpire,
  collectorPurge,
  packsAndHistory,
].map(tortureOf);

export const crashScenarios: Readonly<Record<string, CrashScenario>> = {
  collectorInit,
  collectorRollback,
  collectorFork,
  collectorRepair,
  collectorLostPack,
  collectorTwiceHeld,
};
