import {
  type AgentId,
  type ChainPoint,
  decodeEventBody,
  decodeStoredEvent,
  type EventBody,
  type PurgeId,
  type StoredPurged,
  type VaultDescriptorBody,
} from '@aliquot/proto';
import { readCommit } from '@aliquot/shared/commit/rows';
import { hex } from '@aliquot/shared/crypto/bytes';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import { FileError } from '@aliquot/shared/durable/errors';
import { ranges, readKey } from '../catalog/catalog-keys.ts';
import { decodePurgedCommit, type PurgeRow } from '../catalog/purge-row.ts';
import type { Registry } from '../catalog/registry.ts';
import { passedOver, StoreError } from '../errors.ts';
import type { PurgedBefore } from './append-commit.ts';
import type { VaultCore } from './core.ts';
import { encodeKept, type KeptForm, type ReadPurge, readKept } from './kept-purge.ts';
import { appendPurge } from './purge-done.ts';
import type { PurgeFolder } from './purge-files.ts';
import { isTakenAt, purgedAgain } from './purged-again.ts';

/** A purge of the book, without its commits. */
interface Entry {
  readonly number: number;
  readonly purgeId: PurgeId;
  readonly commits: readonly CommitName[];
  /** SHA-256 of each commit as the file has it, by its name. */
  readonly sums: Map<string, string>;
}

/** A commit, whatever leaf it has. */
interface CommitName {
  readonly agentId: AgentId;
  readonly point: ChainPoint;
}

const nameOf = ({ agentId, point }: CommitName): string => `${hex(agentId)} ${hex(point.hash)}`;

/**
 * The purges of a vault that were approved, each in a file beside packs and history: where the
 * history was put back to before one, it is done again before anybody is served (I-C34). A commit
 * that such a history does not have any more is waited for, and comes back as the purge left it.
 *
 * Calls that change something are jobs in the vault's queue.
 */
export class PurgeBook {
  /** Why files, or some of them, cannot be believed; they are made again from the history. */
  readonly faults: readonly string[];
  readonly #folder: PurgeFolder;
  readonly #vault: VaultDescriptorBody;
  /** By id of the purge, in the order of their files: the newest of a commit is the last. */
  readonly #entries = new Map<string, Entry>();
  /** Which purges took something of a commit, by its name. */
  readonly #takers = new Map<string, Entry[]>();
  #damaged: readonly number[];

  private constructor(
    folder: PurgeFolder,
    vault: VaultDescriptorBody,
    {
      faults,
      damaged,
    }: { readonly faults: readonly string[]; readonly damaged: readonly number[] },
  ) {
    this.#folder = folder;
    this.#vault = vault;
    this.faults = faults;
    this.#damaged = damaged;
  }

  /** Reads every file. Errors: `FILE_…`, where one cannot be read for now. */
  static async open(folder: PurgeFolder, vault: VaultDescriptorBody): Promise<PurgeBook> {
    const faults: string[] = [];
    const damaged: number[] = [];
    const book = new PurgeBook(folder, vault, { faults, damaged });
    // Each may be large: no two are in memory at once.
    for (const number of await folder.list()) {
      const kept = await readOf(folder, number, vault);
      if (typeof kept !== 'string') book.#enter(number, kept);
      else {
        faults.push(`${folder.nameOf(number)} ${kept}`);
        damaged.push(number);
      }
    }
    return book;
  }

  /** Purges of the book of which the history lacks something that it could have. */
  async lackedBy(core: VaultCore): Promise<PurgeId[]> {
    const lacked: PurgeId[] = [];
    for (const { purgeId, commits } of this.#entries.values()) {
      const row = core.registry.purges.get(purgeId);
      if (row?.cancelled !== undefined) continue;
      if (row?.approved === undefined || (await leavesLacking(core, row, commits)).length > 0)
        lacked.push(purgeId);
    }
    return lacked;
  }

