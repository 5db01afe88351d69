import { asAgentId, asVaultId } from '@aliquot/proto';
import { fromHex } from '@aliquot/shared/crypto/bytes';
import type { Clock, Timers } from '@aliquot/shared/ports';
import type { Logger } from 'pino';
import { RestError } from '../api/rest-error.ts';
import type { Health } from '../health/health.ts';
import type { ClockHold } from '../held-clock.ts';
import type { LiveSessions } from '../ingest/live-sessions.ts';
import type { FrontDoor } from '../ingest/unproved.ts';
import type { CollectorStore } from '../store/collector-store.ts';
import type { AgentRecord } from '../store/vault-records.ts';
import type { VaultStore, VaultWith } from '../store/vault-store.ts';

/** Everything that the REST handlers work with. */
export interface RestContext {
  /** Where connections arrive; absent where there are none. */
  readonly door?: FrontDoor;
  readonly store: CollectorStore;
  readonly sessions: LiveSessions;
  readonly health: Health;
  readonly clock: Clock;
  /** The machine's clock is right: see `HeldClock.confirm`. */
  readonly confirmClock?: () => ClockHold | undefined;
  readonly log: Logger;
  readonly timers: Timers;
  /** Name and version of this program, as operators see it. */
  readonly software: string;
}

/** The vault that a path names, or a refusal that says what to do. */
export function vaultOf(context: RestContext, idHex: string): VaultStore {
  const bytes = fromHex(idHex);
  const vault = bytes?.length === 16 ? context.store.vault(asVaultId(bytes)) : undefined;
  const ailing = context.store.ailing().find(({ id }) => id === idHex);
  if (vault === undefined && ailing !== undefined)
    throw new RestError('REST_VAULT_AILING', `that vault is not served: ${ailing.error.message}`);
  if (vault === undefined)
    throw new RestError(
      'REST_VAULT_UNKNOWN',
      'this collector does not hold that vault; add it with `aliquot vault add --kit KIT`',
    );
  return vault;
}

/** The agent that a path names. */
export function agentOf(vault: VaultWith<'register'>, idHex: string): AgentRecord {
  const bytes = fromHex(idHex);
  const agent = bytes?.length === 16 ? vault.register.agentById(asAgentId(bytes)) : undefined;
  if (agent === undefined)
    throw new RestError(
      'REST_AGENT_UNKNOWN',
      'this vault has no such agent; `aliquot agents` lists them',
    );
  return agent;
}
