import { hex } from '@aliquot/shared/crypto/bytes';
import type { Clock } from '@aliquot/shared/ports';
import type { Logger } from 'pino';
import { StoreError } from '../store/errors.ts';
import type { VaultWith } from '../store/vault-store.ts';
import { promotable } from './canary.ts';
import type { LiveSessions } from './live-sessions.ts';

/** What handing settings out takes. */
export interface Promoting {
  readonly clock: Clock;
  readonly log: Logger;
  readonly sessions: Pick<LiveSessions, 'tellSettings'>;
}

/**
 * Hands out the settings that wait, up to number `sequence`: durable when it resolves.
 * `automatic`: by the rule of the canaries, not by a person's word.
 */
export async function promote(
  { clock, log, sessions }: Promoting,
  vault: VaultWith<'descriptor' | 'events'>,
  sequence: number,
  automatic: boolean,
) {
  const answer = await vault.events.append({
    type: 'settingsPromoted',
    timeMs: clock.nowMs(),
    sequence,
    automatic,
  });
  sessions.tellSettings(vault.descriptor.vaultId);
  log.info({ vault: hex(vault.descriptor.vaultId), sequence, automatic }, 'settings promoted');
  return answer;
}

/**
 * Hands out what waits, if the first PCs have been well with it for a day. Asked whenever something
 * is heard of an agent.
 */
export async function promoteWhenQuiet(
  parts: Promoting,
  vault: VaultWith<'descriptor' | 'desk' | 'events' | 'register'>,
): Promise<void> {
  if (!vault.desk.settingsWait()) return;
  const living = vault.register.agents().filter(({ state }) => state === 'enrolled');
  const sequence = promotable(
    living.map((agent) => ({ agent, desk: vault.desk.of(agent.agentId) })),
    parts.clock.nowMs(),
  );
  if (sequence === undefined) return;
  await promote(parts, vault, sequence, true).catch((error: unknown) => {
    // An operator, or what another agent said, was faster.
    if (!(error instanceof StoreError) || error.code !== 'STORE_BAD_EVENT') throw error;
  });
}
