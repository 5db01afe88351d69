import { decodePurgeOrderBody, type PurgeOrderBody } from '@aliquot/proto';
import { StoreError } from '../errors.ts';
import { refuseKept } from '../vault/admit-purges.ts';
import type { VaultCore } from '../vault/core.ts';
import { admitEvent } from '../vault/events.ts';
import { refuseDoubt, standingOf } from '../vault/retention/run.ts';
import type { VaultParts } from '../vault/vault-parts.ts';
import type { VaultPurges } from '../vault-store.ts';
import { letGoAsked } from './retention.ts';

const MOST_TRIES = 3;

export function purgesOf(parts: VaultParts): VaultPurges {
  const { vault, keeper, clock } = parts;
  const askedOf = letGoAsked(parts);

  /**
   * Appends what is said of a purge, while no lock or hold covers what it is for. That is looked at
   * beside the queue, and again where something was decided meanwhile.
   */
  async function unlessKept(
    bodyOf: (core: VaultCore) => PurgeOrderBody,
    append: (core: VaultCore, nowMs: number) => Promise<number>,
  ): Promise<{ leafIndex: number }> {
    const settled = () => keeper.settled();
    for (let tries = 1; tries <= MOST_TRIES; tries += 1) {
      const standing = await keeper.ask(async (core) => {
        const nowMs = clock.nowMs();
        refuseDoubt(core, nowMs);
        const now = standingOf(core);
        await refuseKept(core, askedOf(core, nowMs), bodyOf(core));
        return now;
      }, settled);
      const leafIndex = await keeper.doDurably(
        async (core) => (standingOf(core) === standing ? append(core, clock.nowMs()) : undefined),
        (leaf) => leaf,
      );
      if (leafIndex !== undefined) return { leafIndex };
    }
    throw new StoreError(
      'STORE_RETENTION_HELD',
      'something else was decided each time while it was looked at what goes: ask again',
    );
  }

  return {
    all: () => keeper.live().registry.purges.all(),
    order: (event) =>
      unlessKept(
        () => decodePurgeOrderBody(event.order.body),
        async (core, nowMs) =>
          (await admitEvent(core, vault.descriptor, { ...event, timeMs: nowMs })) ??
          core.appendEvent(event, nowMs),
      ),
  };
}
