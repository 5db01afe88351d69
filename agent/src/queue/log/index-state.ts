import type { Position } from '@aliquot/shared/records/format';

/** A record, by its place and the first bytes of its digest. */
export interface AppliedRecord extends Position {
  readonly digest: string;
}

/**
 * The queue's counters and how far the index has come: the mark of every flush, as JSON.
 */
export interface IndexState {
  version: 2;
  /** Everything before these positions is applied. Undefined: nothing of that log yet. */
  segments: Position | undefined;
  chain: Position | undefined;
  /**
   * The newest record of each log that is applied: by them it is known that the index is of these
   * logs.
   */
  lastSegment: AppliedRecord | undefined;
  lastChain: AppliedRecord | undefined;
  nextEntry: number;
  /** Entries up to here stand in signed commits. */
  signedEntry: number;
  /** Entries up to here are covered by receipts. */
  receiptedEntry: number;
  /** Highest batch number that any version was sealed under. */
  lastBatch: number;
  pendingEntries: number;
  pendingBytes: number;
  /** `pendingBytes` by policy class; classes with none are left out. */
  classBytes: Record<string, number>;
  /** Bytes of signed commits without a receipt, in the chain log. */
  signedBytes: number;
  /** Newest signed commit; without `chainId` it is on the chain of the enrolment. */
  chainHead: { sequence: number; hash: string; chainId?: string } | undefined;
  /** The chain after the newest fork; undefined: that of the enrolment. */
  fork: { chainId: string; from: { chainId: string; sequence: number; hash: string } } | undefined;
  /**
   * Commits up to here were signed by the agent that this one took the folder over from: nobody
   * here can send them again.
   */
  inheritedSequence: number;
  receiptedSequence: number;
  lastReceipt: { sequence: number; receivedAtMs: number; copies: number } | undefined;
  gcEpoch: number;
  referenceFiles: number;
  referenceBytes: number;
  /** Known files that stand beside the blocks of them: at most so many bytes (`KnownRows`). */
  knownBesideBytes: number;
}

export function emptyState(): IndexState {
  return {
    version: 2,
    segments: undefined,
    chain: undefined,
    lastSegment: undefined,
    lastChain: undefined,
    nextEntry: 1,
    signedEntry: 0,
    receiptedEntry: 0,
    lastBatch: 0,
    pendingEntries: 0,
    pendingBytes: 0,
    classBytes: {},
    signedBytes: 0,
    chainHead: undefined,
    fork: undefined,
    inheritedSequence: 0,
    receiptedSequence: 0,
    lastReceipt: undefined,
    gcEpoch: 0,
    referenceFiles: 0,
    referenceBytes: 0,
    knownBesideBytes: 0,
  };
}

export function encodeState(state: IndexState): Uint8Array {
  return Buffer.from(JSON.stringify(state), 'utf8');
}

/** Undefined when the bytes are not a state of this release: the index is then rebuilt. */
export function decodeState(bytes: Uint8Array): IndexState | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'));
    if (typeof value !== 'object' || value === null || !('version' in value) || value.version !== 2)
      return undefined;
    const state = { ...emptyState(), ...value } as IndexState;
    const counters = [
      state.nextEntry,
      state.signedEntry,
      state.receiptedEntry,
      state.lastBatch,
      state.pendingEntries,
      state.pendingBytes,
    ];
    const later = [
      state.signedBytes,
      state.gcEpoch,
      state.referenceFiles,
      state.referenceBytes,
      state.knownBesideBytes,
      ...Object.values(state.classBytes),
    ];
    return [...counters, ...later].every((counter) => Number.isSafeInteger(counter))
      ? state
      : undefined;
  } catch {
    // Any error: bytes that do not fit are no state.
    return undefined;
  }
}

/**
 * Counts bytes of a class up or down; a class with none is left out, so that equal states look
 * equal.
 */
export function addClassBytes(state: IndexState, name: string, bytes: number): void {
  const sum = Math.max(0, (state.classBytes[name] ?? 0) + bytes);
  const { [name]: _old, ...others } = state.classBytes;
  state.classBytes = sum === 0 ? others : { ...others, [name]: sum };
}
