import {
  asCommitHash,
  type CommitHash,
  type CommitHeader,
  decodeCommitHeader,
  decodeLogLeaf,
  type HistoryCommit,
  type VaultId,
} from '@aliquot/proto';
import { formatInstant } from '@aliquot/shared/cli/format';
import { commitHash, verifyHeader, verifySummary } from '@aliquot/shared/commit/commit';
import { lossHash } from '@aliquot/shared/commit/loss';
import { hex } from '@aliquot/shared/crypto/bytes';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import type { AgentCertificate } from '@aliquot/shared/keys/certificates';
import { leafHash } from '@aliquot/shared/log/hashing';
import { commitLeaf } from '@aliquot/shared/log/leaf';
import { fromBase64 } from '../../api/base64.ts';
import type { DamagedCommit } from '../../api/log-part.ts';
import { evidence, unverified } from '../evidence.ts';
import { leftOut } from './left-out.ts';
import { type AgentTotal, noCommits, withCommit } from './log-walk.ts';

/** An agent of a lineage, as the authority certified it and the collector lists it. */
export interface LineageAgent {
  readonly name: string;
  readonly certificate: AgentCertificate;
  /** Revoked or replaced: what comes of it later is held apart. */
  readonly hasEnded: boolean;
  /** The histories that are held apart from it, in hexadecimal. */
  readonly apart: readonly string[];
}

/** A commit that the log has, without its rows. */
export interface ProvedCommit {
  readonly hash: CommitHash;
  readonly agent: string;
  readonly sequence: number;
  readonly leafIndex: number;
  readonly receivedAtMs: number;
  /** When its PC signed it, by that PC's clock; of one that cannot be read nobody knows. */
  readonly agentTimeMs: number;
  /** The history that it belongs to, in hexadecimal. */
  readonly branchId: string;
  /** Commits that follow one another have the same. */
  readonly line: number;
  readonly summary: Uint8Array;
  readonly lost: Uint8Array;
  /** As `HistoryCommit` has it. */
  readonly dropped: Uint8Array;
  /** The collector cannot read it any more: it may be about any file. */
  readonly isDamaged?: true;
}

const NO_MARKS = new Uint8Array(0);

/** A line of commits: where it belongs, and its newest one. */
interface Line {
  readonly branchId: string;
  readonly agentId: string;
  readonly head: string;
}

/**
 * All commits of a lineage up to a head, proved to be all: those of each agent are exactly the ones
 * whose leaves the log has. Which history one belongs to is the collector's word, but not where it
 * follows the newest commit of a line: there it belongs to that line's.
 */
export class LineageProof {
  readonly commits: ProvedCommit[] = [];
  readonly #vaultId: VaultId;
  /** In hexadecimal. */
  readonly #trunkId: string;
  readonly #agents: ReadonlyMap<string, LineageAgent>;
  readonly #totals = new Map<string, AgentTotal>();
  readonly #lines: Line[] = [];
  /** The numbers of each agent's commits. */
  readonly #numbers = new Map<string, Set<number>>();

  constructor(vaultId: VaultId, trunkId: string, agents: ReadonlyMap<string, LineageAgent>) {
    this.#vaultId = vaultId;
    this.#trunkId = trunkId;
    this.#agents = agents;
  }

