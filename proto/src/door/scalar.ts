/**
 * Fields that hold one value: a number, a switch, a choice, a text, bytes, an id.
 *
 * protobufjs decodes bytes as views over the input. What is small is copied here, so that a kept id
 * or hash does not pin a whole frame; only fields made with `view` still lie over the decoded
 * buffer, and their types say so.
 */
import Long from 'long';
import {
  HASH_BYTES,
  ID_BYTES,
  MAX_SUMMARY_BYTES,
  MAX_TIME_MS,
  MAX_UINT32,
  MAX_VERSION_NUMBER,
  SIGNATURE_BYTES,
  SUMMARY_MARK_BYTES,
} from '../limits.ts';
import type {
  AgentId,
  ChainId,
  ChunkId,
  CollectorId,
  CommitHash,
  FileId,
  GroupId,
  HoldId,
  LineageId,
  PurgeId,
  ResultId,
  SourceId,
  VaultId,
} from '../types.ts';
import { checkCount, counted, type Field, refusal } from './field.ts';

/**
 * A whole number from `min` to `max`, of a 32- or 64-bit unsigned wire field. 64 bits arrive as
 * Long and leave as number.
 */
export function uint(min: number, max: number): Field<number> {
  const check = (value: unknown, label: string): number => {
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
      throw refusal('FORMAT_LIMIT', label, 'is no whole number that can be counted exactly');
    }
    if (value > max)
      throw refusal('FORMAT_LIMIT', label, `is ${value}, more than the ${max} allowed`);
    if (value < min) throw refusal('FORMAT_MALFORMED', label, `is ${value}, less than ${min}`);
    return value;
  };
  return {
    read: (wire, label) => check(Long.isLong(wire) ? wire.toNumber() : wire, label),
    write: (value, label) => check(value, label),
  };
}

/** A counter, size or number of bytes: 0 to 2^53 - 1. */
export const counter: Field<number> = uint(0, Number.MAX_SAFE_INTEGER);
/** Milliseconds since 1970. */
export const timeMs: Field<number> = uint(0, MAX_TIME_MS);
/** A 32-bit number. */
export const uint32: Field<number> = uint(0, MAX_UINT32);
/** A 32-bit number from 1: epochs, generations, copies. */
export const positive32: Field<number> = uint(1, MAX_UINT32);
/** A number from 1 to 2^53 - 1: sequences. */
export const positive: Field<number> = uint(1, Number.MAX_SAFE_INTEGER);
/** The number of a chunker, encoder or protocol version. */
export const versionNumber: Field<number> = uint(1, MAX_VERSION_NUMBER);

/** Nanoseconds since 1970, before it too: the whole range of a signed 64-bit number. */
export const nanoseconds: Field<bigint> = {
  read(wire, label) {
    if (!Long.isLong(wire)) throw refusal('FORMAT_MALFORMED', label, 'is no 64-bit number');
    return (BigInt(wire.high) << 32n) | BigInt(wire.low >>> 0);
  },
  write(value, label) {
    if (typeof value !== 'bigint' || BigInt.asIntN(64, value) !== value)
      throw refusal('FORMAT_LIMIT', label, 'does not fit in 64 bits');
    return Long.fromBits(
      Number(BigInt.asIntN(32, value)),
      Number(BigInt.asIntN(32, value >> 32n)),
      false,
    );
  },
};

export const flag: Field<boolean> = {
  read: (wire, label) => {
    if (typeof wire !== 'boolean')
      throw refusal('FORMAT_MALFORMED', label, 'is neither true nor false');
    return wire;
  },
  write: (value, label) => flag.read(value, label),
};

/** An enum. 0 stands for nothing, and a number that is not listed is from a later release. */
export function choice<T extends string>(numbers: Readonly<Record<T, number>>): Field<T> {
  const names = new Map<unknown, T>(
    Object.entries<number>(numbers).map(([name, number]) => [number, name as T]),
  );
  return {
    read(wire, label) {
      const name = names.get(wire);
      if (name !== undefined) return name;
      if (wire === 0 || wire === undefined) throw refusal('FORMAT_MALFORMED', label, 'is missing');
      throw refusal(
        'FORMAT_UNKNOWN_VERSION',
        label,
        `is ${String(wire)}, which this release does not know`,
      );
    },
    write(value, label) {
      const number = Object.hasOwn(numbers, value) ? numbers[value] : undefined;
      if (number === undefined)
        throw refusal(
          'FORMAT_UNKNOWN_VERSION',
          label,
          'has a value that this release does not know',
        );
      return number;
    },
  };
}

