import { asGroupId, type GroupId, type Signed } from '@aliquot/proto';
import { RowReader, RowWriter } from './row.ts';

/** A certificate by which several PCs may enrol, in the catalog. */
export interface GroupRow {
  readonly groupId: GroupId;
  readonly addedLeaf: number;
  readonly addedAtMs: number;
  /** Where an operator ended it. */
  readonly end: { readonly leaf: number; readonly timeMs: number } | undefined;
  readonly certificate: Signed;
}

export function encodeGroup({ groupId, addedLeaf, addedAtMs, end, certificate }: GroupRow): Buffer {
  const row = new RowWriter()
    .fixed(groupId)
    .u64(addedLeaf)
    .u64(addedAtMs)
    .blob(certificate.body)
    .blob(certificate.signature);
  row.u8(end === undefined ? 0 : 1);
  if (end !== undefined) row.u64(end.leaf).u64(end.timeMs);
  return row.finish();
}

export function decodeGroup(bytes: Uint8Array): GroupRow {
  const row = new RowReader(bytes);
  const added = { groupId: asGroupId(row.fixed(16)), addedLeaf: row.u64(), addedAtMs: row.u64() };
  const certificate = { body: row.blob(), signature: row.blob() };
  return {
    ...added,
    certificate,
    end: row.u8() === 0 ? undefined : { leaf: row.u64(), timeMs: row.u64() },
  };
}
