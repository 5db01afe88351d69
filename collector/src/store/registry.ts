import {
  type AgentBindingBody,
  type AgentId,
  type ChainId,
  decodeAgentBindingBody,
  decodeEnrolmentCertificateBody,
  decodeHeartbeatBody,
  type EnrolmentCertificateBody,
  type HeartbeatBody,
  type LineageId,
  type Signed,
} from '@aliquot/proto';
import type { AgentCertificate } from '@aliquot/shared/keys/certificates';
import type { Catalog } from './catalog.ts';
import { keys, ranges, readKey } from './catalog-keys.ts';
import { type AgentRow, type ChainRow, type LineageRow, type LostRow, read } from './catalog-rows.ts';
import type { AgentProblem, AgentRecord, ReportedHead } from './vault-store.ts';

interface Known {
  row: AgentRow;
  readonly enrolmentBody: EnrolmentCertificateBody;
  bindingBody: AgentBindingBody | undefined;
  chain: ChainRow | undefined;
  lastSeenMs: number | undefined;
  heartbeat: HeartbeatBody | undefined;
  /** By chain id: when the fork was recorded. */
  readonly forks: Map<string, number>;
  /** Commits that came back after a rollback without some of their versions. */
  readonly lost: LostRow[];
}

export const hex = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');

/**
 * A vault's agents in memory: a mirror of the catalog's registry rows (some 2 KiB an agent), so that a connection or a
 * listing reads nothing from disk. It changes only after the record that it follows from was appended.
 */
export class Registry {
  readonly #agents = new Map<string, Known>();
  readonly #lineages = new Map<string, LineageRow>();
  readonly #reported = new Map<number, ReportedHead>();

  /** Reads all rows; the catalog has been flushed. `reportedHead` fetches what a leaf reports. */
  static async load(catalog: Catalog, reportedHead: (leafIndex: number) => Promise<ReportedHead>): Promise<Registry> {
    const registry = new Registry();
    for await (const [, value] of catalog.scan(ranges.agents)) {
      const row = read.agent(value);
      registry.setAgent(row);
      const chain = await catalog.get(keys.chain(row.agentId));
      if (chain !== undefined) registry.setChain(row.agentId, read.chain(chain));
      const lineage = await catalog.get(keys.lineage(row.lineageId));
      if (lineage !== undefined) registry.setLineage(row.lineageId, read.lineage(lineage));
    }
    for await (const [key, value] of catalog.scan(ranges.forks)) {
      registry.addFork(readKey.agent(key), new Uint8Array(key.subarray(17)), read.fork(value).timeMs);
    }
    for await (const [key, value] of catalog.scan(ranges.lost)) registry.addLost(readKey.agent(key), read.lost(value));
    for await (const [key] of catalog.scan(ranges.reported)) {
      const leafIndex = readKey.number(key);
      registry.addReported(leafIndex, await reportedHead(leafIndex));
    }
    for await (const [key, value] of catalog.scan(ranges.seen)) registry.seen(readKey.noteAgent(key), read.u64(value));
    for await (const [key, value] of catalog.scan(ranges.heartbeats)) {
      const { timeMs, signed } = read.heartbeat(value);
      registry.setHeartbeat(readKey.noteAgent(key), decodeHeartbeatBody(signed.body), timeMs);
    }
    return registry;
  }

  row(agentId: AgentId): AgentRow | undefined {
    return this.#agents.get(hex(agentId))?.row;
  }