/**
 * Text of `min` to `max` characters (code points) that matches `pattern`; lone surrogates are
 * refused.
 */
export function text(min: number, max: number, pattern: RegExp, what: string): Field<string> {
  const check = (value: unknown, label: string): string => {
    if (typeof value !== 'string' || !value.isWellFormed())
      throw refusal('FORMAT_MALFORMED', label, 'is no Unicode text');
    // Code units bound code points from above, so the exact count is only needed in between.
    const length = value.length > max ? [...value.slice(0, 2 * max + 1)].length : value.length;
    if (length > max)
      throw refusal('FORMAT_LIMIT', label, `is longer than the ${max} characters allowed`);
    if (value.length < min) throw refusal('FORMAT_MALFORMED', label, 'is empty');
    if (value !== '' && !pattern.test(value))
      throw refusal('FORMAT_MALFORMED', label, `must be ${what}`);
    return value;
  };
  return { read: check, write: check };
}

/**
 * One line that can be shown without harm: no control characters, line separators, or marks that
 * reorder or hide text. The two joiners stay allowed because names in several scripts need them.
 */
export const LINE: RegExp = /^(?:[^\p{Cc}\p{Cf}\p{Co}\p{Zl}\p{Zp}]|[\u200c\u200d])*$/u;
/** A line that neither begins nor ends with white space. */
export const NAME: RegExp = /^(?!\s)(?:[^\p{Cc}\p{Cf}\p{Co}\p{Zl}\p{Zp}]|[\u200c\u200d])*(?<!\s)$/u;
/** The name of an agent: also a file name, so neither hidden nor an option. */
export const AGENT_NAME: RegExp = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

/** A name of agents, in lower case, in which `*` stands for anything. */
export const NAME_PATTERN: RegExp = /^[a-z0-9*][a-z0-9._*-]*$/;

/** The code of a problem: words of lower-case letters and digits, joined by dashes. */
export const PROBLEM_CODE: RegExp = /^[a-z][a-z0-9]*(?:-[a-z0-9]+)*$/;

/** Indexes in strictly rising order, below `limit`: slots of a commit, ids of a question. */
export function indexes(limit: number): Field<readonly number[]> {
  const check = (value: unknown, label: string): number[] => {
    const numbers = counted(value, label, 0, limit) as number[];
    let previous = -1;
    for (const number of numbers) {
      if (!Number.isInteger(number) || number <= previous)
        throw refusal('FORMAT_MALFORMED', label, 'is not in rising order');
      if (number >= limit)
        throw refusal('FORMAT_LIMIT', label, `names index ${number}, beyond ${limit - 1}`);
      previous = number;
    }
    return numbers;
  };
  return { read: check, write: check };
}

/** A packed list of numbers, each checked by `element`. */
export function numbers(
  element: Field<number>,
  min: number,
  max: number,
): Field<readonly number[]> {
  return {
    read: (wire, label) => counted(wire, label, min, max).map((item) => element.read(item, label)),
    write: (value, label) =>
      counted(value, label, min, max).map((item) => element.write(item as number, label)),
  };
}

function between(value: unknown, label: string, min: number, max: number): Uint8Array {
  if (!(value instanceof Uint8Array)) throw refusal('FORMAT_MALFORMED', label, 'is no byte string');
  if (value.length > max) {
    const code = min === max ? 'FORMAT_MALFORMED' : 'FORMAT_LIMIT';
    throw refusal(code, label, `has ${value.length} bytes, more than the ${max} allowed`);
  }
  if (value.length < min)
    throw refusal(
      'FORMAT_MALFORMED',
      label,
      `has ${value.length} bytes, fewer than the ${min} needed`,
    );
  return value;
}

/** `min` to `max` bytes, copied out of the input. */
export function bytes(min: number, max: number): Field<Uint8Array> {
  return {
    // The constructor copies, and gives a plain Uint8Array even where the input's default value is
    // an empty Buffer.
    read: (wire, label) => new Uint8Array(between(wire, label, min, max)),
    write: (value, label) => between(value, label, min, max),
  };
}

/**
 * `min` to `max` bytes that stay a view over the decoded input: for what is as large as the input
 * itself.
 */
