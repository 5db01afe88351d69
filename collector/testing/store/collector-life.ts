import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { decodeSignedCommit, type EntryDraft, type EventBody, type Signed } from '@aliquot/proto';
import type { BuiltCommit } from '@aliquot/shared/commit/commit';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import type { DiskPort } from '@aliquot/shared/derived/level-port';
import type { JudgedState, Life, LifeStep } from '@aliquot/shared/testing/enumerate';
import { initCollector, openCollector } from '../../src/store/collector.ts';
import type { CollectorStore } from '../../src/store/collector-store.ts';
import { StoreError } from '../../src/store/errors.ts';
import { fsckCollector } from '../../src/store/fsck/fsck.ts';
import type { Finding, FindingCode } from '../../src/store/fsck-finding.ts';
import type { PutItem } from '../../src/store/vault-records.ts';
import type { VaultStore } from '../../src/store/vault-store.ts';
import type { StoreWorld, WorldAgent, WorldFile } from './world.ts';

/** What a receipt was given for. */
interface Receipted {
  /** The step that made it. */
  readonly name: string;
  readonly agent: WorldAgent;
  readonly bytes: Uint8Array;
  readonly receipt: Signed;
  readonly leafIndex: number;
  readonly items: readonly PutItem[];
  /** A version of it was let go: its rows may leave the history. */
  readonly isLetGo: boolean;
}

type Backed = WorldFile | EntryDraft;
/** Whether what was told by an answer is still so. */
type Holds = (vault: VaultStore) => boolean | Promise<boolean>;

interface EventOptions {
  /** Made again after each fault, not only once. */
  readonly anew?: boolean;
  /** What must be so for ever once the event was answered. */
  readonly holds?: Holds;
}

/**
 * One collector's life for the enumeration of faults, and what it has promised on the way (I-C1 to
 * I-C7): a vault that was added, events that were answered, receipts, heads. The clients are
 * patient: they say the same again, byte for byte, until they are answered.
 */
export class CollectorLife implements Life<CollectorStore> {
  readonly steps: LifeStep<CollectorStore>[] = [];
  readonly world: StoreWorld;
  readonly #dir: string;
  readonly #packBytes: number;
  readonly #historyFileBytes: number | undefined;
  readonly #foundMeanwhile: readonly FindingCode[];
  readonly #foundAlways: readonly FindingCode[];
  #made: boolean;
  #added = false;
  readonly #receipted: Receipted[] = [];
  readonly #events: { readonly body: EventBody; readonly leafIndex: number }[] = [];
  readonly #held: { readonly name: string; readonly holds: Holds }[] = [];

  /** `made`: whether the folder holds a collector with the world's vault already. */
  constructor(
    dir: string,
    world: StoreWorld,
    options: {
      readonly packBytes?: number;
      readonly historyFileBytes?: number;
      readonly made?: boolean;
      /** What fsck may find until the life has come to its end. */
      readonly foundMeanwhile?: readonly FindingCode[];
      /** What it may find for as long as nobody mends it by hand. */
      readonly foundAlways?: readonly FindingCode[];
    } = {},
  ) {
    this.#dir = dir;
    this.world = world;
    this.#packBytes = options.packBytes ?? 9000;
    this.#historyFileBytes = options.historyFileBytes;
    this.#foundAlways = options.foundAlways ?? [];
    this.#foundMeanwhile = [...(options.foundMeanwhile ?? []), ...this.#foundAlways];
    this.#made = options.made === true;
    this.#added = this.#made;
  }

