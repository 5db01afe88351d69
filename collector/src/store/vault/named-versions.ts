import {
  decodeEventBody,
  decodeStoredCommit,
  decodeStoredEvent,
  ID_BYTES,
  type LeafSlots,
  rowKind,
} from '@aliquot/proto';
import { readCommit } from '@aliquot/shared/commit/rows';
import { bitsOf } from '@aliquot/shared/crypto/bytes';
import { isSet } from '../catalog/item-row.ts';
import type { VersionPlace } from '../catalog/version-rows.ts';
import { passedOver } from '../errors.ts';

/** A version by its place, and what it is of. */
export interface NamedVersion extends VersionPlace {
  /** Of the file, or of the result. */
  readonly id: Uint8Array;
  readonly isResult: boolean;
  /** An operator has said that the file is gone: no PC has sent it. */
  readonly isEvent: boolean;
  readonly size: number;
}

/** Where the records of leaves are read. */
interface LeafRecords {
  leafRecord(
    leafIndex: number,
  ): Promise<{ readonly type: 'commit' | 'event'; readonly payload: Uint8Array }>;
}

/**
 * What commits and events say of some of their versions. Those whose record cannot be read, or that
 * are not in it any more, are left out.
 *
 * @param formOf a commit as it is where its record cannot be read
 */
export async function namedVersions(
  core: LeafRecords,
  leaves: readonly LeafSlots[],
  formOf: (leafIndex: number) => Promise<Uint8Array | undefined> = async () => undefined,
): Promise<NamedVersion[]> {
  const named: NamedVersion[] = [];
  for (const { leafIndex, slots } of leaves) {
    const record = await core.leafRecord(leafIndex).catch(passedOver);
    const all = record === undefined ? inForm(await formOf(leafIndex)) : inRecord(record);
    for (const { slot, ...version } of all)
      if (isSet(slots, slot)) named.push({ leafIndex, slot, ...version });
  }
  return named;
}

/** How large a version is; 0 where its record cannot be read. */
export async function sizeIn(
  core: LeafRecords,
  { leafIndex, slot }: VersionPlace,
): Promise<number> {
  const [named] = await namedVersions(core, [{ leafIndex, slots: bitsOf([slot]) }]);
  return named?.size ?? 0;
}

type InRecord = Omit<NamedVersion, 'leafIndex'>;

function inRecord({ type, payload }: Awaited<ReturnType<LeafRecords['leafRecord']>>): InRecord[] {
  if (type === 'event') return inEvent(payload);
  const { commit, facts } = decodeStoredCommit(payload);
  return inRows(readCommit(commit, facts));
}

function inForm(commit: Uint8Array | undefined): InRecord[] {
  return commit === undefined ? [] : inRows(readCommit(commit));
}

function inRows({ rows }: Pick<ReturnType<typeof readCommit>, 'rows'>): InRecord[] {
  const all: InRecord[] = [];
  rows.each((block, place, slot) => {
    const id = block.ids.slice(place * ID_BYTES, (place + 1) * ID_BYTES);
    const isResult = rowKind(block, place) === 'result';
    all.push({ slot, id, isResult, isEvent: false, size: block.sizes[place] ?? 0 });
  });
  return all;
}

function inEvent(payload: Uint8Array): InRecord[] {
  const event = decodeEventBody(decodeStoredEvent(payload).event);
  if (event.type !== 'filesGone') return [];
  const of = { isResult: false, isEvent: true, size: 0 };
  return event.fileIds.map((id, slot) => ({ slot, id, ...of }));
}
