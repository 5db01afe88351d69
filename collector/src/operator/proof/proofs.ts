import { decodeSigned, type TreeHead, type VaultDescriptorBody } from '@aliquot/proto';
import { formatCounted } from '@aliquot/shared/cli/format';
import { markOf } from '@aliquot/shared/commit/summary';
import { hex } from '@aliquot/shared/crypto/bytes';
import { verifyAgent } from '@aliquot/shared/keys/certificates';
import type { LogTimes } from '@aliquot/shared/log/log-times';
import { fromBase64 } from '../../api/base64.ts';
import type { AgentInfo } from '../../api/messages.ts';
import { type CommandContext, outputOf } from '../../cli/context.ts';
import type { AgentView } from '../agent-view.ts';
import type { VaultClient } from '../client/vault-client.ts';
import { evidence, unverified } from '../evidence.ts';
import type { VerifiedRecord } from '../verified.ts';
import { demandContinuation } from '../witness.ts';
import { leftOut } from './left-out.ts';
import { type LineageAgent, LineageProof, type ProvedCommit } from './lineage-proof.ts';
import { timesOf } from './log-times.ts';
import { LogWalk } from './log-walk.ts';
import { PurgedFiles } from './purge-proof.ts';
import { provedEvent, requirePolicy } from './rules-proof.ts';
import { type Missing, StateCheck, type StateQuestion } from './state-check.ts';
import { VersionsCheck } from './versions-check.ts';
import { WalkBook } from './walk-book.ts';

/** Listens to an answer, and says at its end whether it was all there is. */
export interface AnswerCheck {
  /** @throws CommandError `COMMAND_LEFT_OUT`, `COMMAND_UNVERIFIED`. */
  onRecord(record: VerifiedRecord): void;
  /** @throws CommandError `COMMAND_LEFT_OUT`, which names what is missing. */
  finish(): Promise<void>;
}

/** Every version of what. */
export interface VersionsQuestion {
  readonly id: Uint8Array;
  readonly isResult: boolean;
}

/**
 * Proves for one command that what a collector shows is complete and newest. Every leaf up to the
 * head that was witnessed is walked over (the walk goes on where the last command's ended), so it
 * is known which commits the log has of each agent, and each list of them is held against that.
 */
export class Proofs {
  readonly #context: CommandContext;
  readonly #vault: VaultClient;
  readonly #authority: Pick<VaultDescriptorBody, 'vaultId' | 'authorityKey'>;
  #head: TreeHead;
  #walk: Promise<LogWalk> | undefined;
  #times: Promise<LogTimes> | undefined;
  #roster: Promise<readonly AgentInfo[]> | undefined;
  #purged: Promise<PurgedFiles> | undefined;
  /** The last that was asked for: a command walks through agents one by one. */
  #lineage: { readonly id: string; readonly proof: Promise<LineageProof> } | undefined;

  /** `head`: what the vault's log was shown to have, by which it continues all that was seen. */
  constructor(
    context: CommandContext,
    vault: VaultClient,
    authority: Pick<VaultDescriptorBody, 'vaultId' | 'authorityKey'>,
    head: TreeHead,
  ) {
    this.#context = context;
    this.#vault = vault;
    this.#authority = authority;
    this.#head = head;
  }

  /** The vault's agents: none that has commits is missing. @throws CommandError */
  roster(): Promise<readonly AgentInfo[]> {
    this.#roster ??= this.#provedRoster();
    return this.#roster;
  }

  /**
   * What times of the log count as: by all corrections of the clock that it has. @throws
   * CommandError
   */
  times(): Promise<LogTimes> {
    this.#times ??= this.#walked().then((walk) => timesOf(this.#vault, this.#authority, walk));
    return this.#times;
  }

