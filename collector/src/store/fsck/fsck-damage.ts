import {
  asChunkId,
  type ChunkId,
  type Content,
  decodePage,
  decodeStoredCommit,
  type References,
} from '@aliquot/proto';
import { readCommit, rowsIn } from '@aliquot/shared/commit/rows';
import { isSet } from '../catalog/item-row.ts';
import { idName } from '../catalog/reference-walk.ts';
import { hex } from '../catalog/registry.ts';
import type { Finding } from '../fsck-finding.ts';
import type { DamagedRow } from '../packs/check-packs.ts';
import { comparePlaces, type Place } from '../packs/pack-store.ts';
import type { VaultCore } from '../vault/core.ts';
import { DroppedSlots } from '../vault/dropped-slots.ts';
import { addPiece, type PiecesByName } from './lost-pieces.ts';

const SEND_AGAIN =
  'an agent that has the content sends it again when it next reads it (touch the files there); other versions need a copy of the collector';

/** What was found of items that are not as they should be. */
export interface Damage {
  readonly damaged: readonly DamagedRow[];
  /** Names of what versions need and no pack holds. */
  readonly missing: ReadonlySet<string>;
  /** Pieces of slabs that versions need and that are holes. */
  readonly holes: PiecesByName;
}

/** How it is told. */
export interface Teller {
  readonly tell: (finding: Finding) => void;
  readonly nameOf: (place: Pick<Place, 'pack'>) => string;
  readonly packsDir: string;
}

/**
 * Names damaged and missing items, pieces of slabs by themselves, and the versions that need them.
 */
export async function tellDamage(core: VaultCore, damage: Damage, teller: Teller): Promise<void> {
  const { damaged, missing, holes } = damage;
  const lost: Lost = { items: new Set(missing), pieces: new Map() };
  for (const [name, pieces] of holes)
    for (const piece of pieces) addPiece(lost.pieces, name, piece);
  for (const row of damaged) {
    if (row.rotten === undefined) tellItem(core, row, lost, teller);
    else await tellPieces(core, row, row.rotten, damaged, lost, teller);
  }
  tellMissing(missing, teller);
  tellHoles(holes, teller);
  if (lost.items.size > 0 || lost.pieces.size > 0) await tellVersions(core, lost, teller.tell);
}

/** What versions cannot be read without. */
interface Lost {
  readonly items: Set<string>;
  readonly pieces: PiecesByName;
}

function tellItem(
  core: VaultCore,
  { id, kind, place }: DamagedRow,
  lost: Lost,
  { tell, nameOf }: Teller,
): void {
  const mended = !core.items.isDamaged(id);
  if (!mended) lost.items.add(idName(id));
  tell({
    code: 'item-damaged',
    severity: mended ? 'warning' : 'error',
    what: `the bytes of ${kind} ${hex(id)} are damaged${mended ? ELSEWHERE : ''}`,
    where: `${nameOf(place)}, byte ${place.offset}`,
    remedy: mended ? 'check the disk' : `check the disk; ${SEND_AGAIN}`,
  });
}

const ELSEWHERE = ', and a sound copy is in another place';

async function tellPieces(
  core: VaultCore,
  { id, place }: DamagedRow,
  rotten: readonly number[],
  damaged: readonly DamagedRow[],
  lost: Lost,
  { tell, nameOf }: Teller,
): Promise<void> {
  for (const piece of rotten) {
    const mended = await isPieceElsewhere(core, id, piece, damaged);
    if (!mended) addPiece(lost.pieces, idName(id), piece);
    tell({
      code: 'piece-damaged',
      severity: mended ? 'warning' : 'error',
      what: `piece ${piece} of slab ${hex(id)} is damaged${mended ? ELSEWHERE : '; its others are not'}`,
      where: `${nameOf(place)}, byte ${place.offset}`,
      remedy: mended ? 'check the disk' : `check the disk; ${SEND_AGAIN}`,
    });
  }
}

function tellMissing(missing: ReadonlySet<string>, { tell, packsDir }: Teller): void {
  const [first] = missing;
  if (first === undefined) return;
  tell({
    code: 'item-missing',
    severity: 'error',
    what: `${missing.size} items that versions need are in no pack, first ${hexOf(first)}`,
    where: packsDir,
    remedy: `put the pack that held them back from a copy; else ${SEND_AGAIN}`,
  });
}