  /** Takes in the next commit, in the order of the leaves. @throws CommandError */
  add(record: HistoryCommit): void {
    const { leafIndex, receivedAtMs, summary, lost, dropped } = record;
    const { header, hash, agent, agentId } = this.#verified(record);
    const leaf = leafHash(commitLeaf(header.agentId, hash, receivedAtMs, record.lossHash));
    const total = this.#totals.get(agentId) ?? noCommits;
    if (leafIndex <= total.newestLeaf)
      throw unverified('the collector shows commits out of their order');
    this.#totals.set(agentId, withCommit(total, leafIndex, leaf, receivedAtMs));
    const branchId = hex(record.branchId);
    if (branchId !== this.#trunkId && !agent.apart.includes(branchId))
      throw leftOut(
        `the history ${agent.name}~${branchId.slice(0, 8)} of its list, with commit ${header.sequence}`,
      );
    const line = this.#lineOf(header, agent, branchId, total.commits === 0);
    this.#lines[line] = { branchId, agentId, head: hex(hash) };
    this.commits.push({
      ...{ hash, agent: agent.name, sequence: header.sequence },
      ...{ leafIndex, receivedAtMs, agentTimeMs: header.agentTimeMs },
      ...{ branchId, line, summary, lost, dropped },
    });
  }

  /**
   * Takes in a commit whose record the collector cannot read any more. That it is there, and whose
   * it is, its leaf proves; what it is about nobody knows here, so any file may have its newest
   * version in it.
   */
  addDamaged({ leafIndex, leaf, sequence, branchId }: DamagedCommit): void {
    const bytes = fromBase64(leaf);
    const { agentId: of, timeMs, subject } = evidence(() => decodeLogLeaf(bytes));
    const agentId = of === undefined ? '' : hex(of);
    const agent = this.#agents.get(agentId);
    if (agent === undefined) throw unverified('the collector shows a commit of another agent');
    const total = this.#totals.get(agentId) ?? noCommits;
    this.#totals.set(agentId, withCommit(total, leafIndex, leafHash(bytes), timeMs));
    const numbers = this.#numbers.get(agentId) ?? new Set();
    this.#numbers.set(agentId, numbers.add(sequence));
    const known = this.#lines.findLastIndex((line) => line.branchId === branchId);
    const line = known === -1 ? this.#lines.length : known;
    this.#lines[line] = { branchId, agentId, head: hex(subject) };
    this.commits.push({
      ...{ hash: asCommitHash(subject), agent: agent.name, sequence, leafIndex },
      ...{ receivedAtMs: timeMs, agentTimeMs: Infinity, branchId, line, isDamaged: true },
      ...{ summary: NO_MARKS, lost: NO_MARKS, dropped: NO_MARKS },
    });
  }

  /** That nothing is missing, by what the leaves say of each agent. @throws CommandError */
  requireWhole(agents: ReadonlyMap<string, AgentTotal>): void {
    for (const [agentId, { name }] of this.#agents) {
      const said = agents.get(agentId) ?? noCommits;
      const shown = this.#totals.get(agentId) ?? noCommits;
      if (hex(said.digest) !== hex(shown.digest)) throw this.#gap(agentId, name, said, shown);
    }
  }

  #verified(record: HistoryCommit) {
    return evidence(() => {
      const hash = commitHash(record.header);
      // Whose it says it is: that is proved by the signature.
      const agentId = hex(decodeCommitHeader(record.header).agentId);
      const agent = this.#agents.get(agentId);
      if (agent === undefined) throw unverified('the collector sent a commit of another agent');
      const header = verifyHeader(record, { vaultId: this.#vaultId, agent: agent.certificate });
      if (record.summary.length > 0) verifySummary(header, record.summary);
      // Only a commit that its agent declared lost as a whole has none: its leaf says so.
      else if (record.lossHash === undefined || !equalBytes(record.lossHash, lossHash(hash, [])))
        throw unverified('the collector keeps back what a commit is about');
      const numbers = this.#numbers.get(agentId) ?? new Set();
      this.#numbers.set(agentId, numbers.add(header.sequence));
      return { header, hash, agent, agentId };
    });
  }

  /** The line that a commit goes on with, or a new one. */
  #lineOf(header: CommitHeader, agent: LineageAgent, branchId: string, isFirst: boolean): number {
    const agentId = hex(header.agentId);
    const parent = header.forkedFrom?.hash ?? header.predecessor;
    const head = hex(parent);
    const at = this.#lines.findIndex((line) => line.agentId === agentId && line.head === head);
    const followed = this.#lines[at];
    if (followed === undefined) {
      // The first commit of an agent goes on with the history of the one that it replaces.
      const trunk = this.#lines.findIndex((line) => line.branchId === this.#trunkId);
      return isFirst && branchId === this.#trunkId && trunk !== -1 ? trunk : this.#lines.length;
    }
    if (followed.branchId === branchId) return at;
    if (header.forkedFrom === undefined && !agent.hasEnded)
      throw leftOut(
        `commit ${header.sequence} of agent ${agent.name} of the history that it goes on with`,
      );
    return this.#lines.length;
  }

  /** What is missing, as far as the commits that are there tell. */
  #gap(agentId: string, name: string, said: AgentTotal, shown: AgentTotal): Error {
    const of = `agent ${name}`;
    const numbers = this.#numbers.get(agentId) ?? new Set();
    const newest = Math.max(0, ...numbers);
    for (let sequence = 1; sequence < newest; sequence += 1)
      if (!numbers.has(sequence)) return leftOut(`commit ${sequence} of ${of}`);
    if (shown.commits === 0) return leftOut(`all ${said.commits} commits of ${of}`);
    if (said.commits > shown.commits)
      return leftOut(
        `${said.commits - shown.commits} of the ${said.commits} commits of ${of}, the newest received on ${formatInstant(said.newestMs)} after commit ${newest}`,
      );
    return unverified(`the collector shows commits of ${of} that its log does not have`);
  }
}
