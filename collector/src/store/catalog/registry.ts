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
import { type LoggedCorrection, LogTimes } from '@aliquot/shared/log/log-times';
import type { GivenAnswer } from '../../collection/answers.ts';
import type { SetPolicy } from '../../retention/ruling.ts';
import type { AgentRecord, GroupRecord, ReportedHead, SweepRow } from '../vault-records.ts';
import { AgentLines, type Line } from './agent-lines.ts';
import { type Known, recordOf } from './agent-record.ts';
import { keys, ranges, readKey } from './catalog-keys.ts';
import {
  type AgentRow,
  type LearnedRow,
  type LineageRow,
  type LostRow,
  type NotedMoment,
  neverSwept,
} from './catalog-rows.ts';
import type { CatalogStore } from './catalog-store.ts';
import { correctionsIn } from './corrections.ts';
import { Desk } from './desk.ts';
import { FailedWorks } from './failed-works.ts';
import { decodeGroup, type GroupRow } from './group-row.ts';
import { Growth } from './growth.ts';
import { SetHolds } from './holds.ts';
import { OrderedPurges } from './purges.ts';
import { decodeRun, RetentionRuns } from './retention-runs.ts';
import type { Rhythm } from './rhythm.ts';
import { read } from './row-codec.ts';
import { SignsOfLife } from './signs-of-life.ts';

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
  readonly #sweeps = new Map<string, SweepRow>();
  /** By agent: when somebody said that it is lost. */
  readonly #lostAgents = new Map<string, NotedMoment>();
  /** The newest addresses of the collector that the authority signed. */
  addresses: Signed | undefined;
  /** What operators have set for agents. */
  desk = new Desk();
  holds = new SetHolds();
  purges = new OrderedPurges();
  readonly growth = new Growth();
  /**
   * Leaves of events that no replay could read, or take in. One of them may have been a policy or a
   * hold: as long as there is any, nothing may be thrown away.
   */
  unreadEvents: readonly number[] = [];
  /** Runs of retention. */
  readonly runs = new RetentionRuns();
  /** Corrections of the clock that the log has, in its order. */
  corrections: readonly LoggedCorrection[] = [];
  /** What times of leaves count as in this catalog. */
  times: LogTimes = LogTimes.asRecorded;

  /** Reads all rows. `reportedHead` fetches what a leaf reports. */
  static async load(
    catalog: CatalogStore,
    reportedHead: (leafIndex: number) => Promise<ReportedHead>,
  ): Promise<Registry> {
    const registry = new Registry();
    registry.corrections = await correctionsIn(catalog, ranges.corrections);
    registry.times = new LogTimes(await correctionsIn(catalog, ranges.followed));
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
    for await (const [key, value] of catalog.scan(ranges.sweeps))
      registry.setSweep(readKey.lineage(key), read.sweep(value));
    for await (const [key, value] of catalog.scan(ranges.lostAgents))
      registry.setLostAgent(readKey.agent(key), read.moment(value));
    const addresses = await catalog.get(keys.addresses);
    if (addresses !== undefined) registry.addresses = decodeSigned(addresses);
    registry.desk = await Desk.load(catalog);
    for await (const [key] of catalog.scan(ranges.unreadEvents))
      registry.unreadEvents = [...registry.unreadEvents, readKey.number(key)];
    registry.holds = await SetHolds.load(catalog);
    registry.purges = await OrderedPurges.load(catalog);
    for await (const [, value] of catalog.scan(ranges.runs)) registry.runs.set(decodeRun(value));
    for await (const [key, value] of catalog.scan(ranges.lost))
      registry.addLost(readKey.agent(key), read.lost(value));
    for await (const [key] of catalog.scan(ranges.reported)) {
      const leafIndex = readKey.number(key);
      const head = await reportedHead(leafIndex);
      registry.addReported(leafIndex, {
        ...head,
        timeMs: registry.times.of(leafIndex, head.timeMs),
      });
    }
    await registry.readNotes(catalog);
    return registry;
  }

  /** Whether somebody has paused collection. */
  isGcPaused = false;

  readonly failedWorks = new FailedWorks();

  /** Reads what is noted of agents: again, when they were not known at a load. */
  async readNotes(catalog: CatalogStore): Promise<void> {
    this.isGcPaused = (await catalog.get(keys.gcPaused)) !== undefined;
    await this.failedWorks.load(catalog);
    for await (const [key, value] of catalog.scan(ranges.gcLearned))
      this.#setLearned(readKey.noteAgent(key), readKey.noteChain(key), {
        ...read.learned(value),
        isOfThisStart: false,
      });
    for await (const [key, value] of catalog.scan(ranges.seen))
      this.#signsOf(readKey.noteAgent(key))?.wasSeen(read.moment(value), this.times);
    for await (const [key, value] of catalog.scan(ranges.rhythms))
      this.#signsOf(readKey.noteAgent(key))?.knew(read.rhythm(value));
    for await (const [key, value] of catalog.scan(ranges.packBytes))
      this.growth.set(readKey.noteDay(key), read.u64(value));
    for await (const [key, value] of catalog.scan(ranges.heartbeats)) {
      const { moment, signed } = read.heartbeat(value);
      this.setHeartbeat(readKey.noteAgent(key), decodeHeartbeatBody(signed.body), moment);
    }
  }

  /** Every policy that was ever set, the oldest first, at the time that its leaf counts as. */
  get policies(): readonly SetPolicy[] {
    return this.desk.policies;
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

  /** What a line has answered to the sweep under its newest chain, whether it counts or not. */
  answered(agentId: AgentId, { branchId, row: { head } }: Line): GivenAnswer | undefined {
    const known = this.#agents.get(hex(agentId))?.learned.get(hex(head.chainId));
    return known && { ...known, isOfLine: equalBytes(known.branchId, branchId) };
  }

  /** How far the collection of a lineage's set has come. */
  sweep(lineageId: LineageId): SweepRow {
    return this.#sweeps.get(hex(lineageId)) ?? neverSwept;
  }

  /** Lineages whose agents were told an epoch that was not swept to its end. */
  underSweep(): LineageId[] {
    const lineages = new Map(this.rows().map(({ lineageId }) => [hex(lineageId), lineageId]));
    return [...lineages.values()].filter((lineageId) => {
      const { announced, swept } = this.sweep(lineageId);
      return announced > swept;
    });
  }

  setSweep(lineageId: LineageId, row: SweepRow): void {
    this.#sweeps.set(hex(lineageId), row);
  }

  /** When somebody said that an agent is lost; undefined: it is not. */
  lostAgent(agentId: AgentId): NotedMoment | undefined {
    return this.#lostAgents.get(hex(agentId));
  }

  setLostAgent(agentId: AgentId, said: NotedMoment | undefined): void {
    if (said === undefined) this.#lostAgents.delete(hex(agentId));
    else this.#lostAgents.set(hex(agentId), said);
  }

  /** The lineage whose own history this is, or beside whose it stands. */
  lineageOf(branchId: LineageId): LineageId | undefined {
    for (const { agentId, lineageId } of this.rows()) {
      if (equalBytes(lineageId, branchId)) return lineageId;
      if (this.lines(agentId)?.history(branchId) !== undefined) return lineageId;
    }
    return undefined;
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
    const signs = new SignsOfLife();
    const rest = { lines: new AgentLines(row.lineageId), learned: new Map(), lost: [] };
    this.#agents.set(name, { row, certified, groupId, signs, ...rest });
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
    this.#setLearned(agentId, chainId, { ...learned, isOfThisStart: true });
  }

  #setLearned(
    agentId: AgentId,
    chainId: ChainId,
    learned: LearnedRow & { readonly isOfThisStart: boolean },
  ): void {
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
    return this.#signsOf(agentId)?.learn(nowMs, this.times);
  }

  /** It is heard now. */
  seen(agentId: AgentId, moment: NotedMoment): void {
    this.#signsOf(agentId)?.seen(moment);
  }

  setHeartbeat(agentId: AgentId, heartbeat: HeartbeatBody, received: NotedMoment): void {
    this.#signsOf(agentId)?.sent(heartbeat, received, this.times);
  }

  #signsOf(agentId: AgentId): SignsOfLife | undefined {
    return this.#agents.get(hex(agentId))?.signs;
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
    return recordOf(known, {
      times: this.times,
      lineage: (branchId) => this.lineage(branchId),
      reported: [...this.#reported.values()],
      lostSinceMs: this.lostAgent(known.row.agentId)?.timeMs,
    });
  }
}
