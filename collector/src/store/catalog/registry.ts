import {
  type AgentId,
  type ChainId,
  decodeGroupCertificateBody,
  decodeHeartbeatBody,
  decodeSigned,
  type GroupId,
  type HeartbeatBody,
  type LineageId,
  type Signed,
} from '@aliquot/proto';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { type AgentCertificate, readAgent } from '@aliquot/shared/keys/certificates';
import { groupIdOf } from '@aliquot/shared/keys/group';
import { heldName } from '../branch-id.ts';
import type { AgentRecord, GroupRecord, ReportedHead } from '../vault-records.ts';
import { AgentLines, type Line } from './agent-lines.ts';
import { problemsOf } from './agent-problems.ts';
import { keys, ranges, readKey } from './catalog-keys.ts';
import type { AgentRow, LearnedRow, LineageRow, LostRow } from './catalog-rows.ts';
import type { CatalogStore } from './catalog-store.ts';
import { Desk } from './desk.ts';
import { decodeGroup, type GroupRow } from './group-row.ts';
import { Growth } from './growth.ts';
import { learn, type Rhythm, silenceLimitMs } from './rhythm.ts';
import { read } from './row-codec.ts';

interface Known {
  row: AgentRow;
  certified: ReturnType<typeof readAgent>;
  /** Whose certificate it came with. */
  readonly groupId: GroupId | undefined;
  readonly lines: AgentLines;
  lastSeenMs: number | undefined;
  rhythm: Rhythm | undefined;
  heartbeat: { readonly body: HeartbeatBody; readonly receivedAtMs: number } | undefined;
  /** By chain id: what it answered to the sweep. */
  readonly learned: Map<string, LearnedRow>;
  /** Commits that came back after a rollback without some of their versions. */
  readonly lost: LostRow[];
}

export const hex = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');

/**
 * A vault's agents in memory: a mirror of the catalog's registry rows (some 2 KiB an agent), so
 * that a connection or a listing reads nothing from disk. It changes only after the record that it
 * follows from was appended.
 */
export class Registry {
  readonly #agents = new Map<string, Known>();
  readonly #groups = new Map<string, GroupRow>();
  readonly #lineages = new Map<string, LineageRow>();
  readonly #reported = new Map<number, ReportedHead>();
  /** The newest announced epoch of the sweep; 0 before the first. */
  gcEpoch = 0;
  /** The newest addresses of the collector that the authority signed. */
  addresses: Signed | undefined;
  /** What operators have set for agents. */
  desk = new Desk();
  readonly growth = new Growth();

