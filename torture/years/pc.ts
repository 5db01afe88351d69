import type { EntryDraft } from '@aliquot/proto';
import type { RowDraft } from '@aliquot/shared/commit/block-seal';
import type { BuiltCommit } from '@aliquot/shared/commit/commit';
import { hex } from '@aliquot/shared/crypto/bytes';
import { verifyReceipt } from '@aliquot/shared/log/receipt';
import type { SeededRandom } from '@aliquot/shared/testing/random';
import type { PutItem } from '../../collector/src/store/vault-records.ts';
import type { VaultStore } from '../../collector/src/store/vault-store.ts';
import type { WorldAgent, WorldFile } from '../../collector/testing/store/world.ts';
import { bytesOf, type MadePart, wholeOf } from './content.ts';
import type { RecordedVersion, YearsRecord } from './record.ts';

/** What a capture says of one file. */
export interface FileState {
  readonly path: string;
  readonly kind: RecordedVersion['kind'];
  readonly className: string;
  readonly pieces: readonly MadePart[];
  /** Of the folder result that it belongs to. */
  readonly root?: string | undefined;
}

export interface CapturedResult {
  readonly root: string;
  readonly className: string;
  /** All members that there are then; none: it is deleted. */
  readonly members: readonly string[];
}

interface CapturedFile {
  readonly state: FileState;
  readonly draft: EntryDraft;
  readonly items: readonly string[];
}

interface CapturedRow {
  readonly state: CapturedResult;
  readonly row: RowDraft;
}

/** What was captured at one time: a commit, or a part of one. */
interface Captured {
  readonly files: readonly CapturedFile[];
  readonly rows: readonly CapturedRow[];
}

/** A commit that was signed, and is sent until it has its receipt. */
interface Signed {
  readonly built: BuiltCommit;
  readonly files: readonly CapturedFile[];
  readonly rows: readonly CapturedRow[];
}

/** What is small enough for a slab. */
const SMALL_BYTES = 6000;
const FILES_OF_A_SLAB = 40;
const MOST_CAPTURES_OF_A_COMMIT = 8;

/** A version that was captured and lacks something that nobody has. */
export class LostOffline extends Error {}

/**
 * A lab PC: its chunk cache, its queue and its chain, as agents keep them. It knows nothing of the
 * collector but what that has answered.
 */
export class Pc {
  readonly agent: WorldAgent;
  /** How far its clock is off. */
  readonly skewMs: number;
  readonly #record: YearsRecord;
  /** What the collector has, as far as this PC has learnt since the newest epoch it knows. */
  readonly #cache = new Set<string>();
  /** Items of what waits, which leave with their receipt. */
  readonly #queued = new Map<string, PutItem>();
  readonly #waiting: Captured[] = [];
  #signed: Signed | undefined;
  readonly #drafts = new Map<string, EntryDraft>();
  #learnt = 0;
  #enrolledMs: number;
  #receiptMs: number | undefined;
  /** Of the newest receipt with an earlier time. */
  #beforeMs: number | undefined;
  versions = 0;
  sentBytes = 0;

  /** @param follows The PC that it takes the place of: its history goes on from that one's. */
  constructor(agent: WorldAgent, record: YearsRecord, skewMs: number, follows?: Pc) {
    this.agent = agent;
    this.skewMs = skewMs;
    this.#record = record;
    this.#enrolledMs = agent.world.clock.now;
    if (follows === undefined) return;
    this.#receiptMs = follows.#receiptMs;
    this.#beforeMs = follows.#beforeMs;
  }

  get lineage(): string {
    return hex(this.agent.lineageId);
  }

  get waits(): boolean {
    return this.#waiting.length > 0 || this.#signed !== undefined;
  }

