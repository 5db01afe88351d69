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
  readonly code: 'refused' | 'broke-protocol' | 'uncommitted-uploads';
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
const CALLS_STILL =
  '; that PC still calls: stop the program there, or, if it holds what is not here yet, carry its queue (`aliquot queue import --accept-ended`)';
/**
 * Content waits for its commit while a file is sent, and files may be large; this is beyond what
 * instruments write into one commit.
 */
const UNCOMMITTED_ALARM_BYTES = 64 * 1024 ** 3;

interface Record {
  readonly name: string;
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
 * record for each agent that the authority certified at most.
 */
export class Conduct {
  readonly #clock: Clock;
  readonly #alarmBytes: number;
  readonly #records = new Map<string, Record>();

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
      },
      accepted: () => {
        record.refusal = undefined;
      },
      get isRefused() {
        return record.refusal !== undefined;
      },
      violated: (code, message) => {
        record.violations += 1;
        record.lastViolationMs = this.#clock.nowMs();
        record.lastViolation = `${message} (${code})`;
      },
      uploaded: (bytes) => {
        if (record.uncommittedBytes === 0) record.uncommittedSinceMs = this.#clock.nowMs();
        record.uncommittedBytes += bytes;
      },
      committed: (bytes) => {
        if (record.uncommittedBytes === 0 || bytes === 0) return;
        record.uncommittedBytes = Math.max(0, record.uncommittedBytes - bytes);
        record.uncommittedSinceMs = this.#clock.nowMs();
      },
    };
  }

  /** Everybody who is turned away lately. */
  refused(): UnknownAgent[] {
    return [...this.#records].flatMap(([key, { name, refusal }]) =>
      refusal !== undefined && this.#clock.nowMs() - refusal.lastMs < TOLD_MS
        ? [
            {
              vaultId: key.slice(0, VAULT_DIGITS),
              agentId: key.slice(VAULT_DIGITS),
              name,
              sinceMs: refusal.sinceMs,
              why: refusal.why,
            },
          ]
        : [],
    );
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
  /** Sealed bytes were taken. */
  uploaded(bytes: number): void;
  /**
   * A commit was accepted: plaintext bytes of what it added, at least what was sent for them, as
   * sealing hardly ever adds.
   */
  committed(addedBytes: number): void;
}
