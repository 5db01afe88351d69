import type { AgentId, RefusalCode, VaultId } from '@aliquot/proto';
import { formatBytes } from '@aliquot/shared/cli/format';
import { hex } from '@aliquot/shared/crypto/bytes';
import type { Clock } from '@aliquot/shared/ports';
import { hasEnded } from '../store/catalog/refusal.ts';

/**
 * What `aliquot agents` says of an agent that is refused, or whose program behaves as none of ours
 * does.
 */
export interface Misconduct {
  readonly code:
    | 'refused'
    | 'broke-protocol'
    | 'uncommitted-uploads'
    | 'repeats-commit'
    | 'repeats-sessions';
  readonly sinceMs: number;
  readonly message: string;
}

/**
 * A certified agent that was turned away. It is reported here because no vault knows it, so no list
 * of agents has it.
 */
export interface UnknownAgent {
  readonly vaultId: string;
  readonly agentId: string;
  readonly name: string;
  readonly sinceMs: number;
  readonly why: string;
}

/** How long a violation is reported after the last one. */
const TOLD_MS = 24 * 3600 * 1000;
const VAULT_DIGITS = 32;
/**
 * Agents that no vault knows and that are remembered: whoever finds the bundle of a group can have
 * any number of them.
 */
const MAX_STRANGERS = 1024;
const CALLS_STILL =
  '; that PC still calls: stop the program there, or, if it holds what is not here yet, carry its queue (`aliquot queue import --accept-ended`)';
/**
 * Content waits for its commit while a file is sent, and files may be large; this is beyond what
 * instruments write into one commit.
 */
const UNCOMMITTED_ALARM_BYTES = 64 * 1024 ** 3;

/**
 * Commits in a row that may be in vain before the next one has to wait: none of ours sends more.
 */
const FREE_ATTEMPTS = 3;
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 10_000;
/** So many in a row are told. */
const TOLD_ATTEMPTS = 6;

interface Record {
  readonly name: string;
  /** Commits in a row that were not taken. */
  readonly vain: { times: number; sinceMs: number; lastMs: number; why: string };
  /** Sessions that had to wait, because too many had begun just before. */
  readonly hurry: { times: number; sinceMs: number; lastMs: number };
  /** Items that the last one lacked and that did not come since. */
  owed: number;
  violations: number;
  lastViolationMs: number;
  lastViolation: string;
  uncommittedBytes: number;
  uncommittedSinceMs: number;
  refusal:
    | { readonly sinceMs: number; lastMs: number; times: number; why: string; hasEnded: boolean }
    | undefined;
}

/**
 * What agents were refused for and what they do that honest ones do not, since this collector
 * started: in memory, because an agent that misbehaves must not be able to make us write. One
 * record for each agent that is enrolled at most, and for the last strangers.
 */
export class Conduct {
  readonly #clock: Clock;
  readonly #alarmBytes: number;
  readonly #records = new Map<string, Record>();
  /** Those that no vault knew when they came last, the oldest first. */
  readonly #strangers = new Set<string>();

  constructor(clock: Clock, alarmBytes: number = UNCOMMITTED_ALARM_BYTES) {
    this.#clock = clock;
    this.#alarmBytes = alarmBytes;
  }

