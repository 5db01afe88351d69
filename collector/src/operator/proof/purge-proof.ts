import { SUMMARY_MARK_BYTES, type TreeHead, type VaultDescriptorBody } from '@aliquot/proto';
import { formatTime, printable } from '@aliquot/shared/cli/format';
import { type MarkWords, markOf } from '@aliquot/shared/commit/summary';
import { hex } from '@aliquot/shared/crypto/bytes';
import { verifyPurgeApproval, verifyPurgeOrder } from '@aliquot/shared/keys/purge';
import type { VaultClient } from '../client/vault-client.ts';
import { evidence, unverified } from '../evidence.ts';
import type { ProvedCommit } from './lineage-proof.ts';
import { provedEvent } from './rules-proof.ts';

/** Whether an order was given for a log that was put back since: it was recorded again then. */
function isOfEarlier(
  ordered: TreeHead,
  { at, head }: { readonly at: number; readonly head: TreeHead },
): boolean {
  return at < ordered.size || ordered.logEpoch < head.logEpoch;
}

/** A purge that the log proves: ordered by one operator, approved by another. */
interface ProvedPurge {
  readonly lineageId: string;
  /** Leaves below this are meant. */
  readonly size: number;
  /**
   * Where the log was put back since, commits have come again at other leaves: what their PC had
   * signed until then is meant. Else 0.
   */
  readonly signedUntilMs: number;
  readonly marks: ReadonlySet<string>;
  readonly says: string;
}

/** In a mark of what was dropped: whether other rows of it are left. */
const PARTLY = 1;

const nameOf = ({ high, low }: MarkWords): string => `${high} ${(low & ~PARTLY) >>> 0}`;

/** What was purged of a vault, by its log: no rule let it go, and nobody leaves it out. */
export class PurgedFiles {
  readonly #purges: readonly ProvedPurge[];

  private constructor(purges: readonly ProvedPurge[]) {
    this.#purges = purges;
  }

  /** Those up to a head, each with both words about it. @throws CommandError */
  static async of(
    vault: { readonly log: Pick<VaultClient['log'], 'purges'> },
    authority: Pick<VaultDescriptorBody, 'vaultId' | 'authorityKey'>,
    head: TreeHead,
  ): Promise<PurgedFiles> {
    const orders = new Map<string, { order: ReturnType<typeof verifyPurgeOrder>; at: number }>();
    const purges: ProvedPurge[] = [];
    for (const one of await vault.log.purges(head.size)) {
      const event = provedEvent(one, head);
      if (event.type === 'purgeOrdered') {
        const { order: signed, operator } = event;
        const order = evidence(() => verifyPurgeOrder(authority, { signed, operator }));
        orders.set(hex(order.purgeId), { order, at: one.leafIndex });
      } else if (event.type === 'purgeApproved') {
        const { approval: signed, operator } = event;
        const said = evidence(() => verifyPurgeApproval(authority, { signed, operator }));
        const { order, at = 0 } = orders.get(hex(said.purgeId)) ?? {};
        if (order === undefined || order.by.name === said.by.name)
          throw unverified('the collector shows a purge that two operators have not agreed on');
        const marks = order.fileIds.flatMap((id) => [markOf(id, 0, false), markOf(id, 0, true)]);
        purges.push({
          lineageId: hex(order.lineageId),
          size: order.head.size,
          signedUntilMs: isOfEarlier(order.head, { at, head }) ? order.orderedAtMs : 0,
          marks: new Set(marks.map(nameOf)),
          says: `${order.fileIds.length} of its files were purged on ${formatTime(event.timeMs)}, ordered by ${order.by.name}, approved by ${said.by.name}: ${printable(order.reason)}`,
        });
      }
    }
    return new PurgedFiles(purges);
  }

  /** Whether the versions of a file or result were purged of a commit. */
  covers(
    lineageId: string,
    mark: MarkWords,
    { leafIndex, agentTimeMs }: Pick<ProvedCommit, 'leafIndex' | 'agentTimeMs'>,
  ): boolean {
    return this.#purges.some(
      (purge) =>
        purge.lineageId === lineageId &&
        (leafIndex < purge.size || agentTimeMs <= purge.signedUntilMs) &&
        purge.marks.has(nameOf(mark)),
    );
  }

  /** Whether all that a commit is said to have dropped was purged. */
  coversAll(
    lineageId: string,
    commit: Pick<ProvedCommit, 'dropped' | 'leafIndex' | 'agentTimeMs'>,
  ): boolean {
    const { dropped } = commit;
    const view = new DataView(dropped.buffer, dropped.byteOffset, dropped.length);
    for (let at = 0; at < dropped.length; at += SUMMARY_MARK_BYTES) {
      const mark = { high: view.getUint32(at), low: view.getUint32(at + 4) };
      if (!this.covers(lineageId, mark, commit)) return false;
    }
    return true;
  }

  /** What is to be told of a lineage. */
  says(lineageId: string): readonly string[] {
    return this.#purges.filter((purge) => purge.lineageId === lineageId).map(({ says }) => says);
  }
}