  /** Approved purges of the history that are not kept here. */
  missing({ purges }: Registry): PurgeRow[] {
    return purges
      .all()
      .filter(({ body, approved }) => approved !== undefined && !this.#has(body.purgeId))
      .sort((a, b) => (a.approved?.leaf ?? 0) - (b.approved?.leaf ?? 0));
  }

  /**
   * At a start, before anybody is served: keeps what only the history has, and records again what
   * that lacks. Returns how many purges that were, and the last leaf. Errors: `STORE_…`.
   */
  async start(core: VaultCore): Promise<{ readonly again: number; readonly leaf?: number }> {
    await this.#writing(() => this.#folder.removeLeft());
    // First: so the newest purge of a commit is the last here.
    await this.keep(core);
    const lacked = new Set((await this.lackedBy(core)).map(hex));
    let leaf: number | undefined;
    for (const [name, entry] of this.#entries) {
      if (!lacked.has(name)) continue;
      const { number, purgeId, commits } = entry;
      const { order, approval, forms: kept } = await this.#read(number);
      const byName = new Map(kept.map((form) => [nameOf(form), form.stored]));
      // At the times that they had: the machine's clock may not be trusted yet.
      if (core.registry.purges.get(purgeId) === undefined)
        leaf = await core.appendEvent(order, order.timeMs);
      const row = core.registry.purges.get(purgeId);
      if (row === undefined) continue;
      const forms: StoredPurged[] = [];
      for (const at of await leavesLacking(core, row, commits)) {
        const form = await formAt(core, at.leafIndex, byName.get(nameOf(at.taken)));
        if (form !== undefined) forms.push({ ...form, part: forms.length });
      }
      if (row.approved === undefined) {
        const event = { ...approval, timeMs: core.leafTime(approval.timeMs) };
        leaf = await appendPurge(core, event, forms);
      } else for (const form of forms) await core.appendPurged(form);
    }
    return { again: lacked.size, ...(leaf === undefined ? {} : { leaf }) };
  }

  /**
   * What approved purges have taken of a commit that comes: it was here, and the history was put
   * back to before it. Undefined where none has.
   */
  async takenOf(
    core: VaultCore,
    { header, hash }: Pick<ReturnType<typeof readCommit>, 'header' | 'hash'>,
    bytes: Uint8Array,
  ): Promise<PurgedBefore | undefined> {
    const { agentId, chainId, sequence } = header;
    const taken = { agentId, point: { chainId, sequence, hash } };
    const forms: Omit<StoredPurged, 'leafIndex'>[] = [];
    let isLookedAt = false;
    for (const entry of this.#takersOf(taken)) {
      const row = core.registry.purges.get(entry.purgeId);
      if (row?.approved === undefined) continue;
      const form = purgedAgain(bytes, await this.#formIn(entry, taken));
      if (form !== undefined) forms.push(form);
      const { announced, swept } = core.registry.sweep(row.body.lineageId);
      isLookedAt ||= announced > swept;
    }
    const { commit: form } = forms.at(-1) ?? {};
    if (form === undefined) return undefined;
    const formsAt = (leafIndex: number) => forms.map((one) => ({ ...one, leafIndex }));
    return { formsAt, form, isLookedAt };
  }

  /**
   * Writes down approved purges of the history that are not here yet, before anybody hears of
   * them, and takes away what was damaged. Error: `STORE_FAILED`.
   */
  async keep(core: VaultCore): Promise<void> {
    const missing = this.missing(core.registry);
    await this.#writing(async () => {
      for (const row of missing) {
        const kept = await keptOf(core, row);
        const number = Math.max(0, ...this.#numbers()) + 1;
        await this.#folder.write(number, encodeKept(this.#vault, kept));
        this.#enter(number, kept);
      }
      for (const number of this.#damaged) await this.#folder.remove(number);
    });
    this.#damaged = [];
  }

  /**
   * Puts commits of which a later purge has taken more in the place of those that still have it.
   * Once that purge is durable: where a failure takes it back, the earlier one has to leave what it
   * would have taken. Error: `STORE_FAILED`.
   */
  async takeMore({ registry }: VaultCore, settle: () => Promise<void>): Promise<void> {
    const isBehind = (entry: Entry) => this.#laterOf(entry, registry).size > 0;
    const behind = [...this.#entries.values()].filter(isBehind);
    if (behind.length === 0) return;
    await settle();
    await this.#writing(async () => {
      for (const entry of behind) await this.#takeMoreOf(entry, this.#laterOf(entry, registry));
    });
  }

  /** Which purge has taken more of commits than their file of this one says: the last, by name. */
  #laterOf({ sums }: Entry, { purges }: Registry): ReadonlyMap<string, Entry> {
    const later = new Map<string, Entry>();
    const isApproved = ({ purgeId }: Entry) => purges.get(purgeId)?.approved !== undefined;
    for (const [name, sum] of sums) {
      const last = this.#takers.get(name)?.findLast(isApproved);
      if (last !== undefined && last.sums.get(name) !== sum) later.set(name, last);
    }
    return later;
  }

