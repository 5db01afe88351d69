import {
  AliquotError,
  asChunkId,
  type ChunkId,
  type Content,
  decodeCommitHeader,
  decodeEventBody,
  decodeLogLeaf,
  decodePage,
  decodeSignedCommit,
  type LineageId,
  type References,
  type StoredCommit,
  type StoredEvent,
  type StoredReferences,
} from '@aliquot/proto';
import { type VerifiedCommit, verifyCommit } from '@aliquot/shared/commit/commit';
import { rowsIn } from '@aliquot/shared/commit/rows';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { commitLeaf, eventLeaf } from '@aliquot/shared/log/leaf';
import { requireReceiptFor, verifyReceipt } from '@aliquot/shared/log/receipt';
import { hasPiece, isHeld, isOwned, isSet, slabIn } from '../catalog/item-row.ts';
import { idName } from '../catalog/reference-walk.ts';
import { hex } from '../catalog/registry.ts';
import type { VersionPlace } from '../catalog/version-rows.ts';
import type { Finding, FindingCode } from '../fsck-finding.ts';
import type { VaultCore } from '../vault/core.ts';
import { DroppedSlots } from '../vault/dropped-slots.ts';
import { admitEvent } from '../vault/events.ts';
import { ownedBy } from '../vault/own-items.ts';
import type { ReplayAudit } from '../vault/replay-leaf.ts';
import { routeOf } from '../vault/route.ts';
import type { VaultIdentity } from '../vault/vault-parts.ts';
import { addPiece, type PiecesByName } from './lost-pieces.ts';

const REFS_AT_ONCE = 1024;
const nothingProved: ReadonlySet<string> = new Set();
const RESTORE =
  'put history and packs back from a copy of the collector, and find out who changed them';

/** A version that is a piece which its slab lacks. */
interface NamedHole extends VersionPlace {
  readonly name: string;
  readonly piece: number;
}

/** Proves each commit and event against everything before it, while fsck replays the history. */
export class LogAudit implements ReplayAudit {
  readonly #vault: VaultIdentity;
  readonly #tell: (finding: Finding) => void;
  commits = 0;
  /** Names of what is referred to and was uploaded, and that no pack holds. */
  readonly missing = new Set<string>();
  /** By the name of a slab the pieces of it, from 1 on, that are referred to and are holes. */
  readonly holes: PiecesByName = new Map();
  /** Who refers to holes, by rising leaf: versions that may have been dropped since. */
  readonly #named: NamedHole[] = [];

  constructor(vault: VaultIdentity, tell: (finding: Finding) => void) {
    this.#vault = vault;
    this.#tell = tell;
  }

  async commit(core: VaultCore, stored: StoredCommit, place: string): Promise<void> {
    this.commits += 1;
    const header = decodeCommitHeader(decodeSignedCommit(stored.commit).header);
    const row = core.registry.row(header.agentId);
    const where = `${place}, commit ${header.sequence} of agent ${row?.name ?? hex(header.agentId)}`;
    const agent = core.registry.certificate(header.agentId);
    if (agent === undefined || row === undefined)
      return this.#error('commit-invalid', 'its agent had not enrolled', where);
    const verified = this.#attempt('commit-invalid', where, () =>
      verifyCommit(stored.commit, { vaultId: this.#vault.descriptor.vaultId, agent }),
    );
    if (verified === undefined) return;

    const route = await routeOf(core, row.lineageId, header, verified.hash);
    if (route.type === 'unknown-parent')
      this.#error('chain-broken', 'it does not continue the chain before it', where);
    if (
      route.type === 'opens' &&
      core.registry.lines(header.agentId)?.history(route.branchId) === undefined
    )
      this.#error(
        'chain-broken',
        'it begins another history of its agent, and no event before it says so',
        where,
      );

    this.#attempt('receipt-invalid', where, () => {
      const receipt = verifyReceipt(stored.receipt, this.#vault.certificate);
      const lossHash = verified.loss?.hash;
      requireReceiptFor(receipt, { header, hash: verified.hash, lossHash });
      const { agentId } = header;
      const leaf = commitLeaf(agentId, verified.hash, receipt.receivedAtMs, lossHash);
      if (!equalBytes(stored.leaf, leaf))
        this.#error('receipt-invalid', 'its leaf is for another commit', where);
    });

