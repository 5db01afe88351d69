/** A vault whose versions come and go, for the tests of retention. Nothing else imports this. */
import { join } from 'node:path';
import type { EntryDraft, EventBody, OperatorPurpose, RetentionRules } from '@aliquot/proto';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { StoredVault } from '../../src/store/stored-vault.ts';
import type { JudgedSubject, Subject } from '../../src/store/vault-retention.ts';
import { StoreWorld, type WorldAgent } from '../store/world.ts';
import { policySet, runApproval } from './signed.ts';

export const DAY_MS = 86_400_000;

/** One version to be sent. */
export interface Sent {
  readonly path: string;
  readonly kind?: 'whole' | 'growing' | 'gone';
  readonly className?: string;
  /** What the PC claims; its clock where it says nothing. */
  readonly claimMs?: number;
  readonly chunk?: Uint8Array;
  /** The folder result that it is a member of. */
  readonly result?: string;
}

export class RetentionVault {
  readonly world: StoreWorld;
  readonly #dir: string;
  #store: StoredVault | undefined;
  #revision = 0;

  private constructor(seed: string, dir: string) {
    this.world = new StoreWorld(seed);
    this.#dir = dir;
  }

  static async open(seed = 'retention'): Promise<RetentionVault> {
    const vault = new RetentionVault(seed, join(temporaryFolder(), 'vault'));
    await vault.reopen();
    await vault.store.events.append(vault.world.vaultAdded());
    return vault;
  }

  get store(): StoredVault {
    if (this.#store === undefined) throw new Error('closed');
    return this.#store;
  }

  get dir(): string {
    return this.#dir;
  }

  get nowMs(): number {
    return this.world.clock.now;
  }

  async reopen(): Promise<void> {
    await this.close();
    const identity = { ...this.world.identity, catalogSecretKey: this.world.kit.catalogSecretKey };
    this.#store = await StoredVault.inFolder(this.#dir, identity, this.world.ports());
  }

  async close(): Promise<void> {
    await this.#store?.close();
    this.#store = undefined;
  }

  agent(name: string): Promise<WorldAgent> {
    return this.world.agent(this.store, name);
  }

  wait(days: number): void {
    this.world.clock.now += days * DAY_MS;
  }

  /** Sets the rules, or none, by the kit. */
  async setRules(rules: RetentionRules | undefined): Promise<void> {
    this.#revision += 1;
    await this.say(policySet(this.world, this.#revision, rules));
  }

  say(event: EventBody): Promise<{ leafIndex: number }> {
    return this.store.events.append(event);
  }

  /**
   * Commits versions; a row of each result that is named stands behind them, with those of its
   * members that are not gone: without any it says that the result was deleted.
   */
  async back(
    agent: WorldAgent,
    sent: readonly Sent[],
    results: readonly string[] = [],
  ): Promise<void> {
    const drafts = new Map<string, EntryDraft>();
    const files = sent.map((one) => {
      const draft = draftOf(agent, one);
      drafts.set(one.path, draft);
      const items = one.chunk === undefined ? [] : agent.file(one.path, [one.chunk]).items;
      return { draft, items };
    });
    const rows = results.map((root) =>
      agent.result(
        root,
        [...drafts].flatMap(([path, draft]) =>
          path.startsWith(`${root}/`) && draft.kind !== 'gone' ? [draft] : [],
        ),
        { class: sent[0]?.className ?? 'raw' },
      ),
    );
    await agent.back(this.store, files, { results: rows });
  }

  async explain(agent: WorldAgent, path: string): Promise<JudgedSubject> {
    return this.explainOne({ branchId: agent.lineageId, id: agent.fileId(path), isResult: false });
  }

  explainResult(agent: WorldAgent, root: string): Promise<JudgedSubject> {
    return this.explainOne({ branchId: agent.lineageId, id: agent.resultId(root), isResult: true });
  }

  async explainOne(subject: Subject): Promise<JudgedSubject> {
    const judged = await this.store.retention.explain(subject, this.nowMs);
    if (judged?.facts === undefined) throw new Error('it cannot be explained');
    return judged;
  }

  /** Undoes a run. */
  undo(run: number): Promise<{ leafIndex: number }> {
    return this.say({ type: 'retentionUndone', timeMs: this.nowMs, run });
  }

  /** Approves a run, by an operator of these purposes. */
  approve(run: number, purposes: readonly OperatorPurpose[]): Promise<{ leafIndex: number }> {
    const row = this.store.retention.runs().find((one) => one.run === run);
    return this.say(runApproval(this.world, row ?? { run, sum: new Uint8Array(32) }, purposes));
  }
}

function draftOf(agent: WorldAgent, sent: Sent): EntryDraft {
  const { path, kind = 'whole', className = 'raw', claimMs, chunk, result } = sent;
  const at = claimMs ?? agent.world.clock.now;
  let draft = agent.file(path, chunk === undefined ? [] : [chunk], { capturedAtMs: at }).draft;
  if (kind === 'gone') draft = agent.gone(path, at);
  if (kind === 'growing' && draft.read !== undefined) {
    const read = { ...draft.read, sha256: new Uint8Array(0) };
    draft = { ...draft, completion: 'growing', read };
  }
  const [member = draft] = result === undefined ? [draft] : agent.membersOf(result, [draft]);
  return { ...member, class: className };
}
