import {
  type CommitHash,
  type CommitHeader,
  decodeCommitHeader,
  decodeReceiptBody,
  decodeSignedCommit,
  decodeStoredCommit,
  decodeStoredEvent,
  FormatError,
} from '@aliquot/proto';
import { CommitRows, commitHash } from '@aliquot/shared/commit/rows';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { commitLeaf } from '@aliquot/shared/log/leaf';
import { CatalogChange } from '../catalog/catalog-store.ts';
import { contentsOf } from '../catalog/named-contents.ts';
import { StoreError } from '../errors.ts';
import type { HistoryItem } from '../history/history-log.ts';
import { applyCommit } from './apply.ts';
import { applyUnreadSwept } from './apply-swept.ts';
import type { VaultCore } from './core.ts';
import {
  enterUnread,
  leafPlaceOf,
  orPassedOver,
  type ReplayOptions,
  requireFit,
} from './replay-leaf.ts';
import { routeOf } from './route.ts';

/**
 * Takes in what is left of a record whose payload is damaged. What it said of items is said again,
 * by whoever sends them, and by the commits that name them. An event is passed over, but for its
 * leaf; of a commit the receipt says what it was. What stands behind proves either: the next
 * receipt is for this very log. Throws `FormatError`, or `STORE_CORRUPT`, where nothing is left.
 */
export async function replayBroken(
  core: VaultCore,
  item: HistoryItem,
  options: ReplayOptions,
): Promise<void> {
  const where = options.nameOf(item.place);
  const why = `the record of ${wordsFor[item.kind]} is damaged`;
  switch (item.kind) {
    case 'uploads':
    case 'references':
      core.lostUploads = true;
      await core.commitChange(new CatalogChange(core.catalog), item.end);
      break;
    // What it took out, or let go, is there again, and goes again when that is decided again.
    case 'expired':
    case 'dropped':
      await core.commitChange(new CatalogChange(core.catalog), item.end);
      break;
    case 'purged':
      core.lostPurged = true;
      await core.commitChange(new CatalogChange(core.catalog), item.end);
      break;
    case 'swept': {
      const change = new CatalogChange(core.catalog);
      const effect = await applyUnreadSwept(change, core.catalog, core.registry);
      await core.commitChange(change, item.end, effect);
      break;
    }
    case 'event': {
      const { leaf } = decodeStoredEvent(item.payload);
      await enterUnread(core, item, leafPlaceOf(core, item, leaf));
      break;
    }
    case 'commit':
    case 'thinned':
      await replayBrokenCommit(core, item, options);
  }
  options.onUnfit?.({ type: 'record', where, why });
}

const wordsFor: Readonly<Record<HistoryItem['kind'], string>> = {
  uploads: 'uploads',
  references: 'references',
  commit: 'one commit',
  thinned: 'one commit',
  event: 'one event',
  dropped: 'dropped versions',
  swept: 'swept items',
  expired: 'expired versions',
  purged: 'a purged commit',
};

async function replayBrokenCommit(
  core: VaultCore,
  item: HistoryItem,
  options: ReplayOptions,
): Promise<void> {
  const { commit, receipt } = decodeStoredCommit(item.payload);
  const body = decodeReceiptBody(receipt.body);
  const { agentId, chainId, sequence, commitHash: hash, receivedAtMs, lossHash } = body;
  const leaf = leafPlaceOf(core, item, commitLeaf(agentId, hash, receivedAtMs, lossHash));
  requireFit(core, body, leaf, options.nameOf(item.place));
  await orPassedOver(core, item, leaf, options, async () => {
    const row = core.registry.row(agentId);
    if (row === undefined)
      throw new StoreError('STORE_UNFIT', 'a commit of an agent that never enrolled');
    const { lineageId, enrolledAtMs } = row;
    const header = headerIn(commit, hash);
    const route = header && (await routeOf(core, lineageId, header, hash));
    const known = core.registry.lines(agentId)?.chainHead(chainId)?.branchId;
    const branchId =
      route === undefined || route.type === 'unknown-parent'
        ? (known ?? lineageId)
        : route.branchId;
    const change = new CatalogChange(core.catalog);
    const rows = new CommitRows({ blocks: [], lacking: [] });
    const effect = await applyCommit(change, {
      ...{ header: { agentId, chainId, sequence }, hash, rows, contents: contentsOf(rows) },
      lostVersions: 0,
      ...{ lineageId, branchId, earliestMs: enrolledAtMs, receipt, receiptBody: body, leaf },
    });
    await core.commitChange(change, item.end, effect);
    const broken = { agentId, branchId, sequence, hash, receivedAtMs, isEntered: false };
    core.noteBroken(leaf.leafIndex, broken);
  });
}

/** The header of a commit that is damaged, where it is the one that this hash names. */
function headerIn(commit: Uint8Array, hash: CommitHash): CommitHeader | undefined {
  try {
    const { header } = decodeSignedCommit(commit);
    return equalBytes(commitHash(header), hash) ? decodeCommitHeader(header) : undefined;
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return undefined;
  }
}
