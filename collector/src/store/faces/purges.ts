import {
  decodePurgeApprovalBody,
  decodePurgeOrderBody,
  encodeStoredPurged,
  MAX_PURGE_BYTES,
  MAX_PURGED_COMMITS,
  type PurgeOrderBody,
  type StateRecord,
  type StoredPurged,
} from '@aliquot/proto';
import { readCommit } from '@aliquot/shared/commit/rows';
import { equalBytes, sha256 } from '@aliquot/shared/crypto/primitives';
import { isSet } from '../catalog/item-row.ts';
import { StoreError } from '../errors.ts';
import { purgeOf, refuseEarly, refuseKept, refuseOtherOrder } from '../vault/admit-purges.ts';
import type { VaultCore } from '../vault/core.ts';
import { admitEvent, asRefusal } from '../vault/events.ts';
import { checkPurged } from '../vault/purge-check.ts';
import { concernedCommits } from '../vault/purge-commits.ts';
import { appendPurge, dropPurged } from '../vault/purge-done.ts';
import { erasePurged } from '../vault/purge-erase.ts';
import { refuseDoubt, standingOf } from '../vault/retention/run.ts';
import type { VaultParts } from '../vault/vault-parts.ts';
import type { VaultPurges } from '../vault-store.ts';
import { letGoAsked } from './retention.ts';

const MOST_TRIES = 3;

/** What is looked at before something is said of a purge, and how it is said then. */
interface Saying {
  bodyOf(core: VaultCore): PurgeOrderBody;
  look(core: VaultCore, body: PurgeOrderBody): Promise<void>;
  append(core: VaultCore, nowMs: number): Promise<number>;
}

export function purgesOf(parts: VaultParts): VaultPurges {
  const { vault, keeper, purgeBook, clock, reserve } = parts;
  const { descriptor } = vault;
  const askedOf = letGoAsked(parts);
  const settled = () => keeper.settled();
  const erase = () =>
    reserve.withRoom(async () => {
      await keeper.do((core) => purgeBook.takeMore(core, () => keeper.flushHere(core)));
      return erasePurged(keeper);
    });

  /**
   * Appends what is said of a purge, while no lock or hold covers what it is for. That is looked at
   * beside the queue, and again where something was decided meanwhile.
   */
  async function unlessKept({ bodyOf, look, append }: Saying): Promise<{ leafIndex: number }> {
    for (let tries = 1; tries <= MOST_TRIES; tries += 1) {
      const standing = await keeper.ask(async (core) => {
        const nowMs = clock.nowMs();
        refuseDoubt(core, nowMs);
        const now = standingOf(core);
        const body = bodyOf(core);
        await refuseKept(core, askedOf(core, nowMs), body);
        await look(core, body);
        return now;
      }, settled);
      const leafIndex = await keeper.doDurably(
        async (core) =>
          standingOf(core) === standing ? append(core, core.leafTime(clock.nowMs())) : undefined,
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

    isOpen: ({ body: { lineageId }, approved }) =>
      approved !== undefined && keeper.live().registry.sweep(lineageId).swept <= approved.announced,

    order: (event) =>
      unlessKept({
        bodyOf: () => decodePurgeOrderBody(event.order.body),
        look: async () => undefined,
        append: async (core, nowMs) => {
          const known = await admitEvent(core, descriptor, { ...event, timeMs: nowMs });
          if (known !== undefined) return known;
          await refuseOtherOrder(core, decodePurgeOrderBody(event.order.body));
          return core.appendEvent(event, nowMs);
        },
      }),

    async *commits(purgeId) {
      const core = await keeper.settled();
      const { body } = purgeOf(core.registry, { purgeId });
      const { commits } = await concernedCommits(core, body);
      for (const { leafIndex, slots, commit } of commits)
        yield await recordOf(core, leafIndex, slots, commit);
    },

    approve: async (event, forms) => {
      const { purgeId, sum } = decodePurgeApprovalBody(event.approval.body);
      // The commits that came are those that the history has: none is thinned from the look on.
      const answer = await keeper.rewriting.run(async () => {
        const known = keeper.live().registry.purges.get(purgeId)?.approved;
        if (known !== undefined) return { leafIndex: known.leaf };
        checkSum(forms, sum);
        return unlessKept({
          bodyOf: ({ registry }) => purgeOf(registry, { purgeId }).body,
          look: async (core, body) => {
            const now = { ...event, timeMs: core.leafTime(clock.nowMs()) };
            await admitEvent(core, descriptor, now);
            refuseEarly(purgeOf(core.registry, { purgeId }), now.timeMs);
            const concerned = await concernedCommits(core, body);
            await asRefusal(async () => checkPurged(core, descriptor, concerned, forms));
          },
          append: async (core, nowMs) => {
            const now = { ...event, timeMs: nowMs };
            const leaf = await admitEvent(core, descriptor, now);
            if (leaf !== undefined) return leaf;
            refuseEarly(purgeOf(core.registry, { purgeId }), nowMs);
            await purgeBook.withdraw(core.registry, purgeId);
            const appended = await appendPurge(core, now, forms);
            await dropPurged(core);
            await purgeBook.keep(core);
            return appended;
          },
        });
      });
      await erase();
      return answer;
    },
  };
}

/** Throws unless these are the commits that the approval is for. */
function checkSum(forms: readonly StoredPurged[], sum: Uint8Array): void {
  const bytes = forms.map(encodeStoredPurged);
  const size = bytes.reduce((all, { length }) => all + length, 0);
  if (size > MAX_PURGE_BYTES || bytes.length > MAX_PURGED_COMMITS)
    throw new StoreError(
      'STORE_BAD_EVENT',
      'the commits of this purge are more than one may have: order several with narrower patterns',
    );
  if (!equalBytes(sha256(...bytes), sum))
    throw new StoreError(
      'STORE_BAD_EVENT',
      'the approval is for other commits than those that came',
    );
}

/** A commit with what verifies it, and what goes of it. */
async function recordOf(
  core: VaultCore,
  leafIndex: number,
  slots: Uint8Array,
  commit: Uint8Array,
): Promise<StateRecord> {
  const { header } = readCommit(commit);
  const certificate = core.registry.signedCertificate(header.agentId);
  if (certificate === undefined)
    throw new StoreError('STORE_CATALOG', `the agent of leaf ${leafIndex} is not known`);
  const { receipt } = await core.storedCommit(leafIndex);
  const live = Array.from({ length: 8 * slots.length }, (_, slot) => slot).filter((slot) =>
    isSet(slots, slot),
  );
  return { ...certificate, commit, receipt, live, versionTimesMs: live.map(() => 0) };
}