  /** For an answer that says what was there at a time. */
  async state(agent: AgentView, question: StateQuestion): Promise<AnswerCheck> {
    const commits = await this.#commitsOf(agent);
    const check = new StateCheck(commits, this.#head.size, await this.times(), question);
    return {
      onRecord: (record) => check.saw(record),
      finish: async () => {
        let { missing, dropped } = check.finish();
        if (missing.length > 0) {
          check.learnDropped(await this.#commitsAgain(agent));
          ({ missing, dropped } = check.finish());
        }
        await this.#requireNone(agent, question, missing);
        this.#noteDropped(agent, dropped, 'state');
      },
    };
  }

  /** For an answer with every version: of one file or result, else of all files. */
  async versions(agent: AgentView, of?: VersionsQuestion): Promise<AnswerCheck> {
    const mark = of && markOf(of.id, 0, of.isResult);
    const order = of === undefined ? 'newest first' : 'oldest first';
    const commits = await this.#commitsOf(agent);
    const check = new VersionsCheck(commits, this.#head.size, { mark, order });
    return {
      onRecord: (record) => check.saw(record),
      finish: async () => {
        if (check.isShort) check.learnDropped(await this.#commitsAgain(agent));
        const dropped = check.finish();
        const question = { atMs: undefined, results: of?.isResult ?? false };
        await this.#requireNone(agent, question, check.newestDropped());
        this.#noteDropped(agent, dropped, 'versions');
      },
    };
  }

  /** Says how much retention has dropped of what an answer would have had. */
  #noteDropped(agent: AgentView, count: number, of: 'state' | 'versions'): void {
    if (count === 0) return;
    const says =
      of === 'state'
        ? `of ${formatCounted(count, 'file')} the state of that time was dropped by the rules of retention`
        : `the rules of retention have dropped versions in ${formatCounted(count, 'commit')}`;
    outputOf(this.#context, {}).note(`agent ${agent.name}: ${says}, as the collector says`);
  }

  /**
   * That a history has no commit whose hash begins so; `isDropped`: none but those of which
   * retention has dropped something. @throws CommandError
   */
  async requireNoCommit(agent: AgentView, digits: string, isDropped: boolean): Promise<void> {
    const commits = await (isDropped ? this.#commitsAgain(agent) : this.#commitsOf(agent));
    const found = commits.find(
      ({ hash, dropped }) => hex(hash).startsWith(digits) && !(isDropped && dropped.length > 0),
    );
    if (found !== undefined)
      throw leftOut(`the versions in commit ${found.sequence} of agent ${found.agent}`);
  }

  async #provedRoster(): Promise<readonly AgentInfo[]> {
    const walk = await this.#walked();
    const { agents } = await this.#vault.roster.list();
    const listed = new Set(agents.map(({ agentId }) => agentId));
    for (const [agentId, { commits }] of walk.agents)
      if (!listed.has(agentId))
        throw leftOut(
          `an agent of its list, ${agentId.slice(0, 8)}, with ${formatCounted(commits, 'commit')}`,
        );
    return agents;
  }

  #walked(): Promise<LogWalk> {
    this.#walk ??= this.#walkOn();
    return this.#walk;
  }

  /** Walks from where the last command ended, or once more from the beginning. */
  async #walkOn(): Promise<LogWalk> {
    const { stateFolder } = this.#context.environment;
    const { vaultId, authorityKey } = this.#authority;
    const name = `${hex(vaultId)}-${hex(this.#vault.certificate(authorityKey).collectorId)}`;
    const book = stateFolder && new WalkBook(this.#context.files, stateFolder, name);
    const saved = book ? await book.read() : undefined;
    if (saved !== undefined && saved.size <= this.#head.size) {
      const walk = await this.#walkTo(await LogWalk.open(saved));
      if (walk.isAt(this.#head)) {
        if (book && walk.size > saved.size) await book.write(walk.saved);
        return walk;
      }
    }
    const walk = await this.#walkTo(await LogWalk.open());
    if (!walk.isAt(this.#head))
      throw unverified('the leaves that the collector shows are not those of its log');
    if (book) await book.write(walk.saved);
    return walk;
  }

  async #walkTo(walk: LogWalk): Promise<LogWalk> {
    const { size } = this.#head;
    if (walk.size === size) return walk;
    for await (const leaf of this.#vault.log.leaves(walk.size, size)) {
      if (walk.size === size) throw unverified('the collector shows more leaves than its log has');
      evidence(() => walk.add(leaf));
    }
    return walk;
  }

  /** The commits of one history, in the order of their leaves. */
  async #commitsOf(agent: AgentView): Promise<readonly ProvedCommit[]> {
    const { lineageId } = agent;
    const [, branchId = lineageId] = agent.agentId.split('~');
    if (this.#lineage?.id !== lineageId)
      this.#lineage = { id: lineageId, proof: this.#provedLineage(agent) };
    const { commits } = await this.#lineage.proof;
    return commits.filter((commit) => commit.branchId === branchId);
  }

  /**
   * The same commits, as the collector shows them now: what an answer lacks may have been dropped
   * since they were asked for, but before the answer ended.
   */
  #commitsAgain(agent: AgentView): Promise<readonly ProvedCommit[]> {
    this.#lineage = undefined;
    return this.#commitsOf(agent);
  }

  async #provedLineage(agent: AgentView): Promise<LineageProof> {
    const { vaultId, authorityKey } = this.#authority;
    const { lineageId } = agent;
    const agents = new Map<string, LineageAgent>();
    for (const info of await this.roster()) {
      if (info.lineageId !== lineageId || info.binding === undefined) continue;
      const [enrolment, binding] = [info.enrolment, info.binding].map((text) =>
        decodeSigned(fromBase64(text)),
      );
      if (enrolment === undefined || binding === undefined) continue;
      const certificate = evidence(() => verifyAgent(authorityKey, vaultId, enrolment, binding));
      agents.set(info.agentId, {
        name: info.name,
        certificate,
        hasEnded: info.state === 'revoked' || info.state === 'replaced',
        apart: info.histories.map(({ branchId }) => branchId),
      });
    }
    const proof = new LineageProof(vaultId, lineageId, agents);
    const [agentId = agent.agentId] = agent.agentId.split('~');
    const { size } = this.#head;
    for await (const record of this.#vault.reading.commits(agentId, 0, size))
      if ('header' in record) proof.add(record);
      else proof.addDamaged(record);
    proof.requireWhole((await this.#walked()).agents);
    const dropped = proof.commits.filter((commit) => commit.dropped.length > 0);
    if (dropped.length > 0) await this.#requireReason(agent, dropped);
    const lost = proof.commits.reduce((sum, commit) => sum + commit.lost.length, 0) / 8;
    if (lost > 0)
      outputOf(this.#context, {}).note(
        `agent ${agent.name}: nobody has the content of ${formatCounted(lost, 'version')} any more, as the collector says; what it has of those files from before counts as their newest`,
      );
    return proof;
  }

  /**
   * What was dropped was purged, which the log proves and is told, or else a policy let it go.
   * @throws CommandError
   */
  async #requireReason(
    { name, lineageId }: AgentView,
    dropped: readonly ProvedCommit[],
  ): Promise<void> {
    const purged = await this.#purgedFiles();
    for (const says of purged.says(lineageId))
      outputOf(this.#context, {}).note(`agent ${name}: ${says}`);
    if (dropped.some((commit) => !purged.coversAll(lineageId, commit)))
      await requirePolicy(this.#vault, this.#authority, this.#head);
  }

  #purgedFiles(): Promise<PurgedFiles> {
    this.#purged ??= PurgedFiles.of(this.#vault, this.#authority, this.#head);
    return this.#purged;
  }

  /** Less what was purged, though it was the newest. */
  async #notPurged(
    { lineageId }: AgentView,
    missing: readonly Missing[],
  ): Promise<readonly Missing[]> {
    if (!missing.some(({ isDropped }) => isDropped)) return missing;
    const purged = await this.#purgedFiles();
    return missing.filter(
      ({ high, low, isDropped, commit }) =>
        !(isDropped && purged.covers(lineageId, { high, low }, commit)),
    );
  }

  /** What an answer lacks must be gone, by an event or by a commit that came since. */
  async #requireNone(
    agent: AgentView,
    question: StateQuestion,
    all: readonly Missing[],
  ): Promise<void> {
    const missing = await this.#notPurged(agent, all);
    if (missing.length === 0) return;
    let left = question.results ? missing : await this.#notGone(agent, question, missing);
    if (left.length > 0 && question.atMs === undefined) left = await this.#notSince(agent, left);
    const [first] = left;
    if (first === undefined) return;
    const what = question.results ? 'folder result' : 'file';
    const commits = [...new Set(left.map(({ commit }) => commit.sequence))];
    const shown = commits.slice(0, 5).join(', ');
    const more = commits.length > 5 ? `, … (${commits.length})` : '';
    throw leftOut(
      `the newest version of ${formatCounted(left.length, what)} of agent ${first.commit.agent}, in ${commits.length === 1 ? 'commit' : 'commits'} ${shown}${more}`,
    );
  }

  /** Less the files of which the log has an operator's word that they are gone. */
  async #notGone(
    agent: AgentView,
    { atMs }: StateQuestion,
    missing: readonly Missing[],
  ): Promise<readonly Missing[]> {
    const { size } = this.#head;
    const goneAt = new Map<string, number>();
    const goneLater = new Set<string>();
    const times = await this.times();
    for (const one of await this.#vault.reading.goneEvents(agent.agentId, size)) {
      const event = provedEvent(one, this.#head);
      const goneMs = times.of(one.leafIndex, event.timeMs);
      if (event.type !== 'filesGone') continue;
      for (const fileId of event.fileIds) {
        const { high, low } = markOf(fileId, 0, false);
        if (goneMs > (atMs ?? goneMs)) goneLater.add(`${high} ${low}`);
        else goneAt.set(`${high} ${low}`, one.leafIndex);
      }
    }
    return missing.filter(({ high, low, commit, isDropped }) => {
      const name = `${high} ${low}`;
      // What is gone later was not the newest for ever, and may have been dropped.
      if (isDropped && goneLater.has(name)) return false;
      return (goneAt.get(name) ?? -1) < commit.leafIndex;
    });
  }

  /** Less the files that are gone by a commit that came while the answer did. */
  async #notSince(agent: AgentView, missing: readonly Missing[]): Promise<readonly Missing[]> {
    const before = this.#head.size;
    this.#head = await demandContinuation(this.#context, this.#vault);
    if (this.#head.size === before) return missing;
    this.#walk = undefined;
    this.#times = undefined;
    this.#purged = undefined;
    this.#lineage = undefined;
    const since = (await this.#commitsOf(agent)).filter(({ leafIndex }) => leafIndex >= before);
    const question = { atMs: undefined, results: false };
    const check = new StateCheck(since, this.#head.size, await this.times(), question);
    return missing.filter((one) => !check.isGone(one));
  }
}
