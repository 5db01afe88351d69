/**
 * The typed values behind what agent and collector say to each other in a session; `types.ts` has
 * what is stored and signed.
 */
import type {
  ChainId,
  ChainPoint,
  ChunkId,
  Signed,
  StoredKind,
  TreeHead,
  VaultId,
} from './types.ts';

// ---- the session, before keys are agreed
// -------------------------------------------------------------------------

export interface ClientHello {
  readonly versions: readonly number[];
  readonly vaultId: VaultId;
  readonly nonce: Uint8Array;
  readonly ephemeralKey: Uint8Array;
}

export interface ServerHello {
  readonly version: number;
  readonly nonce: Uint8Array;
  readonly ephemeralKey: Uint8Array;
  readonly certificate: Signed;
  /** By the collector's key over the transcript up to here. */
  readonly signature: Uint8Array;
}

// ---- the session, inside authenticated frames
// --------------------------------------------------------------------

export interface StoredItem {
  readonly id: ChunkId;
  readonly kind: StoredKind;
  /** Sealed bytes of this item in the frame's body, in order. */
  readonly size: number;
}

/** Frames that the agent sends. Only `chunks`, `commit` and `heartbeat` carry a body. */
export type ClientFrame =
  | {
      readonly type: 'auth';
      readonly enrolment: Signed;
      readonly binding: Signed;
      /** By the agent's key over the whole transcript. */
      readonly signature: Uint8Array;
      readonly software: string;
      readonly chainId: ChainId;
      /**
       * The newest head that the agent has verified, as the collector signed it, and who signed it.
       */
      readonly treeHead: TreeHead | undefined;
      readonly signedHead: Signed | undefined;
      readonly signedHeadCertificate: Signed | undefined;
      /** Of the collector addresses that the agent has; 0: none. */
      readonly addressesRevision: number;
      /** Of the desk's settings that are in force; 0: none. */
      readonly settingsSequence: number;
    }
  | { readonly type: 'have'; readonly requestId: number; readonly ids: readonly ChunkId[] }
  | { readonly type: 'chunks'; readonly items: readonly StoredItem[] }
  /** Body: `SignedCommit`. */
  | { readonly type: 'commit'; readonly requestId: number }
  /** Body: `Signed` heartbeat. */
  | { readonly type: 'heartbeat'; readonly requestId: number }
  /** The agent's own live versions at a time (0: now), for self-restore. */
  | { readonly type: 'state'; readonly requestId: number; readonly atMs: number }
  | { readonly type: 'fetch'; readonly requestId: number; readonly ids: readonly ChunkId[] }
  /**
   * Everything captured before this agent learnt the epoch has its receipt. No answer; may be
   * repeated.
   */
  | { readonly type: 'gcLearned'; readonly gcEpoch: number }
  /**
   * What became of settings. `sealed` (a `SettingsDetail` for holders of the policy key) says why
   * they were not applied.
   */
  | {
      readonly type: 'settingsAnswer';
      readonly sequence: number;
      readonly outcome: SettingsOutcome;
      /** The error code of a refusal; empty when they were applied. */
      readonly code: string;
      readonly ephemeralKey: Uint8Array | undefined;
      readonly sealed: Uint8Array | undefined;
    }
  /**
   * The answer to `diagnose`. Body: the diagnosis, sealed to the operator who asked; none with a
   * `code`, which says why not.
   */
  | {
      readonly type: 'diagnosis';
      readonly askId: Uint8Array;
      readonly code: string;
      readonly ephemeralKey: Uint8Array | undefined;
    }
  /**
   * A part of a file of a release, from `offset` on. Nothing that comes back is believed: it is
   * proved by its signatures and hashes.
   */
  | {
      readonly type: 'releaseFetch';
      readonly requestId: number;
      readonly name: string;
      readonly offset: number;
    };

/** `cannot`: this release of the agent does not know what they hold. */
export type SettingsOutcome = 'applied' | 'refused' | 'cannot';

