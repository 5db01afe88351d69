/**
 * Mutations of bytes and text for fuzzing. Where they strike is the random source's choice, so a
 * printed seed repeats them.
 */

/** What a mutation asks of a random source: a whole number from 0 to `limit` - 1. */
export interface Below {
  below(limit: number): number;
}

/** Values at which lengths, counts and signs go wrong. */
const edges: readonly bigint[] = [
  ...[
    0n,
    1n,
    2n,
    3n,
    15n,
    16n,
    31n,
    32n,
    33n,
    63n,
    64n,
    127n,
    128n,
    255n,
    256n,
    1023n,
    1024n,
    4095n,
    4096n,
    4097n,
    65_535n,
    65_536n,
  ],
  ...[
    2n ** 24n,
    2n ** 31n - 1n,
    2n ** 31n,
    2n ** 32n - 1n,
    2n ** 32n,
    2n ** 53n - 1n,
    2n ** 53n,
    2n ** 63n - 1n,
    2n ** 63n,
    2n ** 64n - 1n,
  ],
];
/** Inputs grow by repeating; above this they are cut. */
const MAX_BYTES = 1 << 20;

/** A copy with one to four changes. `others` lend parts. */
export function mutated(
  bytes: Uint8Array,
  random: Below,
  others: readonly Uint8Array[],
): Uint8Array {
  let current = bytes;
  for (let rounds = 1 + random.below(4); rounds > 0; rounds -= 1)
    current = once(current, random, others);
  return current.length > MAX_BYTES ? current.slice(0, MAX_BYTES) : new Uint8Array(current);
}

function once(bytes: Uint8Array, random: Below, others: readonly Uint8Array[]): Uint8Array {
  const at = random.below(bytes.length + 1);
  const end = at + random.below(Math.min(64, bytes.length - at) + 1);
  const join = (...parts: Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));
  const other = others[random.below(Math.max(1, others.length))] ?? bytes;
  switch (random.below(10)) {
    case 0: {
      const copy = bytes.slice();
      if (at < copy.length) copy[at] = (copy[at] ?? 0) ^ (1 << random.below(8));
      return copy;
    }
    case 1: {
      const copy = bytes.slice();
      if (at < copy.length) copy[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)] ?? 0;
      return copy;
    }
    case 2:
      return join(bytes.subarray(0, at), bytes.subarray(end));
    case 3:
      return bytes.slice(0, at);
    case 4:
      return join(bytes.subarray(0, end), bytes.subarray(at));
    case 5: {
      // A part again and again: large counts of small things.
      const part = bytes.subarray(at, end);
      const times =
        1 +
        random.below(
          part.length === 0
            ? 1
            : Math.min(4096, Math.ceil((MAX_BYTES - bytes.length) / 4 / part.length) + 1),
        );
      return join(
        bytes.subarray(0, at),
        ...Array.from({ length: times }, () => part),
        bytes.subarray(at),
      );
    }
    case 6:
      return overwritten(bytes, at, edge(random));
    case 7:
      return join(bytes.subarray(0, at), edge(random), bytes.subarray(at));
    case 8: {
      const from = random.below(other.length + 1);
      return join(
        bytes.subarray(0, at),
        other.subarray(from, from + 1 + random.below(200)),
        bytes.subarray(end),
      );
    }
    default:
      return join(bytes.subarray(0, at), other.subarray(random.below(other.length + 1)));
  }
}

/** A number at an edge, in one of the forms that our formats write numbers in. */
function edge(random: Below): Uint8Array {
  const value = edges[random.below(edges.length)] ?? 0n;
  const bytes = Buffer.alloc(8);
  switch (random.below(4)) {
    case 0:
      bytes.writeUInt16BE(Number(value & 0xffffn));
      return new Uint8Array(bytes.subarray(0, 2));
    case 1:
      bytes.writeUInt32BE(Number(value & 0xffff_ffffn));
      return new Uint8Array(bytes.subarray(0, 4));
    case 2:
      bytes.writeBigUInt64BE(value);
      return new Uint8Array(bytes);
    default: {
      const varint: number[] = [];
      let rest = value;
      for (; rest > 127n; rest >>= 7n) varint.push(Number(rest & 127n) | 128);
      return Uint8Array.from([...varint, Number(rest)]);
    }
  }
}

function overwritten(bytes: Uint8Array, at: number, part: Uint8Array): Uint8Array {
  const copy = bytes.slice();
  copy.set(part.subarray(0, Math.max(0, copy.length - at)), at);
  return copy;
}