    await this.#references(core, row.lineageId, verified, where);
  }

  /**
   * Pages that stand there as proved: each is opened, and everything that it names must be in its
   * agent's set, pages as proved before.
   */
  async references(
    core: VaultCore,
    { lineageId, pages }: StoredReferences,
    where: string,
  ): Promise<void> {
    const proved = new Set<string>();
    for (const id of pages) {
      proved.add(idName(id));
      const page = await core.items.readPage(id);
      if (page === undefined) continue; // told with the page, or by the commit that needs it
      const content = this.#attempt('commit-invalid', where, () => decodePage(page).content);
      if (content !== undefined) await this.#held(core, lineageId, [content], where, proved);
    }
  }

  /** What a commit names itself, sizes included; what is below was proved before it. */
  async #references(
    core: VaultCore,
    lineageId: LineageId,
    { rows }: VerifiedCommit,
    where: string,
  ): Promise<void> {
    const contents = [...rowsIn(rows)].map(({ entry, slot }) => ({ ...entry.content, slot }));
    const inPieces = contents.filter(({ piece }) => piece > 0);
    const others = contents.filter(({ piece }) => piece === 0);
    await this.#held(core, lineageId, others, where, nothingProved);
    await this.#pieces(core, lineageId, inPieces, where);
  }

  /** The slabs that a commit names, and whether the pieces are there that it says. */
  async #pieces(
    core: VaultCore,
    lineageId: LineageId,
    contents: readonly (Content & { readonly slot: number })[],
    where: string,
  ): Promise<void> {
    await this.#held(core, lineageId, contents, where, nothingProved);
    const leafIndex = core.log.size;
    for (let at = 0; at < contents.length; at += REFS_AT_ONCE) {
      const named = contents.slice(at, at + REFS_AT_ONCE).flatMap(({ piece, refs, slot }) => {
        return refs.map(({ id }) => ({ id, piece, slot }));
      });
      const rows = await core.items.rows(named.map(({ id }) => id));
      for (const [index, { id, piece, slot }] of named.entries()) {
        const row = rows[index];
        const slab = slabIn(row);
        // What no pack holds is named as missing already.
        if (!isHeld(row) || (slab !== undefined && hasPiece(slab, piece))) continue;
        if (slab !== undefined && piece <= slab.count)
          this.#named.push({ name: idName(id), piece, leafIndex, slot });
        else
          this.#error(
            'commit-invalid',
            slab === undefined
              ? `it refers to piece ${piece} of ${hex(id)}, which is no slab`
              : `it refers to piece ${piece} of slab ${hex(id)}, which has ${slab.count}`,
            where,
          );
      }
    }
  }

  async #held(
    core: VaultCore,
    lineageId: LineageId,
    contents: readonly References[],
    where: string,
    proved: ReadonlySet<string>,
  ): Promise<void> {
    const named = new Map<string, { readonly id: ChunkId; readonly isPage: boolean }>();
    for (const { depth, refs } of contents)
      for (const { id } of refs) named.set(idName(id), { id, isPage: depth > 0 });
    const refs = [...named.values()];
    const unowned: ChunkId[] = [];
    for (let at = 0; at < refs.length; at += REFS_AT_ONCE) {
      const some = refs.slice(at, at + REFS_AT_ONCE);
      const ids = some.map(({ id }) => id);
      const rows = await core.items.rows(ids);
      const owned = await ownedBy(core.catalog, lineageId, ids, rows);
      for (const [index, { id, isPage }] of some.entries()) {
        const isProved = proved.has(idName(id)) || owned[index] === 'referenced';
        if (isPage ? !isProved : owned[index] === undefined) unowned.push(id);
        else if (!isHeld(rows[index])) this.missing.add(idName(id));
      }
    }
    const [first] = unowned;
    if (first === undefined) return;
    this.#error(
      'reference-missing',
      `it refers to ${unowned.length} items that its agent had not uploaded before, first ${hex(first)}`,
      where,
    );
  }

  /**
   * Less what was swept since, and pieces that only versions name which were dropped: nobody needs
   * them any more. To be called when all was replayed.
   */
  async leaveOutSwept(core: VaultCore): Promise<void> {
    const dropped = new DroppedSlots(core.catalog, 0, core.log.size);
    try {
      let [leaf, slots]: [number, Uint8Array] = [-1, new Uint8Array(0)];
      for (const { name, piece, leafIndex, slot } of this.#named) {
        if (leafIndex !== leaf) [leaf, slots] = [leafIndex, await dropped.of(leafIndex)];
        if (!isSet(slots, slot)) addPiece(this.holes, name, piece);
      }
    } finally {
      await dropped.close();
    }
    for (const name of [...this.missing, ...this.holes.keys()]) {
      const [row] = await core.items.rows([asChunkId(new Uint8Array(Buffer.from(name, 'latin1')))]);
      if (row !== undefined && isOwned(row)) continue;
      this.missing.delete(name);
      this.holes.delete(name);
    }
  }

  async event(core: VaultCore, stored: StoredEvent, place: string): Promise<void> {
    const where = `${place}, leaf ${core.log.size}`;
    const event = decodeEventBody(stored.event);
    const { timeMs } = decodeLogLeaf(stored.leaf);
    if (!equalBytes(stored.leaf, eventLeaf(stored.event, timeMs)))
      this.#error('event-invalid', 'its leaf is for another event', where);
    if (event.type === 'chainForked') {
      // The collector's own observation: nobody signed it.
      if (core.registry.row(event.agentId) === undefined)
        this.#error('event-invalid', 'it tells of an agent that nobody expected', where);
      return;
    }
    try {
      const known = await admitEvent(core, this.#vault.descriptor, event);
      if (known !== undefined) this.#error('event-invalid', `it repeats leaf ${known}`, where);
    } catch (error) {
      if (!(error instanceof AliquotError)) throw error;
      this.#error('event-invalid', error.message, where);
    }
  }

  #attempt<T>(code: FindingCode, where: string, run: () => T): T | undefined {
    try {
      return run();
    } catch (error) {
      if (!(error instanceof AliquotError)) throw error;
      this.#error(code, error.message, where);
      return undefined;
    }
  }

  #error(code: FindingCode, what: string, where: string): void {
    this.#tell({ code, severity: 'error', what, where, remedy: RESTORE });
  }
}
