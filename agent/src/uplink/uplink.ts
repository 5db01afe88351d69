import type {
  ChainPoint,
  ChunkId,
  HeartbeatBody,
  Signed,
  StoredItem,
  TreeHead,
  VaultId,
} from '@aliquot/proto';
import type { QueuedItem } from '../queue/log/facts.ts';
import type { UplinkParts } from './uplink-parts.ts';

/**
 * The agent's side of the connection: keeps one authenticated session to the collector, drains the
 * queue through it, proves every answer before believing it, and serves self-restore.
 *
 * After `start` the uplink connects, sends and reconnects by itself until `stop`. Nothing it meets
 * makes it throw: what is wrong is in `status()`, and listeners hear of it. Calls that need an
 * answer (`fetch`, `state`, `heartbeat`) reject with an `UplinkError` when there is no session or
 * it ends before the answer.
 */
export interface Uplink {
  /** Begins at once, or after what runs `instead`; resolves when it has begun, or shall not. */
  start(): Promise<void>;
  /** Ends the session and every timer. What was not receipted stays queued. */
  stop(): Promise<void>;
  /** Try again now instead of waiting for the back-off (the network came back, a person asked). */
  nudge(): void;
  status(): UplinkStatus;
  subscribe(listener: (event: UplinkEvent) => void): () => void;
  /**
   * Resolves when everything that was queued at the time of the call is receipted. Rejects with
   * `UPLINK_REFUSED`, `UPLINK_ROLLED_BACK` … when the collector gave an answer that waiting does
   * not mend; `signal` ends the wait. While merely offline it keeps trying: callers that want to
   * give up do so by `signal`, or read `status().problem`.
   */
  drained(signal?: AbortSignal): Promise<void>;
  /** Sends a signed heartbeat; resolves with the collector's acknowledgement. */
  heartbeat(counts: HeartbeatCounts): Promise<void>;
  /**
   * The agent's own live versions at a time (0: now) for self-restore, verified against the agent's
   * own keys (signature, chain, entries root); those of the PC that it replaces come too, marked.
   * Commit by commit, in the collector's order.
   *
   * A reader may pause and `fetch` meanwhile; what arrives of the state then waits in memory, up to
   * 64 MiB, beyond which it ends with `UPLINK_CLOSED`.
   */
  state(atMs: number): AsyncIterable<StateCommit>;
  /**
   * Takes addresses of the collector that the authority signed, as `aliquot collector address set
   * --out` writes them: the next attempt begins with them. No `news` when what is known is as new
   * or newer; `first` is the address that is tried first. Errors: `ADDRESSES_FOREIGN`.
   */
  setAddresses(signed: Signed): Promise<{ readonly news: boolean; readonly first: string }>;
  /**
   * Runs work that does by hand what a session does, on the same chain, head and receipts: one such
   * work after the other, and without a session meanwhile. One that was started goes on afterwards,
   * unless `stop` was called. Rejects with what the work threw; what that kept as the connection's
   * problem stands in `status()`.
   */
  instead<T>(work: (parts: UplinkParts) => Promise<T>): Promise<T>;
  /**
   * A part of a file of a release, as the collector has it: the caller has to prove it. `size` is
   * the whole file's, 0 when it has none.
   */
  releasePart(
    name: string,
    offset: number,
  ): Promise<{ readonly size: number; readonly bytes: Uint8Array }>;
  /**
   * Sealed bytes by id, each checked against its id, in any order. `missing` items are reported,
   * not thrown.
   */
  fetch(ids: readonly ChunkId[]): AsyncIterable<ItemAnswer>;
}

/** What a heartbeat says of the work; the uplink adds who and where. */
export type HeartbeatCounts = Pick<
  HeartbeatBody,
  'files' | 'bytes' | 'unprotected' | 'pending' | 'unsettled' | 'problems'
>;

export interface StateCommit {
  /** The encoded `SignedCommit`, verified. */
  readonly commit: Uint8Array;
  readonly live: readonly number[];
  readonly receivedAtMs: number;
  /** Of the PC that this one replaces: not verified, and nothing of it opens here. */
  readonly isForeign: boolean;
}

export type ItemAnswer =
  | { readonly id: ChunkId; readonly kind: StoredItem['kind']; readonly bytes: Uint8Array }
  | { readonly id: ChunkId; readonly missing: true };

/**
 * - `offline`: no connection; trying again within seconds once the network is back, else after a
 *   back-off of up to half a minute.
 * - `connecting`: TCP, TLS, WebSocket or handshake under way; what was wrong before is still in
 *   `problem`.
 * - `ready`: session open, commits flow.
 * - `refused`: an answer that waiting does not mend (revoked, forked, foreign certificate …); tried
 *   again every few minutes.
 * - `pending`: central IT has not taken this PC in yet; it captures and queues.
 * - `rolled-back`: the collector lost or contradicts what it signed; nothing is committed until a
 *   log epoch is opened.
 */
export type UplinkState =
  | 'stopped'
  | 'offline'
  | 'connecting'
  | 'ready'
  | 'pending'
  | 'refused'
  | 'rolled-back';

export interface UplinkStatus {
  readonly state: UplinkState;
  readonly url: string;
  /**
   * What is wrong, named: a code of `UplinkError` and one line for a person. Undefined while all is
   * well. What waiting does not mend outlives the process: before `start` it is what the last
   * connection found.
   */
  readonly problem:
    | { readonly code: string; readonly message: string; readonly sinceMs: number }
    | undefined;
  readonly connectedSinceMs: number | undefined;
  readonly lastReceiptMs: number | undefined;
  /** Bytes of WebSocket messages (header and body) written since start. */
  readonly sentBytes: number;
  /** The part of `sentBytes` that is sealed chunks and pages. */
  readonly sentContentBytes: number;
  readonly nextAttemptMs: number | undefined;
  readonly verifiedHead: TreeHead | undefined;
  readonly collectorChainHead: ChainPoint | undefined;
  /** The collector's clock minus ours, at the last `ready`. */
  readonly clockSkewMs: number | undefined;
  /**
   * Name and version of the collector of this session; empty when it did not say, undefined without
   * a session.
   */
  readonly collectorSoftware: string | undefined;
  readonly vaultId: VaultId;
}

export type UplinkEvent =
  | { readonly type: 'state'; readonly status: UplinkStatus }
  | {
      readonly type: 'receipt';
      readonly sequence: number;
      readonly entries: number;
      readonly receivedAtMs: number;
    }
  | { readonly type: 'notice'; readonly code: string; readonly message: string };

/**
 * Reads sources again for items that neither the collector nor any kept segment has (after a
 * collector's rollback). Yields what it can find, in any order; the uplink checks each against its
 * id and lists the rest as lost.
 */
export type Recover = (request: {
  readonly ids: readonly ChunkId[];
  /** Paths of the files, each run to be captured in one go and in this order. */
  readonly runs: readonly (readonly Uint8Array[])[];
}) => AsyncIterable<QueuedItem>;