  async #takeMoreOf(entry: Entry, later: ReadonlyMap<string, Entry>): Promise<void> {
    const kept = await this.#read(entry.number);
    const forms = new Map(kept.forms.map((form) => [nameOf(form), form]));
    for (const last of new Set(later.values()))
      for (const more of (await this.#read(last.number)).forms) {
        const name = nameOf(more);
        const form = forms.get(name);
        if (form === undefined || later.get(name) !== last) continue;
        const { commit } = more.stored;
        forms.set(name, { ...form, stored: { ...form.stored, commit } });
      }
    const all = [...forms.values()];
    await this.#folder.write(entry.number, encodeKept(this.#vault, { ...kept, forms: all }));
    for (const form of all) entry.sums.set(nameOf(form), sumOf(form));
  }

  /**
   * Behind events that were appended, before anybody hears of them: one whose approval a failure
   * has taken back is forgotten. A start would do it, whatever was decided since, a hold say.
   * Error: `STORE_FAILED`.
   */
  async follow({ registry }: VaultCore): Promise<void> {
    for (const { purgeId } of [...this.#entries.values()]) await this.withdraw(registry, purgeId);
  }

  /** Forgets one that is not approved after all: a failure took the approval back. */
  async withdraw({ purges }: Registry, purgeId: PurgeId): Promise<void> {
    const entry = this.#entries.get(hex(purgeId));
    if (entry === undefined || purges.get(purgeId)?.approved !== undefined) return;
    await this.#writing(() => this.#folder.remove(entry.number));
    this.#entries.delete(hex(purgeId));
    for (const commit of entry.commits) {
      const others = this.#takersOf(commit).filter((one) => one !== entry);
      this.#takers.set(nameOf(commit), others);
    }
  }

  #numbers(): number[] {
    return [...[...this.#entries.values()].map(({ number }) => number), ...this.#damaged];
  }

  #has(purgeId: PurgeId): boolean {
    return this.#entries.has(hex(purgeId));
  }

  #takersOf(commit: CommitName): readonly Entry[] {
    return this.#takers.get(nameOf(commit)) ?? [];
  }

  #enter(number: number, { purgeId, forms }: ReadPurge): void {
    const commits = forms.map(({ agentId, point }) => ({ agentId, point }));
    const sums = new Map(forms.map((form) => [nameOf(form), sumOf(form)]));
    const entry = { number, purgeId, commits, sums };
    this.#entries.set(hex(purgeId), entry);
    for (const commit of commits)
      this.#takers.set(nameOf(commit), [...this.#takersOf(commit), entry]);
  }

  /** A purge of the book, with its commits. Error: `STORE_FAILED`, where it has rotted since. */
  async #read(number: number): Promise<ReadPurge> {
    const kept = await this.#writing(() => readOf(this.#folder, number, this.#vault));
    if (typeof kept !== 'string') return kept;
    throw new StoreError('STORE_FAILED', `${this.#folder.nameOf(number)} ${kept}`);
  }

  /** What a purge has left of a commit, and later ones have. */
  async #formIn({ number }: Entry, taken: CommitName): Promise<StoredPurged> {
    const { forms } = await this.#read(number);
    const form = forms.find((one) => nameOf(one) === nameOf(taken));
    if (form !== undefined) return form.stored;
    throw new StoreError('STORE_FAILED', `${this.#folder.nameOf(number)} has changed`);
  }

  async #writing<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof FileError)) throw error;
      // What was appended and is not kept here is dropped with it: nobody has heard of it.
      throw new StoreError('STORE_FAILED', error.message, { cause: error });
    }
  }
}

