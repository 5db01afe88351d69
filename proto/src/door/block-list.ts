/**
 * FORMAT.md, "VersionBlock", "List segment": what of a block's rows opens with its list key. The
 * plaintext comes from whoever made the block, so it passes a door as anything else does.
 */
import type { ResultEvidence, ResultPart, VersionBlock } from '../block-types.ts';
import {
  MAX_BLOCK_LIST_BYTES,
  MAX_EVIDENCE_BYTES,
  MAX_MODE,
  MAX_PATH_BYTES,
  MAX_UINT32,
} from '../limits.ts';
import type { ListPart, Platform } from '../types.ts';
import { rowKind } from './block-row.ts';
import { ColumnReader, ColumnWriter, MAX_DIFFERENCE } from './columns.ts';

const platforms: readonly (Platform | undefined)[] = [undefined, 'posix', 'windows'];
const parts: readonly (ResultPart | undefined)[] = ['none', 'raw', 'results', 'other'];
const NS_A_SECOND = 1_000_000_000;
const NS = BigInt(NS_A_SECOND);
const NO_BYTES = new Uint8Array(0);
/** Seconds that a signed 64-bit number of nanoseconds reaches to. */
const MAX_SECONDS = 9_223_372_036;

/** What the list segment says of one row. */
export interface ListRow {
  readonly list: ListPart;
  readonly part: ResultPart;
  /** Present exactly in the row of a result, whose path is the result's root. */
  readonly evidence: ResultEvidence | undefined;
}

/** Nanoseconds behind the last whole second, of a time before 1970 too. */
function restOf(time: bigint): number {
  const rest = Number(time % NS);
  return rest < 0 ? rest + NS_A_SECOND : rest;
}

/** Whole seconds, rounded down. */
function secondsOf(time: bigint, rest: number): number {
  const seconds = Number(time / NS);
  return time < 0n && rest > 0 ? seconds - 1 : seconds;
}

const columns = new ColumnWriter();

/**
 * The list segment's plaintext. A view, true until the next call. All rows are of one platform.
 */
export function encodeBlockList(rows: readonly ListRow[]): Uint8Array {
  const out = columns.reset();
  out.u8(platforms.indexOf(rows[0]?.list.platform));
  let before: Uint8Array = NO_BYTES;
  for (let at = 0; at < rows.length; at += 1) {
    const { path } = (rows[at] as ListRow).list;
    const most = Math.min(path.length, before.length);
    let kept = 0;
    while (kept < most && path[kept] === before[kept]) kept += 1;
    out.varint(kept);
    out.varint(path.length - kept);
    out.raw(path.subarray(kept));
    before = path;
  }
  const rests = new Uint32Array(rows.length);
  let last = 0;
  for (let at = 0; at < rows.length; at += 1) {
    const { mtimeNs } = (rows[at] as ListRow).list;
    const rest = restOf(mtimeNs);
    const seconds = secondsOf(mtimeNs, rest);
    rests[at] = rest;
    out.difference(seconds - last);
    last = seconds;
  }
  for (let at = 0; at < rows.length; at += 1) out.u32(rests[at] ?? 0);
  for (let at = 0; at < rows.length; at += 1) {
    const { list } = rows[at] as ListRow;
    out.varint(list.platform === 'posix' ? list.mode : list.attributes);
  }
  for (let at = 0; at < rows.length; at += 1)
    out.varint((rows[at] as ListRow).list.resultPathLength);
  for (let at = 0; at < rows.length; at += 1) out.u8(parts.indexOf((rows[at] as ListRow).part));
  for (let at = 0; at < rows.length; at += 1) {
    const { linkTarget } = (rows[at] as ListRow).list;
    if (linkTarget.length > 0) out.sized(linkTarget);
  }
  for (let at = 0; at < rows.length; at += 1) {
    const { evidence } = rows[at] as ListRow;
    if (evidence !== undefined) writeEvidence(out, evidence);
  }
  return out.view();
}

function writeEvidence(out: ColumnWriter, evidence: ResultEvidence): void {
  const { profile, profileVersion, evidence: line, started, ended } = evidence;
  for (const text of [profile, profileVersion, line, started, ended]) out.sized(Buffer.from(text));
}

/**
 * The names of the rows of a block that are left, in their order. Values of their own: nothing
 * holds the plaintext.
 *
 * @throws FormatError
 */