  /** Captures; what the cache knows is not kept in the queue once more. */
  capture(files: readonly FileState[], results: readonly CapturedResult[]): void {
    const { agent } = this;
    const atMs = agent.world.clock.now + this.skewMs;
    const small = files.filter((one) => isSmall(one));
    const inSlab = new Map<string, WorldFile | undefined>();
    for (let from = 0; from < small.length; from += FILES_OF_A_SLAB) {
      const some = small.slice(from, from + FILES_OF_A_SLAB);
      const slab = agent.small(
        Object.fromEntries(some.map(({ path, pieces }) => [path, wholeOf(pieces)])),
      );
      for (const [at, { path }] of some.entries()) inSlab.set(path, slab[at]);
    }
    const captured = files.map((state): CapturedFile => {
      const { path, kind, pieces, className, root } = state;
      const made: WorldFile =
        kind === 'gone'
          ? { draft: agent.gone(path), items: [] }
          : (inSlab.get(path) ?? agent.file(path, pieces.map(bytesOf)));
      let draft: EntryDraft = { ...made.draft, class: className, capturedAtMs: atMs };
      if (kind === 'growing' && draft.read !== undefined) {
        const read = { ...draft.read, sha256: new Uint8Array(0) };
        draft = { ...draft, completion: 'growing', read };
      }
      if (root !== undefined) draft = agent.membersOf(root, [draft])[0] ?? draft;
      if (kind === 'gone') this.#drafts.delete(path);
      else this.#drafts.set(path, draft);
      for (const item of made.items) this.#keep(item);
      return { state, draft, items: made.items.map(({ id }) => hex(id)) };
    });
    const rows = results.map((state): CapturedRow => {
      const members = state.members.flatMap((path) => this.#drafts.get(path) ?? []);
      const of = { class: state.className, capturedAtMs: atMs };
      return { state, row: agent.result(state.root, members, of) };
    });
    this.#waiting.push({ files: captured, rows });
  }

  #keep(item: PutItem): void {
    const id = hex(item.id);
    this.#record.items.set(id, { bytes: item.bytes.length });
    if (!this.#cache.has(id)) this.#queued.set(id, item);
  }

  /**
   * One session: learns the newest epoch, sends what waits, answers when all of it is receipted.
   * May be cut anywhere, and is begun again then.
   */
  async session(vault: VaultStore, random: SeededRandom): Promise<void> {
    const { agentId, lineageId, chainId } = this.agent;
    const epoch = vault.sweep.gcEpoch(lineageId);
    if (epoch > this.#learnt) {
      this.#learnt = epoch;
      this.#cache.clear();
    }
    while (this.waits) {
      this.#signed ??= this.#sign(1 + random.below(MOST_CAPTURES_OF_A_COMMIT));
      await this.#send(vault, this.#signed);
    }
    this.#queued.clear();
    vault.sweep.gcLearned(agentId, chainId, this.#learnt);
  }

  #sign(most: number): Signed {
    // A row names what stands before it, so nothing of a later time may.
    const row = this.#waiting.findIndex(({ rows }) => rows.length > 0);
    const taken = this.#waiting.splice(0, row < 0 ? most : Math.min(most, row + 1));
    const files = taken.flatMap((one) => one.files);
    const rows = taken.flatMap((one) => one.rows);
    const drafts = files.map(({ draft }) => draft);
    return {
      built: this.agent.build(drafts, { results: rows.map(({ row }) => row) }),
      files,
      rows,
    };
  }

  async #send(vault: VaultStore, signed: Signed): Promise<void> {
    const { agent } = this;
    const { built, files, rows } = signed;
    const ids = [...new Set(files.flatMap(({ items }) => items))];
    const own = ids.flatMap((id) => this.#queued.get(id) ?? []);
    const has = await vault.intake.has(
      agent.lineageId,
      own.map(({ id }) => id),
    );
    await this.#upload(
      vault,
      own.filter((_, at) => has[at] !== true),
    );
    for (let tries = 0; tries < 4; tries += 1) {
      const outcome = await vault.intake.commit(agent.agentId, built.bytes, agent.world.clock.now);
      if (outcome.type === 'refused')
        throw new Error(`a commit of ${agent.name} is refused: ${outcome.code} ${outcome.message}`);
      if (outcome.type === 'missing') {
        await this.#upload(
          vault,
          outcome.ids.map((id) => this.#queued.get(hex(id)) ?? this.#lost(id)),
        );
        continue;
      }
      agent.advance(built, outcome.head);
      const { receivedAtMs } = verifyReceipt(outcome.receipt, vault.certificate);
      this.#signed = undefined;
      this.#note(files, rows, { leafIndex: outcome.leafIndex, receivedMs: receivedAtMs });
      for (const id of ids) this.#cache.add(id);
      return;
    }
    throw new Error(`a commit of ${agent.name} is not taken, whatever is sent`);
  }

  #lost(id: Uint8Array): never {
    throw new LostOffline(
      `P1: ${this.agent.name} captured a version against item ${hex(id)}, which the collector has thrown away`,
    );
  }

  async #upload(vault: VaultStore, items: readonly PutItem[]): Promise<void> {
    if (items.length === 0) return;
    this.sentBytes += items.reduce((sum, { bytes }) => sum + bytes.length, 0);
    await vault.intake.putChunks(this.agent.lineageId, items);
  }

  /** A version's time: the claim, held between two receipts, and not before the version before. */
  #note(
    files: readonly CapturedFile[],
    rows: readonly CapturedRow[],
    { leafIndex, receivedMs }: { readonly leafIndex: number; readonly receivedMs: number },
  ): void {
    if (this.#receiptMs !== undefined && this.#receiptMs < receivedMs)
      this.#beforeMs = this.#receiptMs;
    this.#receiptMs = receivedMs;
    const from = (this.#beforeMs ?? this.#enrolledMs) + 1;
    const timeOf = (claimMs: number, last: RecordedVersion | undefined): number =>
      Math.max(Math.min(Math.max(claimMs, from), receivedMs), last?.timeMs ?? 0);
    const common = { pc: this.agent.name, leafIndex, receivedMs };
    const fresh = { expired: undefined, isUndone: false, isDropped: false };
    for (const [slot, { state, draft, items }] of files.entries()) {
      const { path, kind, className, pieces, root } = state;
      const { versions } = this.#record.subject(this.lineage, path, { root });
      const timeMs = timeOf(draft.capturedAtMs, versions.at(-1));
      const bytes = draft.size;
      const of = { kind, className, pieces, items, bytes, members: [] };
      versions.push({ ...common, ...fresh, letGoBy: [], ...of, slot, timeMs });
    }
    for (const [at, { state, row }] of rows.entries()) {
      const { versions } = this.#record.subject(this.lineage, state.root, { isResult: true });
      const timeMs = timeOf(row.row.capturedAtMs, versions.at(-1));
      const { className, members } = state;
      const kind = members.length === 0 ? 'gone' : 'whole';
      const of = { kind, className, members, pieces: [], items: [] } as const;
      const slot = files.length + at;
      versions.push({ ...common, ...fresh, letGoBy: [], ...of, slot, timeMs, bytes: 0 });
    }
    this.versions += files.length + rows.length;
  }
}

function isSmall({ kind, pieces }: FileState): boolean {
  return (
    kind === 'whole' && pieces.length === 1 && pieces.every(({ bytes }) => bytes <= SMALL_BYTES)
  );
}
