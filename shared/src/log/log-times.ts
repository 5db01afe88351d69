import type { ClockCorrectionBody } from '@aliquot/proto';

/** A correction of the collector's clock that a log has. */
export interface LoggedCorrection {
  /** The leaf of its event, and the time that this bears. */
  readonly leafIndex: number;
  readonly timeMs: number;
  readonly body: ClockCorrectionBody;
}

/**
 * What the times of a log's leaves count as. Leaves and receipts stay as they were signed; where
 * the collector's clock was wrong for a stretch, a correction, which is a leaf itself, says by how
 * much:
 *
 * - A leaf in its stretch counts as moved by that, within the bounds that the correction names: the
 *   times of the leaves beside the stretch.
 * - No leaf before a correction counts as later than that one. So what was recorded at the wrong
 *   time after the clock had been set back (times of leaves never run backwards by themselves)
 *   counts as received when it was corrected, at the latest.
 *
 * Both keep the order of leaves: their times rise, before and after. Of corrections of one stretch
 * the newest counts. A function of the leaves alone, for whoever has them.
 */
export class LogTimes {
  /** Of a log that has no correction. */
  static readonly asRecorded: LogTimes = new LogTimes([]);

  readonly corrections: readonly LoggedCorrection[];
  /** Of each stretch the correction that counts. */
  readonly #counting: readonly ClockCorrectionBody[];
  /** What the time of each correction itself counts as. */
  readonly #caps: readonly number[];

  /** In the order of their leaves. */
  constructor(corrections: readonly LoggedCorrection[]) {
    this.corrections = corrections;
    this.#counting = [
      ...new Map(corrections.map(({ body }) => [`${body.fromLeaf} ${body.head.size}`, body])),
    ].map(([, body]) => body);
    const caps: number[] = [];
    let least = Number.POSITIVE_INFINITY;
    for (const { timeMs } of corrections.toReversed()) {
      least = Math.min(timeMs, least);
      caps.unshift(least);
    }
    this.#caps = caps;
  }

  /** The time of a leaf that bears `recordedMs`, in milliseconds since 1970. */
  of(leafIndex: number, recordedMs: number): number {
    if (this.corrections.length === 0) return recordedMs;
    const later = this.corrections.findIndex((correction) => correction.leafIndex > leafIndex);
    const cap = this.#caps[later] ?? Number.POSITIVE_INFINITY;
    const body = this.#counting.find(
      ({ fromLeaf, head }) => fromLeaf <= leafIndex && leafIndex < head.size,
    );
    return Math.min(body === undefined ? recordedMs : within(body, recordedMs), cap);
  }

  /** The time of a moment that the clock called `recordedMs` when the log had so many leaves. */
  ofMoment(leaves: number, recordedMs: number): number {
    if (this.corrections.length === 0) return recordedMs;
    const body = this.#counting.find(
      ({ fromLeaf, head, fromMs, toMs }) =>
        fromLeaf <= leaves && leaves <= head.size && fromMs < recordedMs && recordedMs <= toMs,
    );
    const later = this.corrections.findIndex((correction) => correction.leafIndex >= leaves);
    const cap = this.#caps[later] ?? Number.POSITIVE_INFINITY;
    return Math.min(body === undefined ? recordedMs : within(body, recordedMs), cap);
  }
}

/**
 * Whether a correction cannot stand beside another: it is for some of the same leaves, but not for
 * the very same stretch, or for the leaf of the other itself, by which times before it are judged.
 */
export function collides(
  { fromLeaf, head: { size } }: ClockCorrectionBody,
  other: LoggedCorrection,
): boolean {
  const { fromLeaf: first, head } = other.body;
  if (fromLeaf <= other.leafIndex && other.leafIndex < size) return true;
  return (fromLeaf !== first || size !== head.size) && fromLeaf < head.size && first < size;
}

function within(
  { fromMs, isMs, notBeforeMs, notAfterMs }: ClockCorrectionBody,
  recordedMs: number,
): number {
  return Math.min(Math.max(recordedMs + isMs - fromMs, notBeforeMs), notAfterMs);
}