export function view(min: number, max: number): Field<Uint8Array> {
  return {
    read: (wire, label) => {
      const bytes = between(wire, label, min, max);
      // The input's default value is an empty Buffer.
      return bytes.length === 0 ? new Uint8Array(0) : bytes;
    },
    write: (value, label) => between(value, label, min, max),
  };
}

/** Marks of a commit's summary, rising. */
export const marks: Field<Uint8Array> = {
  read: (wire, label) => new Uint8Array(checkedMarks(wire, label)),
  write: checkedMarks,
};

function checkedMarks(value: unknown, label: string): Uint8Array {
  const run = between(value, label, 0, MAX_SUMMARY_BYTES);
  if (run.length % SUMMARY_MARK_BYTES !== 0)
    throw refusal('FORMAT_MALFORMED', label, 'is not a run of whole marks');
  const words = new DataView(run.buffer, run.byteOffset, run.length);
  let [high, low] = [-1, -1];
  for (let at = 0; at < run.length; at += SUMMARY_MARK_BYTES) {
    const [nextHigh, nextLow] = [words.getUint32(at), words.getUint32(at + 4)];
    if (nextHigh < high || (nextHigh === high && nextLow <= low))
      throw refusal('FORMAT_MALFORMED', label, 'is not in rising order');
    [high, low] = [nextHigh, nextLow];
  }
  return run;
}

function fixed<T extends Uint8Array>(length: number): Field<T> {
  return bytes(length, length) as Field<T>;
}

export const vaultId: Field<VaultId> = fixed<VaultId>(ID_BYTES);
export const agentId: Field<AgentId> = fixed<AgentId>(ID_BYTES);
export const lineageId: Field<LineageId> = fixed<LineageId>(ID_BYTES);
export const groupId: Field<GroupId> = fixed<GroupId>(ID_BYTES);
export const holdId: Field<HoldId> = fixed<HoldId>(ID_BYTES);
export const purgeId: Field<PurgeId> = fixed<PurgeId>(ID_BYTES);
export const chainId: Field<ChainId> = fixed<ChainId>(ID_BYTES);
export const collectorId: Field<CollectorId> = fixed<CollectorId>(ID_BYTES);
export const sourceId: Field<SourceId> = fixed<SourceId>(ID_BYTES);
export const fileId: Field<FileId> = fixed<FileId>(ID_BYTES);
export const resultId: Field<ResultId> = fixed<ResultId>(ID_BYTES);
export const chunkId: Field<ChunkId> = fixed<ChunkId>(HASH_BYTES);
export const commitHash: Field<CommitHash> = fixed<CommitHash>(HASH_BYTES);
/** A hash, a public key, a seed or a secret. */
export const hash: Field<Uint8Array> = fixed<Uint8Array>(HASH_BYTES);
export const signature: Field<Uint8Array> = fixed<Uint8Array>(SIGNATURE_BYTES);

/**
 * `min` to `max` values of one size, back to back in one byte string on the wire: no overhead, no
 * object for each before the limit.
 */
function run<T extends Uint8Array>(
  min: number,
  max: number,
  size: number = HASH_BYTES,
): Field<readonly T[]> {
  return {
    read(wire, label) {
      const all = between(wire, label, min * size, max * size);
      if (all.length % size !== 0)
        throw refusal('FORMAT_MALFORMED', label, `is no multiple of ${size} bytes`);
      const parts: T[] = [];
      for (let at = 0; at < all.length; at += size)
        parts.push(all.slice(at, at + size) as unknown as T);
      return parts;
    },
    write(value, label) {
      checkCount(value.length, label, min, max);
      const all = new Uint8Array(value.length * size);
      let at = 0;
      for (const part of value) {
        all.set(between(part, label, size, size), at);
        at += size;
      }
      return all;
    },
  };
}

/** Keys or Merkle nodes, each 32 bytes. */
export const hashes = (min: number, max: number): Field<readonly Uint8Array[]> =>
  run<Uint8Array>(min, max);
/** Ids of files. */
export const fileIds = (min: number, max: number): Field<readonly FileId[]> =>
  run<FileId>(min, max, ID_BYTES);
/** Ids of lineages. */
export const lineageIds = (min: number, max: number): Field<readonly LineageId[]> =>
  run<LineageId>(min, max, ID_BYTES);
/** Ids of chunks and pages. */
export const chunkIds = (min: number, max: number): Field<readonly ChunkId[]> =>
  run<ChunkId>(min, max);
