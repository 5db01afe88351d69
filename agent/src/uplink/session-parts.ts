import type {
  ChainId,
  CollectorAddress,
  CollectorCertificateBody,
  ServerFrame,
  Settings,
  Signed,
} from '@aliquot/proto';
import type { DiagnosisRequest } from '@aliquot/shared/diagnosis/sealed';
import type { Random, Timers } from '@aliquot/shared/ports';
import type { AgentIdentity } from '../identity/identity.ts';
import type { Connect } from './socket.ts';
import type { TrustStore } from './trust.ts';

/**
 * Holds the sending of items back to the pace that was asked for; other frames never wait for it.
 */
export interface SendingPace {
  /** Resolves when the next items may go, and at once when the signal is aborted. */
  beforeSending(signal: AbortSignal): Promise<void>;
  /** Counts a message of any kind. */
  sent(bytes: number): void;
}

export interface LiveSessionParts {
  readonly identity: AgentIdentity;
  /** Where this session is tried. */
  readonly address: CollectorAddress;
  /** The chain that new commits go on: what `ready` tells the newest commit of. */
  readonly chainId: ChainId;
  readonly trust: TrustStore;
  readonly random: Random;
  readonly timers: Timers;
  readonly connect: Connect;
  readonly software: string;
  /** How long the connection may be silent while something is awaited. */
  readonly patienceMs: number;
  readonly pace?: SendingPace | undefined;
  /** Every message handed to the network, with how much of it was sealed content. */
  readonly onSent: (bytes: number, content: number) => void;
  readonly onNotice: (code: string, message: string) => void;
  /** The collector announced a new epoch of the sweep. */
  readonly onGcEpoch: (gcEpoch: number) => void;
  /**
   * The collector hands out signed addresses that are newer than ours; nobody has verified them
   * yet.
   */
  readonly onAddresses: (addresses: Signed) => void;
  /** Of the desk's settings in force. */
  readonly settingsSequence: number;
  /** The collector hands on an operator's question; nobody has judged it yet. */
  readonly onDiagnose: (asked: DiagnosisRequest) => void;
  /** The collector hands out settings; nobody has judged them yet. */
  readonly onSettings: (settings: Settings) => void;
}

/** What `open` learnt. */
export interface OpenedSession {
  readonly ready: Extract<ServerFrame, { type: 'ready' }>;
  readonly collector: CollectorCertificateBody;
  readonly certificate: Signed;
}
