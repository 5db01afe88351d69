import type { AgentId, ChainPoint, ChunkId, References } from '@aliquot/proto';
import { asCommitHash, decodePage, decodeStoredCommit } from '@aliquot/proto';
import { readCommit } from '@aliquot/shared/commit/rows';
import { keys, ranges, readKey } from '../catalog/catalog-keys.ts';
import { hasPiece, isHeld, slabIn } from '../catalog/item-row.ts';
import { contentsOf, type NamedContents } from '../catalog/named-contents.ts';
import { idName } from '../catalog/reference-walk.ts';
import { hex } from '../catalog/registry.ts';
import { read } from '../catalog/row-codec.ts';
import { isDamaged } from '../errors.ts';
import type { VaultCore } from './core.ts';
import { droppedSlots } from './dropped-slots.ts';

const REFS_AT_ONCE = 1024;

/** What a chain was found to be, for as long as nothing more is found lost. */
interface Seen {
  readonly core: VaultCore;
  readonly losses: number;
  /** Nothing is hurt up to this commit. */
  readonly sequence: number;
}

/**
 * Finds accepted commits of which something is not here any more: the record itself, or what it
 * names. Their agents are told that their chain ends before the first of these: so they send from
 * there on again, byte for byte, with whatever is lacking, and show it as unsafe until it has its
 * receipt again.
 */
export class HurtCommits {
  readonly #seen = new Map<string, Seen>();

  /**
   * The newest commit of a chain before the first that is hurt: its head where none is, `undefined`
   * where the first one is. Reads all commits of the chain once after each loss, beside the vault's
   * queue.
   */
  async headBefore(
    core: VaultCore,
    agentId: AgentId,
    head: ChainPoint,
  ): Promise<ChainPoint | undefined> {
    if (!core.isHurt) return head;
    const { losses } = core;
    const chain = hex(agentId) + hex(head.chainId);
    const seen = this.#seen.get(chain);
    const from = seen?.core === core && seen.losses === losses ? seen.sequence : 0;
    if (from === head.sequence) return head;
    const look = new Look(core);
    let before: ChainPoint | undefined;
    for await (const [key, value] of core.catalog.scan(ranges.linksOn(agentId, head.chainId))) {
      const sequence = readKey.linkSequence(key);
      const { leafIndex } = read.link(value);
      const isGivenUp = (await core.catalog.get(keys.givenUp(leafIndex))) !== undefined;
      if (sequence > from && !isGivenUp && (await look.isHurt(leafIndex))) return before;
      before = { chainId: head.chainId, sequence, hash: asCommitHash(readKey.linkHash(key)) };
    }
    this.#seen.set(chain, { core, losses, sequence: head.sequence });
    return head;
  }
}

/** Whether everything that commits name is here; remembers it of pages. */
class Look {
  readonly #core: VaultCore;
  readonly #pages = new Map<string, boolean>();

  constructor(core: VaultCore) {
    this.#core = core;
  }

  async isHurt(leafIndex: number): Promise<boolean> {
    let contents: NamedContents;
    try {
      const { payload } = await this.#core.leafRecord(leafIndex);
      const { rows } = readCommit(decodeStoredCommit(payload).commit);
      // What was dropped may be gone, and nobody wants it back.
      contents = contentsOf(rows, await droppedSlots(this.#core.catalog, leafIndex));
    } catch (error) {
      if (!isDamaged(error)) throw error;
      return true;
    }
    for (const list of contents.lists) if (await this.#lacks(list)) return true;
    for (const { id, plainSizes } of contents.slabs) {
      const [row] = await this.#core.items.rows([id]);
      const slab = slabIn(row);
      if (!isHeld(row) || slab === undefined) return true;
      for (const [piece, plainSize] of plainSizes.entries())
        if (plainSize > 0 && !hasPiece(slab, piece + 1)) return true;
      if (this.#core.items.isDamaged(id)) return true;
    }
    return false;
  }

  async #lacks({ depth, refs }: References): Promise<boolean> {
    for (let at = 0; at < refs.length; at += REFS_AT_ONCE) {
      const ids = refs.slice(at, at + REFS_AT_ONCE).map(({ id }) => id);
      const rows = await this.#core.items.rows(ids);
      for (const [index, id] of ids.entries()) {
        if (!isHeld(rows[index]) || this.#core.items.isDamaged(id)) return true;
        if (depth > 0 && (await this.#lacksBelow(id))) return true;
      }
    }
    return false;
  }

  async #lacksBelow(id: ChunkId): Promise<boolean> {
    const name = idName(id);
    const known = this.#pages.get(name);
    if (known !== undefined) return known;
    const page = await this.#core.items.readPage(id);
    const lacks = page === undefined || (await this.#lacks(decodePage(page).content));
    this.#pages.set(name, lacks);
    return lacks;
  }
}
