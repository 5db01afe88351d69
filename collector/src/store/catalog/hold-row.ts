import { decodeHoldBody, encodeHoldBody, type HoldBody } from '@aliquot/proto';
import { RowReader, RowWriter } from './row.ts';

/** A hold in the catalog. */
export interface HoldRow {
  readonly body: HoldBody;
  readonly setLeaf: number;
  readonly setAtMs: number;
  /** All versions of the first so many leaves were looked at for it; by which leaf that is said. */
  readonly resolved: { readonly size: number; readonly leaf: number } | undefined;
  /** A resolution of which parts are still to come: the one that comes next. */
  readonly resolving: ResolvingRow | undefined;
  /** `by` is the name of the operator; empty: the authority. */
  readonly released:
    | {
        readonly leaf: number;
        readonly timeMs: number;
        readonly by: string;
        readonly reason: string;
      }
    | undefined;
}

export interface ResolvingRow {
  readonly size: number;
  readonly parts: number;
  readonly next: number;
}

export function encodeHold(hold: HoldRow): Buffer {
  const { body, setLeaf, setAtMs, resolved, resolving, released } = hold;
  const row = new RowWriter().blob(encodeHoldBody(body)).u64(setLeaf).u64(setAtMs);
  row.u8(resolved === undefined ? 0 : 1);
  if (resolved !== undefined) row.u64(resolved.size).u64(resolved.leaf);
  row.u8(resolving === undefined ? 0 : 1);
  if (resolving !== undefined) row.u64(resolving.size).u32(resolving.parts).u32(resolving.next);
  row.u8(released === undefined ? 0 : 1);
  if (released !== undefined)
    row.u64(released.leaf).u64(released.timeMs).text(released.by).text(released.reason);
  return row.finish();
}

/** Errors: `STORE_CATALOG`, `FORMAT_…`. */
export function decodeHold(bytes: Uint8Array): HoldRow {
  const row = new RowReader(bytes);
  const set = { body: decodeHoldBody(row.blob()), setLeaf: row.u64(), setAtMs: row.u64() };
  const resolved = row.u8() === 0 ? undefined : { size: row.u64(), leaf: row.u64() };
  const resolving =
    row.u8() === 0 ? undefined : { size: row.u64(), parts: row.u32(), next: row.u32() };
  const released =
    row.u8() === 0
      ? undefined
      : { leaf: row.u64(), timeMs: row.u64(), by: row.text(), reason: row.text() };
  return { ...set, resolved, resolving, released };
}