export function decodeBlockList(block: VersionBlock, plaintext: Uint8Array): ListRow[] {
  const reader = new ColumnReader('List segment', plaintext);
  if (plaintext.length > MAX_BLOCK_LIST_BYTES) throw reader.limit(`has ${plaintext.length} bytes`);
  const rows = block.kinds.length;
  const number = reader.u8();
  const platform = platforms[number];
  if (platform === undefined) throw reader.unknown(`is of platform ${number}`);
  const paths = pathsIn(reader, rows);
  const times = timesIn(reader, rows);
  const modes = numbersIn(reader, rows, platform === 'posix' ? MAX_MODE : MAX_UINT32);
  const lengths = numbersIn(reader, rows, MAX_PATH_BYTES);
  const kinds = Array.from(reader.raw(rows), (byte) => {
    const part = parts[byte];
    if (part === undefined) throw reader.unknown(`has a part ${byte} of a result`);
    return part;
  });
  const targets = paths.map((_, place) => {
    if (rowKind(block, place) !== 'symlink') return NO_BYTES;
    const target = reader.sized(MAX_PATH_BYTES).slice();
    if (target.length === 0) throw reader.malformed('has a link without a target');
    checkName(reader, target);
    return target;
  });
  const evidence = paths.map((_, place) =>
    rowKind(block, place) === 'result' ? evidenceIn(reader) : undefined,
  );
  reader.end();
  return paths.map((path, place) => {
    const mode = modes[place] ?? 0;
    const resultPathLength = lengths[place] ?? 0;
    if (resultPathLength > path.length)
      throw reader.malformed('has a result path longer than its path');
    const list: ListPart = {
      ...{ platform, path, resultPathLength, mtimeNs: times[place] ?? 0n },
      mode: platform === 'posix' ? mode : 0,
      attributes: platform === 'posix' ? 0 : mode,
      linkTarget: targets[place] ?? NO_BYTES,
    };
    return { list, part: kinds[place] ?? 'none', evidence: evidence[place] };
  });
}

function pathsIn(reader: ColumnReader, rows: number): Uint8Array[] {
  const paths: Uint8Array[] = [];
  let before: Uint8Array = NO_BYTES;
  for (let place = 0; place < rows; place += 1) {
    const [kept, added] = [reader.varint(), reader.varint()];
    if (kept > before.length) throw reader.malformed('repeats more of a path than there is');
    if (kept + added > MAX_PATH_BYTES) throw reader.limit(`has a path of ${kept + added} bytes`);
    if (kept + added === 0) throw reader.malformed('has an empty path');
    const fresh = reader.raw(added);
    if (added > 0 && fresh[0] === before[kept])
      throw reader.malformed('writes anew what a path has in common with the one before');
    checkName(reader, fresh);
    const path = new Uint8Array(kept + added);
    path.set(before.subarray(0, kept));
    path.set(fresh, kept);
    paths.push(path);
    before = path;
  }
  return paths;
}

/**
 * No file system has such names; a sender of one hopes that some C code down the line stops reading
 * there.
 */
function checkName(reader: ColumnReader, name: Uint8Array): void {
  if (name.includes(0)) throw reader.malformed('has a path with a zero byte');
}

function timesIn(reader: ColumnReader, rows: number): bigint[] {
  const seconds: number[] = [];
  let last = 0;
  for (let place = 0; place < rows; place += 1) {
    last += reader.difference();
    if (Math.abs(last) > MAX_SECONDS + 1 || Math.abs(last) > MAX_DIFFERENCE)
      throw reader.limit('has a time that does not fit in 64 bits');
    seconds.push(last);
  }
  return seconds.map((second) => {
    const rest = reader.u32();
    if (rest >= NS_A_SECOND) throw reader.malformed('has a second of more than its nanoseconds');
    const time = BigInt(second) * NS + BigInt(rest);
    if (BigInt.asIntN(64, time) !== time)
      throw reader.limit('has a time that does not fit in 64 bits');
    return time;
  });
}

function numbersIn(reader: ColumnReader, rows: number, most: number): number[] {
  return Array.from({ length: rows }, () => {
    const value = reader.varint();
    if (value > most) throw reader.limit(`has a number of ${value}, more than ${most}`);
    return value;
  });
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function evidenceIn(reader: ColumnReader): ResultEvidence {
  const text = (): string => {
    const bytes = reader.sized(MAX_EVIDENCE_BYTES);
    try {
      return utf8.decode(bytes);
    } catch (error) {
      // The decoder throws this for bytes that are no text.
      if (!(error instanceof TypeError)) throw error;
      throw reader.malformed('has evidence that is no Unicode text');
    }
  };
  const [profile, profileVersion, evidence] = [text(), text(), text()];
  return { profile, profileVersion, evidence, started: text(), ended: text() };
}