/** What a purge has left of the commit at a leaf, once more. */
async function formAt(
  core: VaultCore,
  leafIndex: number,
  kept: StoredPurged | undefined,
): Promise<StoredPurged | undefined> {
  if (kept === undefined) return undefined;
  const here = await core.storedCommit(leafIndex).catch(passedOver);
  const form = purgedAgain(here?.commit ?? kept.commit, kept);
  return form && { ...form, leafIndex };
}

function sumOf({ stored }: KeptForm): string {
  return hex(sha256(stored.commit));
}

/** What stands in a file, or why it cannot be believed. Errors: `FILE_…`. */
async function readOf(
  folder: PurgeFolder,
  number: number,
  vault: VaultDescriptorBody,
): Promise<ReadPurge | string> {
  try {
    const bytes = await folder.read(number);
    return bytes === undefined ? 'is gone' : readKept(vault, bytes);
  } catch (error) {
    if (error instanceof FileError && error.code === 'FILE_TOO_LARGE') return 'is damaged';
    throw error;
  }
}

/** Where the history has commits of a purge, and not what that has left of them. */
async function leavesLacking(
  core: VaultCore,
  { body, approved }: Pick<PurgeRow, 'body' | 'approved'>,
  commits: readonly CommitName[],
): Promise<{ readonly leafIndex: number; readonly taken: CommitName }[]> {
  const lacking: { readonly leafIndex: number; readonly taken: CommitName }[] = [];
  for (const taken of commits) {
    const link = await core.link(taken.agentId, taken.point);
    if (link === undefined) continue;
    const { leafIndex } = link;
    if (approved !== undefined && (await isTakenAt(core, leafIndex, body.purgeId, approved.leaf)))
      continue;
    lacking.push({ leafIndex, taken });
  }
  return lacking.sort((a, b) => a.leafIndex - b.leafIndex);
}

/** An approved purge as the history has it: each commit as the newest purge has left it. */
async function keptOf(core: VaultCore, { body, ordered, approved }: PurgeRow): Promise<ReadPurge> {
  const { purgeId } = body;
  const forms: KeptForm[] = [];
  for await (const [key, value] of core.catalog.scan(ranges.purged)) {
    const row = decodePurgedCommit(value);
    if (hex(row.purgeId) !== hex(purgeId)) continue;
    const leafIndex = readKey.number(key);
    const commit = await core.purgedForm(leafIndex).catch(passedOver);
    // What has rotted in the history is served no more, and cannot be kept either.
    if (commit === undefined) continue;
    const { header, hash } = readCommit(commit);
    const { agentId, chainId, sequence } = header;
    const stored = { purgeId, part: forms.length, leafIndex, slots: row.slots, commit };
    forms.push({ agentId, point: { chainId, sequence, hash }, stored });
  }
  const order = await eventAt(core, ordered.leaf, 'purgeOrdered');
  const approval = await eventAt(core, approved?.leaf ?? ordered.leaf, 'purgeApproved');
  return { purgeId, order, approval, forms };
}

async function eventAt<Type extends EventBody['type']>(
  core: VaultCore,
  leaf: number,
  type: Type,
): Promise<Extract<EventBody, { type: Type }>> {
  const { payload } = await core.leafRecord(leaf);
  const event = decodeEventBody(decodeStoredEvent(payload).event);
  if (event.type === type) return event as Extract<EventBody, { type: Type }>;
  throw new StoreError('STORE_CATALOG', `leaf ${leaf} is another event; run aliquot fsck --repair`);
}
