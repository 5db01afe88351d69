import {
  decodeCommitHeader,
  decodeEventBody,
  decodeLogLeaf,
  decodeSignedCommit,
  decodeStoredCommit,
  decodeStoredEvent,
  hasWholeHash,
  ID_BYTES,
  type ResultFacts,
  type ResultId,
  rowKind,
  type VersionBlock,
} from '@aliquot/proto';
import { isDeletedResult } from '@aliquot/shared/commit/results';
import { CommitRows } from '@aliquot/shared/commit/rows';
import { hex } from '@aliquot/shared/crypto/bytes';
import type { VersionFacts } from '../../../retention/kept.ts';
import type { RuledBy } from '../../../retention/ruling.ts';
import { isDamaged } from '../../errors.ts';
import type { VaultCore } from '../core.ts';
import { type ClearFacts, NONE } from './version-columns.ts';

/** Classes, sources and PCs, and ids of results, each by a number. */
export class ClearNames {
  readonly #ruledBy: RuledBy[] = [];
  readonly #numbers = new Map<string, number>();
  readonly #results = new Map<string, number>();
  readonly #resultIds: string[] = [];

  /** What versions of a number are ruled by; undefined: no row says. */
  ruledBy(number: number): RuledBy | undefined {
    return this.#ruledBy[number];
  }

  numberOf(ruledBy: RuledBy): number {
    const { lineageId, sourceId, className, agent } = ruledBy;
    const name = `${hex(lineageId)}${hex(sourceId)}/${className}/${agent}`;
    const known = this.#numbers.get(name);
    if (known !== undefined) return known;
    this.#numbers.set(name, this.#ruledBy.length);
    return this.#ruledBy.push(ruledBy) - 1;
  }

  /** Some 100 bytes for each. */
  resultOf(id: Uint8Array): number {
    const name = idText(id);
    const known = this.#results.get(name);
    if (known !== undefined) return known;
    this.#results.set(name, this.#resultIds.length);
    return this.#resultIds.push(name) - 1;
  }

  /** @throws RangeError */
  resultId(number: number): ResultId {
    const name = this.#resultIds[number];
    if (name === undefined) throw new RangeError(`no result has the number ${number}`);
    return new Uint8Array(Buffer.from(name, 'latin1')) as ResultId;
  }
}

/** An id as text of as many characters as it has bytes. */
function idText(id: Uint8Array): string {
  return Buffer.from(id.buffer, id.byteOffset, id.length).toString('latin1');
}

/** A leaf of the log with versions: a commit, or an event by which files are gone. */
export interface ClearLeaf {
  /** What its time counts as. */
  readonly receivedMs: number;
  /** Shows those of its versions that are meant, by rising slot. */
  each(visit: (facts: ClearFacts) => void): void;
  /** Shows those of some slots that are meant; only their blocks are taken apart. */
  at(slots: Iterable<number>, visit: (facts: ClearFacts) => void): void;
}

/** Which versions are wanted, where not all are. */
export type IsMeant = (id: Uint8Array, isResult: boolean) => boolean;

/**
 * The versions of a leaf as far as they stand in clear; undefined where its record is damaged. They
 * are ruled by the name for which the PC that sent them was certified: the name of a clone is an
 * operator's word, which the token gives, and would take a lock away.
 */
export async function clearLeaf(
  core: VaultCore,
  leafIndex: number,
  names: ClearNames,
  isMeant?: IsMeant,
): Promise<ClearLeaf | undefined> {
  try {
    const { type, payload } = await core.leafRecord(leafIndex);
    const { leaf, ...versions } =
      type === 'commit' ? commitIn(core, payload, names, isMeant) : goneIn(payload, isMeant);
    const receivedMs = core.registry.times.of(leafIndex, decodeLogLeaf(leaf).timeMs);
    return { receivedMs, ...versions };
  } catch (error) {
    if (!isDamaged(error)) throw error;
    return undefined;
  }
}

interface StoredLeaf extends Omit<ClearLeaf, 'receivedMs'> {
  readonly leaf: Uint8Array;
}

function commitIn(
  core: VaultCore,
  payload: Uint8Array,
  names: ClearNames,
  isMeant: IsMeant | undefined,
): StoredLeaf {
  const { commit, leaf } = decodeStoredCommit(payload);
  const signed = decodeSignedCommit(commit);
  const row = core.registry.row(decodeCommitHeader(signed.header).agentId);
  const rows = new CommitRows(signed);
  const shownTo = (visit: (facts: ClearFacts) => void) => {
    let columns: VersionBlock | undefined;
    let [numbers, results]: [number[], number[]] = [[], []];
    return (block: VersionBlock, place: number, slot: number): void => {
      if (isMeant !== undefined) {
        const id = block.ids.subarray(place * ID_BYTES, (place + 1) * ID_BYTES);
        if (!isMeant(id, rowKind(block, place) === 'result')) return;
      }
      if (block !== columns) {
        columns = block;
        numbers = block.sources.map(({ sourceId, class: className }) =>
          row === undefined
            ? NONE
            : names.numberOf({ className, agent: row.name, lineageId: row.lineageId, sourceId }),
        );
        results = block.results.map((result) => names.resultOf(result));
      }
      visit({
        slot,
        kind: kindAt(block, place),
        size: block.sizes[place] ?? 0,
        ruledBy: numbers[block.sourceOf[place] ?? 0] ?? NONE,
        result: results[block.resultOf[place] ?? NONE] ?? NONE,
      });
    };
  };
  return {
    leaf,
    each: (visit) => rows.each(shownTo(visit)),
    at(slots, visit) {
      const show = shownTo(visit);
      for (const slot of slots) rows.show(slot, show);
    },
  };
}

/** What an operator said to be gone: of no class. */
function goneIn(payload: Uint8Array, isMeant: IsMeant | undefined): StoredLeaf {
  const { event, leaf } = decodeStoredEvent(payload);
  const body = decodeEventBody(event);
  const files = body.type === 'filesGone' ? body.fileIds : [];
  const at: ClearLeaf['at'] = (slots, visit) => {
    for (const slot of slots) {
      const id = files[slot];
      if (id !== undefined && isMeant?.(id, false) !== false)
        visit({ slot, kind: 'gone', ruledBy: NONE, size: 0, result: NONE });
    }
  };
  return { leaf, at, each: (visit) => at(files.keys(), visit) };
}

/**
 * An open result is to one that is closed as what grows is to what is whole; that it was deleted is
 * said by a row without members.
 */
function kindAt(block: VersionBlock, place: number): VersionFacts['kind'] {
  switch (rowKind(block, place)) {
    case 'gone':
      return 'gone';
    case 'result':
      return kindOfResult(block.resultRows.get(place));
    case 'file':
      return hasWholeHash(block, place) ? 'whole' : 'growing';
    default:
      return 'whole';
  }
}

function kindOfResult(facts: ResultFacts | undefined): VersionFacts['kind'] {
  if (facts?.progress === 'open') return 'growing';
  return facts !== undefined && isDeletedResult(facts) ? 'gone' : 'whole';
}