  /** Reads all rows. `reportedHead` fetches what a leaf reports. */
  static async load(
    catalog: CatalogStore,
    reportedHead: (leafIndex: number) => Promise<ReportedHead>,
  ): Promise<Registry> {
    const registry = new Registry();
    for await (const [, value] of catalog.scan(ranges.agents)) {
      const row = read.agent(value);
      registry.setAgent(row);
      const lineage = await catalog.get(keys.lineage(row.lineageId));
      if (lineage !== undefined) registry.setLineage(row.lineageId, read.lineage(lineage));
    }
    for await (const [, value] of catalog.scan(ranges.groups))
      registry.setGroup(decodeGroup(value));
    for await (const [key, value] of catalog.scan(ranges.lines)) {
      registry.lines(readKey.agent(key))?.setLine(readKey.branchOf(key), read.chain(value));
    }
    for await (const [key, value] of catalog.scan(ranges.chainHeads)) {
      registry.lines(readKey.agent(key))?.setChainHead(read.chainHead(value, readKey.chainOf(key)));
    }
    for await (const [key, value] of catalog.scan(ranges.histories)) {
      const branchId = readKey.branchOf(key);
      registry.lines(readKey.agent(key))?.setBranch(read.history(value, branchId));
      const lineage = await catalog.get(keys.lineage(branchId));
      if (lineage !== undefined) registry.setLineage(branchId, read.lineage(lineage));
    }
    const gcEpoch = await catalog.get(keys.gcEpoch);
    if (gcEpoch !== undefined) registry.gcEpoch = read.u64(gcEpoch);
    const addresses = await catalog.get(keys.addresses);
    if (addresses !== undefined) registry.addresses = decodeSigned(addresses);
    registry.desk = await Desk.load(catalog);
    for await (const [key, value] of catalog.scan(ranges.gcLearned))
      registry.setLearned(readKey.noteAgent(key), readKey.noteChain(key), read.learned(value));
    for await (const [key, value] of catalog.scan(ranges.lost))
      registry.addLost(readKey.agent(key), read.lost(value));
    for await (const [key] of catalog.scan(ranges.reported)) {
      const leafIndex = readKey.number(key);
      registry.addReported(leafIndex, await reportedHead(leafIndex));
    }
    for await (const [key, value] of catalog.scan(ranges.seen))
      registry.seen(readKey.noteAgent(key), read.u64(value));
    for await (const [key, value] of catalog.scan(ranges.rhythms)) {
      const known = registry.#agents.get(hex(readKey.noteAgent(key)));
      if (known !== undefined) known.rhythm = read.rhythm(value);
    }
    for await (const [key, value] of catalog.scan(ranges.packBytes))
      registry.growth.set(readKey.noteDay(key), read.u64(value));
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

  /** The lines of an agent; `undefined` when there is no such agent. */
  lines(agentId: AgentId): AgentLines | undefined {
    return this.#agents.get(hex(agentId))?.lines;
  }

  /**
   * The newest epoch of the sweep that a line has answered under its newest chain while the log was
   * in `logEpoch`.
   */
  learned(agentId: AgentId, { branchId, row: { head } }: Line, logEpoch: number): number {
    const known = this.#agents.get(hex(agentId))?.learned.get(hex(head.chainId));
    return known?.logEpoch === logEpoch && equalBytes(known.branchId, branchId) ? known.epoch : 0;
  }

  lineage(lineageId: LineageId): LineageRow | undefined {
    return this.#lineages.get(hex(lineageId));
  }

  /** The verified certificate of an agent that has enrolled. */
  certificate(agentId: AgentId): AgentCertificate | undefined {
    const certified = this.#agents.get(hex(agentId))?.certified;
    return certified?.binding === undefined
      ? undefined
      : { ...certified, binding: certified.binding };
  }

  /** The signed halves of an agent's certificate, for readers that verify it themselves. */
  signedCertificate(agentId: AgentId): { enrolment: Signed; binding: Signed } | undefined {
    const row = this.row(agentId);
    return row?.binding === undefined
      ? undefined
      : { enrolment: row.enrolment, binding: row.binding };
  }

  setAgent(row: AgentRow): void {
    const name = hex(row.agentId);
    const known = this.#agents.get(name);
    const certified = readAgent(row.enrolment, row.binding);
    if (known !== undefined) {
      known.row = row;
      known.certified = certified;
      return;
    }
    const groupId = certified.group && groupIdOf(certified.group.groupKey);
    const unheard = { lastSeenMs: undefined, rhythm: undefined, heartbeat: undefined };
    const rest = { lines: new AgentLines(row.lineageId), learned: new Map(), lost: [] };
    this.#agents.set(name, { row, certified, groupId, ...unheard, ...rest });
  }

  group(groupId: GroupId): GroupRow | undefined {
    return this.#groups.get(hex(groupId));
  }

  groups(): GroupRow[] {
    return [...this.#groups.values()].sort((a, b) => a.addedLeaf - b.addedLeaf);
  }

  setGroup(row: GroupRow): void {
    this.#groups.set(hex(row.groupId), row);
  }

  /** How many agents came with a group's certificate, whatever became of them. */
  usesOf(groupId: GroupId): number {
    return [...this.#agents.values()].filter(
      (known) => known.groupId !== undefined && equalBytes(known.groupId, groupId),
    ).length;
  }

  /** Every group that was ever added, oldest first. */
  groupRecords(): GroupRecord[] {
    return this.groups().map(({ groupId, addedAtMs, end, certificate }) => ({
      groupId,
      body: decodeGroupCertificateBody(certificate.body),
      used: this.usesOf(groupId),
      addedAtMs,
      endedAtMs: end?.timeMs,
    }));
  }

  setLineage(lineageId: LineageId, row: LineageRow): void {
    this.#lineages.set(hex(lineageId), row);
  }

  dropLineage(lineageId: LineageId): void {
    this.#lineages.delete(hex(lineageId));
  }

  setLearned(agentId: AgentId, chainId: ChainId, learned: LearnedRow): void {
    this.#agents.get(hex(agentId))?.learned.set(hex(chainId), learned);
  }

  addLost(agentId: AgentId, lost: LostRow): void {
    this.#agents.get(hex(agentId))?.lost.push(lost);
  }

  dropLost(agentId: AgentId): void {
    this.#agents.get(hex(agentId))?.lost.splice(0);
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

  /**
   * Learns from a sign of life that `seen` is about to enter. Returns the rhythm where that taught
   * something.
   */
  learnRhythm(agentId: AgentId, nowMs: number): Rhythm | undefined {
    const known = this.#agents.get(hex(agentId));
    if (known === undefined) return undefined;
    const rhythm = learn(known.rhythm, known.lastSeenMs, nowMs);
    if (rhythm === known.rhythm) return undefined;
    known.rhythm = rhythm;
    return rhythm;
  }

  seen(agentId: AgentId, nowMs: number): void {
    const known = this.#agents.get(hex(agentId));
    if (known !== undefined) known.lastSeenMs = Math.max(known.lastSeenMs ?? 0, nowMs);
  }

  setHeartbeat(agentId: AgentId, heartbeat: HeartbeatBody, nowMs: number): void {
    const known = this.#agents.get(hex(agentId));
    if (known === undefined) return;
    known.heartbeat = { body: heartbeat, receivedAtMs: nowMs };
    this.seen(agentId, nowMs);
  }

  record(agentId: AgentId): AgentRecord | undefined {
    const known = this.#agents.get(hex(agentId));
    return known === undefined ? undefined : this.#recordOf(known);
  }

  records(): AgentRecord[] {
    return [...this.#agents.values()]
      .sort((a, b) => a.row.expectedLeaf - b.row.expectedLeaf)
      .map((known) => this.#recordOf(known));
  }

  byName(name: string): AgentRecord | undefined {
    const rank = { enrolled: 0, expected: 1, pending: 1, revoked: 2, replaced: 2 };
    const bearers = [...this.#agents.values()].filter((known) => known.row.name === name);
    bearers.sort(
      (a, b) => rank[a.row.state] - rank[b.row.state] || b.row.expectedLeaf - a.row.expectedLeaf,
    );
    return bearers[0] === undefined ? undefined : this.#recordOf(bearers[0]);
  }

  #recordOf(known: Known): AgentRecord {
    const { row, lines } = known;
    const { trunk } = lines;
    const lineage = this.lineage(row.lineageId);
    return {
      agentId: row.agentId,
      lineageId: row.lineageId,
      name: row.name,
      state: row.state,
      enrolment: row.enrolment,
      enrolmentBody: known.certified.enrolment,
      expectedAtMs: row.expectedAtMs,
      binding: row.binding,
      bindingBody: known.certified.binding,
      group: known.certified.group,
      approval: row.approval,
      operator: row.operator,
      enrolledAtMs: row.enrolledAtMs,
      endedAtMs: row.endedAtMs,
      endReason: row.endedAtMs === undefined ? undefined : row.endReason,
      lastSeenMs: known.lastSeenMs,
      lastCommitMs: trunk?.receivedAtMs,
      lastReceipt: trunk?.receipt,
      chainHead: trunk?.head,
      heartbeat: known.heartbeat?.body,
      heartbeatAtMs: known.heartbeat?.receivedAtMs,
      silenceLimitMs: silenceLimitMs(known.rhythm, known.lastSeenMs),
      files: lineage?.files ?? 0,
      bytes: Number(lineage?.bytes ?? 0n),
      histories: lines.apart().map(({ branchId, state, at, name, openedAtMs, line }) => ({
        branchId,
        state: state === 'clone' ? 'clone' : 'held',
        name: state === 'clone' ? name : heldName(row.name, branchId),
        at,
        openedAtMs,
        head: line.head,
        lastCommitMs: line.receivedAtMs,
        files: this.lineage(branchId)?.files ?? 0,
        bytes: Number(this.lineage(branchId)?.bytes ?? 0n),
      })),
      problems: problemsOf(row, lines, known.lost, [...this.#reported.values()]),
    };
  }
}
