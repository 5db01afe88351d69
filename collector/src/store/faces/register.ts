import type { EventBody } from '@aliquot/proto';
import { refuseTwice } from '../vault/apply-desk.ts';
import type { VaultCore } from '../vault/core.ts';
import { admitEvent, refuseNewly } from '../vault/events.ts';
import type { VaultParts } from '../vault/vault-parts.ts';
import type { VaultEvents, VaultRegister } from '../vault-store.ts';

export function registerOf({ keeper }: VaultParts): VaultRegister {
  const registry = () => keeper.live().registry;
  return {
    agents: () => registry().records(),
    agentById: (agentId) => registry().record(agentId),
    agentByName: (name) => registry().byName(name),
    groups: () => registry().groupRecords(),
    branchIds: (agentId) => registry().lines(agentId)?.branchIds() ?? [],
    addresses: () => registry().addresses,
  };
}

export function eventsOf({
  vault,
  keeper,
  endings,
  holdBook,
  purgeBook,
  clock,
  limits,
}: VaultParts): VaultEvents {
  const appendAll = async (bodies: readonly EventBody[]): Promise<{ leafIndex: number }> => {
    const append = async (core: VaultCore) => {
      const known: (number | undefined)[] = [];
      for (const body of bodies) {
        const leaf = await admitEvent(core, vault.descriptor, body);
        if (leaf === undefined) await refuseNewly(core, body, limits);
        known.push(leaf);
      }
      refuseTwice(bodies);
      let leafIndex = 0;
      for (const [at, body] of bodies.entries())
        leafIndex = Math.max(leafIndex, known[at] ?? (await core.appendEvent(body, clock.nowMs())));
      const last = (await endings.follow(core, bodies)) ?? leafIndex;
      await holdBook.follow(core, bodies);
      await purgeBook.follow(core);
      return { leafIndex, last };
    };
    const { leafIndex } = await keeper.doDurably(append, ({ last }) => last);
    // Times in the catalog follow a correction before anybody hears of it.
    if (bodies.some(({ type }) => type === 'clockCorrected') && keeper.live().isBehind)
      await keeper.makeAgain();
    return { leafIndex };
  };
  return {
    append: (body) => appendAll([body]),
    appendAll,
    foresee: (revoked) => keeper.do((core) => endings.foresee(core, revoked)),
  };
}