  /** Notes what one authenticated agent does. */
  of(vaultId: VaultId, agentId: AgentId, name: string): AgentConduct {
    const key = hex(vaultId) + hex(agentId);
    const known = this.#records.get(key);
    const fresh = {
      name,
      vain: { times: 0, sinceMs: 0, lastMs: 0, why: '' },
      hurry: { times: 0, sinceMs: 0, lastMs: 0 },
      owed: 0,
      violations: 0,
      lastViolationMs: 0,
      lastViolation: '',
      uncommittedBytes: 0,
      uncommittedSinceMs: 0,
      refusal: undefined,
    };
    const record: Record = known ?? fresh;
    this.#records.set(key, record);
    return {
      refused: (code, message) => {
        // Who waits for approval is named as that, and has done nothing wrong by asking.
        if (code === 'pending') return;
        const nowMs = this.#clock.nowMs();
        const { sinceMs, times } = record.refusal ?? { sinceMs: nowMs, times: 0 };
        record.refusal = {
          sinceMs,
          lastMs: nowMs,
          times: times + 1,
          why: `${message} (${code})`,
          hasEnded: hasEnded(code),
        };
        this.#strangers.delete(key);
        if (code === 'not-enrolled') this.#remember(key);
      },
      accepted: () => {
        record.refusal = undefined;
        this.#strangers.delete(key);
      },
      get isRefused() {
        return record.refusal !== undefined;
      },
      violated: (code, message) => {
        record.violations += 1;
        record.lastViolationMs = this.#clock.nowMs();
        record.lastViolation = `${message} (${code})`;
      },
      inVain: (lacked, why) => {
        const { vain } = record;
        vain.lastMs = this.#clock.nowMs();
        if (vain.times === 0) vain.sinceMs = vain.lastMs;
        vain.times += 1;
        vain.why = why;
        record.owed = lacked;
      },
      hurried: () => {
        const { hurry } = record;
        const nowMs = this.#clock.nowMs();
        if (nowMs - hurry.lastMs >= TOLD_MS) hurry.times = 0;
        if (hurry.times === 0) hurry.sinceMs = nowMs;
        hurry.times += 1;
        hurry.lastMs = nowMs;
      },
      get pauseMs() {
        const beyond = record.vain.times - FREE_ATTEMPTS;
        return beyond < 0 ? 0 : Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** beyond);
      },
      uploaded: (bytes, items) => {
        // Whoever sends what was asked for has not asked in vain, and may be told of more.
        if (record.owed > 0 && items >= record.owed) record.vain.times = 0;
        record.owed = Math.max(0, record.owed - items);
        if (record.uncommittedBytes === 0) record.uncommittedSinceMs = this.#clock.nowMs();
        record.uncommittedBytes += bytes;
      },
      committed: (bytes) => {
        record.vain.times = 0;
        if (record.uncommittedBytes === 0 || bytes === 0) return;
        record.uncommittedBytes = Math.max(0, record.uncommittedBytes - bytes);
        record.uncommittedSinceMs = this.#clock.nowMs();
      },
    };
  }

  #remember(stranger: string): void {
    this.#strangers.add(stranger);
    const [oldest] = this.#strangers;
    if (this.#strangers.size <= MAX_STRANGERS || oldest === undefined) return;
    this.#strangers.delete(oldest);
    this.#records.delete(oldest);
  }

  /** Everybody who is turned away lately. */
  refused(): UnknownAgent[] {
    const found: UnknownAgent[] = [];
    for (const [key, { name, refusal }] of this.#records) {
      if (refusal === undefined || this.#clock.nowMs() - refusal.lastMs >= TOLD_MS) continue;
      const [vaultId, agentId] = [key.slice(0, VAULT_DIGITS), key.slice(VAULT_DIGITS)];
      found.push({ vaultId, agentId, name, sinceMs: refusal.sinceMs, why: refusal.why });
    }
    return found;
  }

  problems(vaultId: VaultId, agentId: AgentId): Misconduct[] {
    const record = this.#records.get(hex(vaultId) + hex(agentId));
    if (record === undefined) return [];
    const found: Misconduct[] = [];
    const { refusal } = record;
    if (refusal !== undefined && this.#clock.nowMs() - refusal.lastMs < TOLD_MS) {
      const times = refusal.times === 1 ? 'once' : `${refusal.times} times`;
      found.push({
        code: 'refused',
        sinceMs: refusal.sinceMs,
        message: `was refused ${times}, last: ${refusal.why}${refusal.hasEnded ? CALLS_STILL : ''}`,
      });
    }
    const { vain } = record;
    if (vain.times >= TOLD_ATTEMPTS && this.#clock.nowMs() - vain.lastMs < TOLD_MS) {
      const says = `sent commits ${vain.times} times in a row that cannot be taken, last: ${vain.why}`;
      const message = `${says}: it has lost what it refers to, or is in other hands, and is answered late meanwhile; run \`aliquot-agent fsck\` there, or revoke it`;
      found.push({ code: 'repeats-commit', sinceMs: vain.sinceMs, message });
    }
    const { hurry } = record;
    if (hurry.times > 0 && this.#clock.nowMs() - hurry.lastMs < TOLD_MS) {
      const says = `began sessions faster than a fault of a network makes it, ${hurry.times} of them had to wait`;
      const message = `${says}: its PC is damaged or in other hands; look there, or revoke it`;
      found.push({ code: 'repeats-sessions', sinceMs: hurry.sinceMs, message });
    }
    if (record.violations > 0 && this.#clock.nowMs() - record.lastViolationMs < TOLD_MS) {
      const times = record.violations === 1 ? 'once' : `${record.violations} times`;
      const says = `broke the protocol ${times} since this collector started, last: ${record.lastViolation}`;
      const message = `${says}: something alters what it sends, or its PC is damaged or in other hands; look there, or revoke it`;
      found.push({ code: 'broke-protocol', sinceMs: record.lastViolationMs, message });
    }
    if (record.uncommittedBytes >= this.#alarmBytes) {
      const says = `sent ${formatBytes(record.uncommittedBytes)} that no commit of it names yet`;
      const message = `${says}: a very large result is under way, or somebody fills this disk; look at that PC, or revoke it`;
      found.push({ code: 'uncommitted-uploads', sinceMs: record.uncommittedSinceMs, message });
    }
    return found;
  }
}

export interface AgentConduct {
  /**
   * It was turned away, or something that it sent was: until something is accepted it does not
   * count as heard.
   */
  refused(code: RefusalCode, message: string): void;
  /** A commit or a heartbeat was taken. */
  accepted(): void;
  readonly isRefused: boolean;
  /** The session was ended because of what the agent sent. */
  violated(code: string, message: string): void;
  /** A commit was not taken: it was refused, or lacked so many items. */
  inVain(lacked: number, why: string): void;
  /** A session had to wait: too many had begun just before. */
  hurried(): void;
  /** How long its next commit has to wait, after many in a row that were not taken. */
  readonly pauseMs: number;
  /** Sealed bytes were taken, in so many items. */
  uploaded(bytes: number, items: number): void;
  /**
   * A new commit was accepted: plaintext bytes of what it added, at least what was sent for them,
   * as sealing hardly ever adds.
   */
  committed(addedBytes: number): void;
}