  rows(): AgentRow[] {
    return [...this.#agents.values()].map((known) => known.row);
  }

  chain(agentId: AgentId): ChainRow | undefined {
    return this.#agents.get(hex(agentId))?.chain;
  }

  lineage(lineageId: LineageId): LineageRow | undefined {
    return this.#lineages.get(hex(lineageId));
  }

  hasFork(agentId: AgentId, chainId: ChainId): boolean {
    return this.#agents.get(hex(agentId))?.forks.has(hex(chainId)) === true;
  }

  forkCount(agentId: AgentId): number {
    return this.#agents.get(hex(agentId))?.forks.size ?? 0;
  }

  /** The verified certificate of an agent that has enrolled. */
  certificate(agentId: AgentId): AgentCertificate | undefined {
    const known = this.#agents.get(hex(agentId));
    return known?.bindingBody === undefined ? undefined : { enrolment: known.enrolmentBody, binding: known.bindingBody };
  }

  /** The signed halves of an agent's certificate, for whoever verifies for himself. */
  signedCertificate(agentId: AgentId): { enrolment: Signed; binding: Signed } | undefined {
    const row = this.row(agentId);
    return row?.binding === undefined ? undefined : { enrolment: row.enrolment, binding: row.binding };
  }

  setAgent(row: AgentRow): void {
    const name = hex(row.agentId);
    const known = this.#agents.get(name);
    const bindingBody = row.binding === undefined ? undefined : decodeAgentBindingBody(row.binding.body);
    if (known !== undefined) {
      known.row = row;
      known.bindingBody = bindingBody;
      return;
    }
    const enrolmentBody = decodeEnrolmentCertificateBody(row.enrolment.body);
    const rest = { chain: undefined, lastSeenMs: undefined, heartbeat: undefined, forks: new Map<string, number>(), lost: [] };
    this.#agents.set(name, { row, enrolmentBody, bindingBody, ...rest });
  }

  setChain(agentId: AgentId, chain: ChainRow): void {
    const known = this.#agents.get(hex(agentId));
    if (known !== undefined) known.chain = chain;
  }

  setLineage(lineageId: LineageId, row: LineageRow): void {
    this.#lineages.set(hex(lineageId), row);
  }

  addFork(agentId: AgentId, chainId: Uint8Array, timeMs: number): void {
    this.#agents.get(hex(agentId))?.forks.set(hex(chainId), timeMs);
  }

  addLost(agentId: AgentId, lost: LostRow): void {
    this.#agents.get(hex(agentId))?.lost.push(lost);
  }

  addReported(leafIndex: number, head: ReportedHead): void {
    this.#reported.set(leafIndex, head);
  }

  dropReported(leafIndex: number): void {
    this.#reported.delete(leafIndex);
  }

  reported(): [number, ReportedHead][] {
    return [...this.#reported];
  }

  seen(agentId: AgentId, nowMs: number): void {
    const known = this.#agents.get(hex(agentId));
    if (known !== undefined) known.lastSeenMs = Math.max(known.lastSeenMs ?? 0, nowMs);
  }

  setHeartbeat(agentId: AgentId, heartbeat: HeartbeatBody, nowMs: number): void {
    const known = this.#agents.get(hex(agentId));
    if (known === undefined) return;
    known.heartbeat = heartbeat;
    this.seen(agentId, nowMs);
  }

  record(agentId: AgentId): AgentRecord | undefined {
    const known = this.#agents.get(hex(agentId));
    return known === undefined ? undefined : this.#recordOf(known);
  }

  records(): AgentRecord[] {
    return [...this.#agents.values()].sort((a, b) => a.row.expectedLeaf - b.row.expectedLeaf).map((known) => this.#recordOf(known));
  }

  byName(name: string): AgentRecord | undefined {
    const rank = { enrolled: 0, expected: 1, revoked: 2, replaced: 2 };
    const bearers = [...this.#agents.values()].filter((known) => known.row.name === name);
    bearers.sort((a, b) => rank[a.row.state] - rank[b.row.state] || b.row.expectedLeaf - a.row.expectedLeaf);
    return bearers[0] === undefined ? undefined : this.#recordOf(bearers[0]);
  }

  #recordOf(known: Known): AgentRecord {
    const { row, chain } = known;
    const lineage = this.lineage(row.lineageId);
    return {
      agentId: row.agentId,
      lineageId: row.lineageId,
      name: row.name,
      state: row.state,
      enrolment: row.enrolment,
      enrolmentBody: known.enrolmentBody,
      expectedAtMs: row.expectedAtMs,
      binding: row.binding,
      bindingBody: known.bindingBody,
      enrolledAtMs: row.enrolledAtMs,
      endedAtMs: row.endedAtMs,
      endReason: row.endedAtMs === undefined ? undefined : row.endReason,
      lastSeenMs: known.lastSeenMs,
      lastCommitMs: chain?.receivedAtMs,
      lastReceipt: chain?.receipt,
      chainHead: chain?.head,
      heartbeat: known.heartbeat,
      files: lineage?.files ?? 0,
      bytes: lineage?.bytes ?? 0,
      problems: this.#problemsOf(known),
    };
  }

  #problemsOf({ row, forks, lost }: Known): AgentProblem[] {
    const problems: AgentProblem[] = [];
    for (const [chain, sinceMs] of forks) {
      const message = `two histories under one identity (chain ${chain.slice(0, 8)}): a copied folder, a snapshot or a re-imaged PC; enroll it anew with --replaces ${row.name}`;
      problems.push({ code: 'chain-forked', sinceMs, message });
    }
    for (const { sequence, versions, timeMs } of lost) {
      const what = versions === 1 ? 'one version' : `${versions} versions`;
      const message = `${what} of commit ${sequence} went with a log that was rolled back: neither the PC nor its sources had the bytes any more; aliquot-agent status on that PC names the files`;
      problems.push({ code: 'versions-lost', sinceMs: timeMs, message });
    }
    for (const [, head] of this.#reported) {
      if (hex(head.agentId) !== hex(row.agentId)) continue;
      const message = `holds a receipt for leaf ${head.head.size - 1}, which this collector no longer has: it was put back to an older state; aliquot log reopen heals it`;
      problems.push({ code: 'log-rolled-back', sinceMs: head.timeMs, message });
    }
    return problems;
  }
}