  async open(files: DiskPort): Promise<CollectorStore> {
    if (this.#made) return openCollector(this.#dir, this.#ports(files));
    try {
      const store = await openCollector(this.#dir, this.#ports(files));
      this.#made = true;
      return store;
    } catch {
      // As `initCollector` says: what a run left that was cut short is removed by hand, and nothing
      // was in it.
      rmSync(this.#dir, { recursive: true, force: true });
    }
    const store = await initCollector(this.#dir, { name: 'freezer' }, this.#ports(files));
    this.#made = true;
    return store;
  }

  close(store: CollectorStore): Promise<void> {
    return store.close();
  }

  step(name: string, run: (vault: VaultStore, store: CollectorStore) => Promise<void>): this {
    this.steps.push({ name, run: (store) => run(this.#vault(store), store) });
    return this;
  }

  addVault(): this {
    const { kit, world } = { kit: this.world.kit, world: this.world };
    const run = async (store: CollectorStore) => {
      const certificate = world.certificateFor(store.identity);
      await store.addVault({
        descriptor: kit.descriptor,
        certificate,
        catalogSecretKey: undefined,
      });
      this.#added = true;
    };
    this.steps.push({ name: 'vault add', run });
    return this;
  }

  /**
   * Says an event until it is answered; the body is made once. No body: it was said already, or
   * there is nothing to say.
   */
  event(
    name: string,
    make: (vault: VaultStore) => EventBody | undefined | Promise<EventBody | undefined>,
    { anew = false, holds }: EventOptions = {},
  ): this {
    let body: EventBody | undefined;
    return this.step(name, async (vault) => {
      this.world.clock.now += 1000;
      if (anew || body === undefined) body = await make(vault);
      if (body !== undefined) {
        const { leafIndex } = await vault.events.append(body);
        this.#events.push({ body, leafIndex });
      }
      if (holds !== undefined) this.#held.push({ name, holds });
    });
  }

  enrol(agent: WorldAgent): this {
    const { clock } = this.world;
    const { enrolment, binding } = agent;
    return this.event(`expect ${agent.name}`, () => ({
      type: 'agentExpected',
      timeMs: clock.now,
      enrolment,
    })).event(`enrol ${agent.name}`, () => ({
      type: 'agentEnrolled',
      timeMs: clock.now,
      enrolment,
      binding,
    }));
  }

  /** Uploads and commits as an agent does: what is missing again, the commit byte for byte. */
  back(agent: WorldAgent, name: string, make: () => readonly Backed[]): this {
    let files: readonly Backed[] | undefined;
    let built: BuiltCommit | undefined;
    return this.step(`${agent.name} ${name}`, async (vault) => {
      this.world.clock.now += 1000;
      files ??= make();
      const items = files.flatMap((file) => ('draft' in file ? file.items : []));
      for (let round = 0; round < 6; round += 1) {
        if (items.length > 0) await vault.intake.putChunks(agent.lineageId, items);
        built ??= agent.build(files.map((file) => ('draft' in file ? file.draft : file)));
        const outcome = await vault.intake.commit(agent.agentId, built.bytes, this.world.clock.now);
        if (outcome.type === 'missing') continue;
        if (outcome.type === 'refused')
          throw new Error(`refused: ${outcome.code} ${outcome.message}`);
        agent.advance(built, outcome.head);
        this.#receipted.push({
          name,
          agent,
          bytes: built.bytes,
          receipt: outcome.receipt,
          leafIndex: outcome.leafIndex,
          items,
          isLetGo: false,
        });
        return;
      }
      throw new Error('six uploads were not enough');
    });
  }

  /**
   * Lets the first version of a receipted commit be dropped: its content is asked for no more, but
   * where another receipt is for the same. Said before it is done, so it holds whatever happens.
   */
  letGo(agent: WorldAgent, name: string): this {
    return this.step(`drop ${name}`, async (vault) => {
      const at = this.#receipted.findIndex((one) => one.agent === agent && one.name === name);
      const one = this.#receipted[at];
      if (one === undefined) throw new Error(`no commit ${name}`);
      this.#receipted[at] = { ...one, items: [], isLetGo: true };
      const leaves = [{ leafIndex: one.leafIndex, slots: new Uint8Array([1]) }];
      await vault.sweep.drop({ run: 1, branchId: agent.lineageId, leaves });
    });
  }

  async judge(files: DiskPort, { whole, damaged }: JudgedState): Promise<void> {
    if (!this.#made) return;
    const ports = this.#ports(files);
    // Twice where bytes were altered: once to mend, once to see that it is.
    for (const repair of damaged ? [true, false] : [false]) {
      const found: string[] = [];
      const onFinding = ({ severity, code, what, where }: Finding) => {
        const foreseen = whole ? this.#foundAlways : this.#foundMeanwhile;
        const isForeseen = severity === 'info' || foreseen.includes(code);
        if (!isForeseen && !repair) found.push(`${code} ${what} (${where})`);
      };
      await fsckCollector(this.#dir, { ...ports, repair, onFinding });
      expectThat(found.length === 0, `fsck: ${found.join('; ')}`);
    }
    const store = await openCollector(this.#dir, ports);
    try {
      if (this.#added) await this.#judgePromises(this.#vault(store));
      if (whole) expectThat(this.#added, 'the vault was never added');
    } finally {
      await store.close();
    }
  }

  async #judgePromises(vault: VaultStore): Promise<void> {
    for (const { agent, bytes, receipt, leafIndex, items, isLetGo } of this.#receipted) {
      const { record } = await vault.log.leafAt(leafIndex);
      const kept =
        record.type === 'commit' &&
        equalBytes(record.receipt.body, receipt.body) &&
        (equalBytes(record.commit, bytes) || (isLetGo && isLeftOf(record.commit, bytes)));
      expectThat(kept, `I-C1: leaf ${leafIndex} is no longer the commit of ${agent.name}`);
      if (vault.register.agentById(agent.agentId)?.state === 'enrolled') {
        const outcome = await vault.intake.commit(agent.agentId, bytes, this.world.clock.now);
        const same =
          outcome.type === 'accepted' &&
          outcome.repeated &&
          equalBytes(outcome.receipt.body, receipt.body);
        expectThat(
          same,
          `I-C1: the receipt of a commit of ${agent.name} is not honoured (${outcome.type})`,
        );
      }
      const ids = items.map(({ id }) => id);
      expectThat(
        !(await vault.intake.has(agent.lineageId, ids)).includes(false),
        `I-C8: ${agent.name} has lost a chunk from its set`,
      );
      for await (const item of vault.reading.readItems(ids)) {
        const sent = items.find(({ id }) => equalBytes(id, item.id));
        const sound =
          item.type === 'item' && sent !== undefined && equalBytes(item.bytes, sent.bytes);
        expectThat(
          sound,
          `P1: a receipted ${sent?.kind ?? 'item'} of ${agent.name} is ${item.type}`,
        );
      }
      if (agent.treeHead === undefined) continue;
      const judgement = await vault.log.judgeHead(agent.treeHead);
      expectThat(
        judgement === 'consistent' || judgement === 'lost',
        `P5: the head that ${agent.name} holds is ${judgement}`,
      );
    }
    for (const { body, leafIndex } of this.#events) {
      const { record } = await vault.log.leafAt(leafIndex);
      expectThat(
        record.type === 'event',
        `I-C1: leaf ${leafIndex} is no longer the event ${body.type}`,
      );
    }
    for (const { name, holds } of this.#held)
      expectThat(await holds(vault), `I-C1: what was said by "${name}" does not hold any more`);
  }

  #vault(store: CollectorStore): VaultStore {
    const vault = store.vault(this.world.descriptor.vaultId);
    if (vault === undefined) throw new StoreError('STORE_FOLDER', 'the vault is not there');
    return vault;
  }

  #ports(files: DiskPort) {
    const [packBytes, historyFileBytes] = [this.#packBytes, this.#historyFileBytes];
    return this.world.ports({ files, packBytes, historyFileBytes });
  }

  get vaultDir(): string {
    return join(this.#dir, 'vaults', Buffer.from(this.world.descriptor.vaultId).toString('hex'));
  }
}

/** Whether this is what thinning may leave of a commit. */
function isLeftOf(left: Uint8Array, whole: Uint8Array): boolean {
  const [is, was] = [decodeSignedCommit(left), decodeSignedCommit(whole)];
  return (
    equalBytes(is.header, was.header) &&
    equalBytes(is.signature, was.signature) &&
    is.blocks.length === was.blocks.length &&
    is.blocks.some(({ gone }) => gone !== undefined)
  );
}

/** Not a test framework's: torture runs without one. */
export function expectThat(holds: boolean, says: string): void {
  if (!holds) throw new Error(says);
}
