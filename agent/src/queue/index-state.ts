import type { Position } from './record-log.ts';

/** The queue's counters and how far the index has come; one JSON value under `m`, written with every batch. */
export interface IndexState {
  version: 1;
  /** Everything before these positions is applied. Undefined: nothing of that log yet. */
  segments: Position | undefined;
  chain: Position | undefined;
  nextEntry: number;
  /** Entries up to here stand in signed commits. */
  signedEntry: number;
  /** Entries up to here are covered by receipts. */
  receiptedEntry: number;
  /** Highest batch number that any version was sealed under. */
  lastBatch: number;
  pendingEntries: number;
  pendingBytes: number;
  chainHead: { sequence: number; hash: string } | undefined;
  receiptedSequence: number;
  lastReceipt: { sequence: number; receivedAtMs: number; copies: number } | undefined;
}

export function emptyState(): IndexState {
  return {
    version: 1,
    segments: undefined,
    chain: undefined,
    nextEntry: 1,
    signedEntry: 0,
    receiptedEntry: 0,
    lastBatch: 0,
    pendingEntries: 0,
    pendingBytes: 0,
    chainHead: undefined,
    receiptedSequence: 0,
    lastReceipt: undefined,
  };
}

export function encodeState(state: IndexState): Uint8Array {
  return Buffer.from(JSON.stringify(state), 'utf8');
}

/** Undefined when the bytes are not a state of this release: the index is then rebuilt. */
export function decodeState(bytes: Uint8Array): IndexState | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'));
    if (typeof value !== 'object' || value === null || !('version' in value) || value.version !== 1) return undefined;
    const state = { ...emptyState(), ...value } as IndexState;
    const counters = [state.nextEntry, state.signedEntry, state.receiptedEntry, state.lastBatch, state.pendingEntries, state.pendingBytes];
    return counters.every((counter) => Number.isSafeInteger(counter)) ? state : undefined;
  } catch {
    return undefined;
  }
}
