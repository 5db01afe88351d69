import type { LineageId } from '@aliquot/proto';
import { BRAKE_DAYS, brakesFor, type RunSize } from '../../../retention/brakes.ts';
import type { KeepReason } from '../../../retention/kept.ts';
import { ExactSum } from '../../catalog/exact-sum.ts';
import type { RetentionRuns } from '../../catalog/retention-runs.ts';
import type {
  JudgedSubject,
  JudgedVersion,
  RetentionFigures,
  UnreadSubject,
  VersionAmount,
} from '../../vault-retention.ts';
import type { VaultCore } from '../core.ts';
import { factsOf, type LongStep } from './facts-of.ts';
import type { FactsAsked } from './file-facts.ts';

const DAY_MS = 86_400_000;

/** So many versions, and their bytes as PCs claim them. */
export class Amount implements VersionAmount {
  readonly #bytes = new ExactSum();
  #versions = 0;

  add(size: number): void {
    this.#versions += 1;
    this.#bytes.add(size);
  }

  get versions(): number {
    return this.#versions;
  }

  get bytes(): bigint {
    return this.#bytes.value;
  }
}

/** What all of a vault comes to, as it stands before a run. */
export class Evaluation {
  readonly nowMs: number;
  readonly #going = new Amount();
  readonly #soon = new Amount();
  readonly #expired = new Amount();
  readonly #kept = new Map<KeepReason, Amount>();
  #unread = 0;
  readonly #horizonMs: number;
  readonly #agent: string | undefined;
  readonly #present = new Amount();
  /** Of what goes, what no run had expired before. */
  readonly #fresh = new Amount();
  readonly #freshSoon = new Amount();
  readonly #arrived = new Amount();
  readonly #agents = new Map<
    string,
    { present: number; going: number; soon: number; arrived: number }
  >();

  /** `agent`: only versions of the PC of this name are told; brakes are of all. */
  constructor(nowMs: number, horizonMs: number, agent?: string) {
    this.nowMs = nowMs;
    this.#horizonMs = horizonMs;
    this.#agent = agent;
  }

  take(subject: JudgedSubject | UnreadSubject): void {
    if (subject.facts === undefined) {
      this.#unread += 1;
      return;
    }
    for (const [at, version] of subject.versions.entries()) {
      const facts = subject.facts.versions[at];
      if (facts !== undefined) this.#add(version, facts.ruling.agent, facts.receivedMs);
    }
  }

  #add(version: JudgedVersion, agent: string, receivedMs: number): void {
    const { size, untilMs, reason, expiredBy, isVoid } = version;
    const isTold = this.#agent === undefined || this.#agent === agent;
    if (expiredBy !== undefined && untilMs <= this.nowMs) {
      if (isTold) this.#expired.add(size);
      return;
    }
    this.#present.add(size);
    let counted = this.#agents.get(agent);
    if (counted === undefined) {
      counted = { present: 0, going: 0, soon: 0, arrived: 0 };
      this.#agents.set(agent, counted);
    }
    counted.present += 1;
    if (receivedMs > this.nowMs - BRAKE_DAYS * DAY_MS) {
      this.#arrived.add(size);
      counted.arrived += 1;
    }
    if (untilMs <= this.nowMs) {
      if (isTold) this.#going.add(size);
      if (isVoid) return;
      this.#fresh.add(size);
      counted.going += 1;
    } else {
      if (isTold) this.#keep(reason ?? 'newest', size);
      if (untilMs > this.#horizonMs) return;
      if (isTold) this.#soon.add(size);
      this.#freshSoon.add(size);
      counted.soon += 1;
    }
  }

  #keep(reason: KeepReason, size: number): void {
    let amount = this.#kept.get(reason);
    if (amount === undefined) {
      amount = new Amount();
      this.#kept.set(reason, amount);
    }
    amount.add(size);
  }

  /** What it comes to; `runs` are those that were before. */
  figures(runs: RetentionRuns): RetentionFigures {
    const plain = ({ versions, bytes }: Amount): VersionAmount => ({ versions, bytes });
    return {
      nowMs: this.nowMs,
      ...{ going: plain(this.#going), soon: plain(this.#soon), expired: plain(this.#expired) },
      kept: [...this.#kept].map(([reason, amount]) => ({ reason, ...plain(amount) })),
      unread: this.#unread,
      brakes: brakesFor(this.size(runs)),
      brakesSoon: brakesFor(this.size(runs, true)),
    };
  }

  /**
   * As brakes look at it; `withSoon`: as though all that goes in the days asked for went at once.
   */
  size(runs: RetentionRuns, withSoon = false): RunSize {
    const lately = latelyExpired(runs, this.nowMs);
    return {
      vaultBytes: this.#present.bytes,
      expiringBytes: this.#fresh.bytes + (withSoon ? this.#freshSoon.bytes : 0n),
      lately: { expired: lately.bytes, arrived: this.#arrived.bytes },
      agents: [...this.#agents].map(([agent, { present, going, soon, arrived }]) => ({
        ...{ agent, versions: present, expiring: going + (withSoon ? soon : 0) },
        lately: { expired: lately.versions.get(agent) ?? 0, arrived },
      })),
    };
  }
}

/** What runs of the last days expired that no person approved, and nobody has undone. */
function latelyExpired(
  runs: RetentionRuns,
  nowMs: number,
): { readonly bytes: bigint; readonly versions: ReadonlyMap<string, number> } {
  let bytes = 0n;
  const versions = new Map<string, number>();
  for (const run of runs.all()) {
    if (run.timeMs <= nowMs - BRAKE_DAYS * DAY_MS || run.approves > 0) continue;
    if (run.brakes.length > 0 || run.undone !== undefined) continue;
    bytes += BigInt(run.bytes);
    for (const [agent, count] of run.agents)
      versions.set(agent, (versions.get(agent) ?? 0) + count);
  }
  return { bytes, versions };
}

/** Every history that holds something: of each lineage the trunk, then those held apart, clones. */
function histories({ registry }: VaultCore): LineageId[] {
  const found = new Map<string, LineageId>();
  for (const { agentId } of registry.rows()) {
    const lines = registry.lines(agentId);
    if (lines === undefined) continue;
    for (const id of [lines.trunkId, ...lines.branchIds()])
      if (registry.lineage(id) !== undefined) found.set(Buffer.from(id).toString('hex'), id);
  }
  return [...found.values()];
}

/** Judges all of a vault; `hear` is told of each file and result, history by history. */
export async function evaluate(
  core: VaultCore,
  asked: Omit<FactsAsked, 'branchId'>,
  step: LongStep,
  hear: (subject: JudgedSubject | UnreadSubject) => void,
): Promise<void> {
  for (const branchId of histories(core))
    for await (const subject of factsOf(core, { ...asked, branchId }, step)) hear(subject);
}
