import type { AgentId, VaultId } from '@aliquot/proto';
import { formatBytes } from '@aliquot/shared/cli/format';
import { hex } from '@aliquot/shared/crypto/bytes';
import type { Clock } from '@aliquot/shared/ports';

/** What `aliquot agents` says of an agent whose program behaves as none of ours does. */
export interface Misconduct {
  readonly code: 'broke-protocol' | 'uncommitted-uploads';
  readonly sinceMs: number;
  readonly message: string;
}

/** How long a violation is told after the last one. */
const TOLD_MS = 24 * 3600 * 1000;
/** Content waits for its commit while a file is sent, and files may be large; this is beyond what instruments write into one commit. */
const UNCOMMITTED_ALARM_BYTES = 64 * 1024 ** 3;

interface Record {
  violations: number;
  lastViolationMs: number;
  lastViolation: string;
  uncommittedBytes: number;
  uncommittedSinceMs: number;
}

/**
 * What agents do that honest ones do not, since this collector started: in memory, because whoever misbehaves must not be able to
 * make us write. One record for each enrolled agent at most.
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
  of(vaultId: VaultId, agentId: AgentId): AgentConduct {
    const key = hex(vaultId) + hex(agentId);
    const known = this.#records.get(key);
    const fresh = { violations: 0, lastViolationMs: 0, lastViolation: '', uncommittedBytes: 0, uncommittedSinceMs: 0 };
    const record: Record = known ?? fresh;
    this.#records.set(key, record);
    return {
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

  problems(vaultId: VaultId, agentId: AgentId): Misconduct[] {
    const record = this.#records.get(hex(vaultId) + hex(agentId));
    if (record === undefined) return [];
    const found: Misconduct[] = [];
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
  /** The session was ended because of what the agent sent. */
  violated(code: string, message: string): void;
  /** Sealed bytes were taken. */
  uploaded(bytes: number): void;
  /** A commit was accepted: plaintext bytes of what it added, at least what was sent for them, as sealing hardly ever adds. */
  committed(addedBytes: number): void;
}