export type RefusalCode =
  | 'bad-signature'
  | 'bad-certificate'
  | 'bad-predecessor'
  | 'chain-forked'
  | 'bad-commit'
  | 'revoked'
  | 'not-enrolled'
  | 'replaced'
  | 'log-rolled-back'
  | 'self-restore-off'
  | 'protocol'
  | 'limit'
  | 'storage'
  /** The agent waits until an operator approves it. */
  | 'pending';

export type ServerFrame =
  | {
      readonly type: 'ready';
      readonly sessionId: Uint8Array;
      /** Bytes of chunk bodies that may be under way; `credit` frames give more. */
      readonly creditBytes: number;
      readonly timeMs: number;
      readonly head: Signed;
      /** RFC 6962 consistency proof from the agent's head to this one (same log epoch). */
      readonly consistency: readonly Uint8Array[];
      /**
       * Openings of every log epoch after the agent's, oldest first, each with its inclusion proof
       * in `head`.
       */
      readonly openings: readonly {
        readonly opening: Signed;
        readonly leaf: Uint8Array;
        readonly inclusion: readonly Uint8Array[];
      }[];
      /** The newest accepted commit of the agent's chain. */
      readonly chainHead: ChainPoint | undefined;
      readonly gcEpoch: number;
      /**
       * True when the agent's head is ahead of, or contradicts, the log: the agent may not commit
       * until an epoch opens.
       */
      readonly rolledBack: boolean;
      /**
       * Name and version of the collector's program; a PC stages no release that is newer. Empty:
       * not given.
       */
      readonly software: string;
    }
  | {
      readonly type: 'haveAnswer';
      readonly requestId: number /** Indexes into the query of what must be uploaded. */;
      readonly missing: readonly number[];
    }
  | { readonly type: 'credit'; readonly bytes: number }
  | {
      readonly type: 'receipt';
      readonly requestId: number;
      readonly receipt: Signed;
      readonly inclusion: readonly Uint8Array[];
      /** From the head of the previous receipt (or `ready`) of this session. */
      readonly consistency: readonly Uint8Array[];
      /** The head that both proofs lead to. */
      readonly head: Signed;
      /** What the commit came without; empty too when all of it is lost (`lossHash` says which). */
      readonly lacking: readonly number[];
    }
  | { readonly type: 'commitMissing'; readonly requestId: number; readonly ids: readonly ChunkId[] }
  | {
      readonly type: 'refused';
      readonly requestId: number;
      readonly code: RefusalCode;
      readonly message: string;
    }
  | { readonly type: 'heartbeatAck'; readonly requestId: number }
  /** Body: `SignedCommit`; `live` are the slots that were current at the asked time. */
  | {
      readonly type: 'commitData';
      readonly requestId: number;
      readonly live: readonly number[];
      readonly receivedAtMs: number;
    }
  | { readonly type: 'stateEnd'; readonly requestId: number }
  /** Body: the sealed bytes of `items` in order. */
  | {
      readonly type: 'chunkData';
      readonly requestId: number;
      readonly items: readonly StoredItem[];
      readonly last: boolean;
      readonly missing: readonly ChunkId[];
    }
  | { readonly type: 'notice'; readonly code: string; readonly message: string }
  /** A new epoch of the sweep was announced while the session stood. */
  | { readonly type: 'gcEpoch'; readonly gcEpoch: number }
  /** Signed `CollectorAddressesBody` that is newer than what the agent said it has. */
  | { readonly type: 'addresses'; readonly addresses: Signed }
  /**
   * Signed `SettingsBody`, newer than what the agent said it has, and the certificate of the
   * operator who signed.
   */
  | {
      readonly type: 'settings';
      readonly settings: Signed;
      readonly certificate: Signed | undefined;
    }
  /**
   * An operator's signed `DiagnosisRequestBody`, and their certificate. Nobody has verified them
   * yet.
   */
  | { readonly type: 'diagnose'; readonly request: Signed; readonly certificate: Signed }
  /**
   * Body: bytes of the file from the asked offset on; `size` is the whole file's, 0 when the
   * collector does not have it.
   */
  | { readonly type: 'releaseData'; readonly requestId: number; readonly size: number };
