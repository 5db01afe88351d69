import type { ChainId } from '@aliquot/proto';
import type { Clock, Random, Timers } from '@aliquot/shared/ports';
import type { Logger } from 'pino';
import type { CollectorStore } from '../store/collector-store.ts';
import type { AgentRecord } from '../store/vault-records.ts';
import type { VaultWith } from '../store/vault-store.ts';
import type { AgentSession } from './agent-session.ts';
import type { ContentReads } from './content-reads.ts';
import type { SessionHub } from './hub.ts';
import type { SecureLink } from './secure-link.ts';
import type { SessionPace } from './session-pace.ts';

export interface IngestParts {
  readonly store: CollectorStore;
  readonly hub: SessionHub;
  readonly clock: Clock;
  readonly random: Random;
  readonly timers: Timers;
  readonly log: Logger;
  /** Told of the `Host` by which an agent came that has proved itself. */
  readonly cameBy?: (host: string | undefined) => void;
}

/** How a connection came, and what it waits for before anything is done for it. */
export interface Approach {
  readonly host?: string | undefined;
  /** See `FrontDoor.atTurn`. */
  readonly atTurn?: <T>(work: () => T) => Promise<T | undefined>;
  readonly sessions?: SessionPace;
  /** Told of each message of an agent that has proved itself. */
  readonly served?: () => void;
}

/** A session that has proved itself. */
export interface JoinedAgent {
  readonly store: VaultWith<'descriptor' | 'desk' | 'register'>;
  readonly agent: AgentRecord;
  readonly chainId: ChainId;
  readonly link: SecureLink;
  readonly session: AgentSession;
  readonly reads: ContentReads;
  /** Of the collector addresses that the agent has. */
  readonly addressesRevision: number;
  /** Of the settings that the agent has, or was handed in this session. */
  settingsSequence: number;
}