function tellHoles(holes: PiecesByName, { tell, packsDir }: Teller): void {
  const [first] = holes;
  if (first === undefined) return;
  const [name, pieces] = first;
  const count = [...holes.values()].reduce((sum, { size }) => sum + size, 0);
  tell({
    code: 'piece-missing',
    severity: 'error',
    what: `${count} pieces of slabs that versions need are in no pack, first piece ${Math.min(...pieces)} of slab ${hexOf(name)}`,
    where: packsDir,
    remedy: `put the packs back from a copy; else ${SEND_AGAIN}`,
  });
}

function hexOf(name: string): string {
  return hex(asChunkId(new Uint8Array(Buffer.from(name, 'latin1'))));
}

/** Whether an item lies in a place that is not among the damaged ones. */
export async function hasOther(
  core: VaultCore,
  id: ChunkId,
  damaged: readonly DamagedRow[],
): Promise<boolean> {
  const [row] = await core.items.rows([id]);
  return (row?.places ?? []).some((place) => damagedAt(place, damaged) === undefined);
}

/** Whether a piece of a slab is sound in some place. */
async function isPieceElsewhere(
  core: VaultCore,
  id: ChunkId,
  piece: number,
  damaged: readonly DamagedRow[],
): Promise<boolean> {
  const [row] = await core.items.rows([id]);
  return (row?.places ?? []).some((place) => {
    const found = damagedAt(place, damaged);
    const isSound = found === undefined || found.rotten?.includes(piece) === false;
    return isSound && (place.here === undefined || isSet(place.here, piece - 1));
  });
}

function damagedAt(place: Place, damaged: readonly DamagedRow[]): DamagedRow | undefined {
  return damaged.find((one) => comparePlaces(one.place, place) === 0);
}

/**
 * Names every version whose content needs something that is lost. Reads all commits again, and each
 * page once; only after damage.
 */
async function tellVersions(
  core: VaultCore,
  lost: Lost,
  tell: (finding: Finding) => void,
): Promise<void> {
  const needs = new Needs(core, lost);
  const dropped = new DroppedSlots(core.catalog, 0, core.log.size);
  try {
    for (let leafIndex = 0; leafIndex < core.log.size; leafIndex += 1) {
      const { type, payload } = await core.leafRecord(leafIndex);
      if (type !== 'commit') continue;
      const without = await dropped.of(leafIndex);
      const { header, rows } = readCommit(decodeStoredCommit(payload).commit);
      const agent = core.registry.row(header.agentId)?.name ?? hex(header.agentId);
      for (const { entry, slot } of rowsIn(rows)) {
        if (isSet(without, slot) || !(await needs.lost(entry.content))) continue;
        tell({
          code: 'version-damaged',
          severity: 'error',
          what: `a version captured ${new Date(entry.capturedAtMs).toISOString()} (${entry.size} bytes) is not whole`,
          where: `agent ${agent}, file ${hex(entry.fileId)}, commit ${header.sequence}`,
          remedy:
            'back the file up again where it still exists; else put the packs back from a copy',
        });
      }
    }
  } finally {
    await dropped.close();
  }
}

/** Tells what needs something lost; remembers it of pages. */
class Needs {
  readonly #core: VaultCore;
  readonly #lost: Lost;
  readonly #pages = new Map<string, boolean>();

  constructor(core: VaultCore, lost: Lost) {
    this.#core = core;
    this.#lost = lost;
  }

  async lost(content: Content): Promise<boolean> {
    const { piece, refs } = content;
    const pieceLost = refs.some(({ id }) => this.#lost.pieces.get(idName(id))?.has(piece) === true);
    return pieceLost || (await this.#references(content));
  }

  async #references({ depth, refs }: References): Promise<boolean> {
    for (const { id } of refs) {
      if (this.#lost.items.has(idName(id))) return true;
      if (depth > 0 && (await this.#below(id))) return true;
    }
    return false;
  }

  async #below(id: ChunkId): Promise<boolean> {
    const name = idName(id);
    const known = this.#pages.get(name);
    if (known !== undefined) return known;
    const page = await this.#core.items.readPage(id);
    // One that cannot be read is among the damaged, or reported as missing.
    const needs = page !== undefined && (await this.#references(decodePage(page).content));
    this.#pages.set(name, needs);
    return needs;
  }
}
