import { QueueError } from './errors.ts';

/*
 * The numbers of a result's members, rising, in few bytes: files that were captured in a row have
 * numbers in a row. For each run a number 2 × (how many numbers it lies behind the one before),
 * plus 1 when it is longer than one, and then how many more it has. Each number is a varint.
 */

/** What the members of one result may take: some 100,000 that were all captured one by one. */
export const MOST_MEMBER_BYTES = 384 * 1024;

/** Numbers in a row, the first and the last of them. */
export interface MemberRun {
  readonly from: number;
  readonly to: number;
}

/** The runs of these numbers, in any order; undefined when they take more than may be. */
export function encodeMembers(numbers: Float64Array): Uint8Array | undefined {
  const sorted = numbers.slice().sort();
  const bytes: number[] = [];
  const put = (value: number): void => {
    for (let left = value; ; left = Math.floor(left / 128)) {
      if (left < 128) {
        bytes.push(left);
        return;
      }
      bytes.push((left % 128) + 128);
    }
  };
  let before = -1;
  for (let at = 0; at < sorted.length; ) {
    const from = sorted[at] as number;
    let to = from;
    for (at += 1; sorted[at] === to + 1; at += 1) to += 1;
    put(2 * (from - before - 1) + (to > from ? 1 : 0));
    if (to > from) put(to - from - 1);
    before = to;
    if (bytes.length > MOST_MEMBER_BYTES) return undefined;
  }
  return Uint8Array.from(bytes);
}

/** @throws QueueError `QUEUE_DAMAGED` for bytes that are no runs. */
export function* memberRuns(bytes: Uint8Array): Generator<MemberRun, void, void> {
  let at = 0;
  const number = (): number => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = bytes[at];
      at += 1;
      if (byte === undefined || factor > 2 ** 49) throw noRuns();
      value += (byte % 128) * factor;
      if (byte < 128) return value;
    }
  };
  let before = -1;
  while (at < bytes.length) {
    const head = number();
    const from = before + 1 + Math.floor(head / 2);
    const to = head % 2 === 1 ? from + 1 + number() : from;
    if (!Number.isSafeInteger(to)) throw noRuns();
    yield { from, to };
    before = to;
  }
}

function noRuns(): QueueError {
  return new QueueError('QUEUE_DAMAGED', 'the members of a result are no runs of numbers');
}
