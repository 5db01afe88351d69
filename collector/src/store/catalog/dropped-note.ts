import { RowReader, RowWriter } from './row.ts';

/** What is remembered of a version that was dropped: for people who ask where it went. */
export interface DroppedNote {
  /** The run of retention that had expired it. */
  readonly run: number;
  /** Since when it was current. */
  readonly fromMs: number;
  /** Until when; undefined: it was the last of its file. */
  readonly untilMs: number | undefined;
  readonly size: number;
  /** It said that its file was gone. */
  readonly isGone: boolean;
}

export function encodeDroppedNote({ run, fromMs, untilMs, size, isGone }: DroppedNote): Buffer {
  const until = untilMs === undefined ? 0 : untilMs + 1;
  const row = new RowWriter().u64(run).u64(fromMs).u64(until).u64(size);
  return row.u8(isGone ? 1 : 0).finish();
}

/** Throws `STORE_CATALOG`. */
export function decodeDroppedNote(bytes: Uint8Array): DroppedNote {
  const reader = new RowReader(bytes);
  const [run, fromMs, until, size] = [reader.u64(), reader.u64(), reader.u64(), reader.u64()];
  const untilMs = until === 0 ? undefined : until - 1;
  return { run, fromMs, untilMs, size, isGone: reader.u8() === 1 };
}
