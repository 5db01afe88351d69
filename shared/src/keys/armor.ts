import { isUtf16, UTF16_TEXT } from '../cli/utf16.ts';
import { concat, utf8 } from '../crypto/bytes.ts';
import { equalBytes, labelled, sha256 } from '../crypto/primitives.ts';

/**
 * Text armour for the files that people carry about: PEM-like (RFC 7468) lines between BEGIN and
 * END, with header lines for people in front, an empty line, base64 at 64 columns, and a checksum
 * line (`=` and 8 base64 characters) at the end.
 *
 * The checksum finds damage and typing mistakes, so that these are not taken for a wrong
 * passphrase; it is no protection against anybody. The header lines are for people only: every
 * value in them stands again, authenticated, in the body, and the reader skips them, because a kit
 * whose header was mangled by a mail program must still open.
 */
export type ArmorType =
  | 'ALIQUOT RECOVERY KIT'
  | 'ALIQUOT ENROLMENT BUNDLE'
  | 'ALIQUOT COLLECTOR ADDRESSES'
  | 'ALIQUOT OPERATOR KEY';

/**
 * What reading armour gave: the bytes, or why there are none. `damaged` includes text that ends too
 * early.
 */
export type Dearmored =
  | { readonly type: 'bytes'; readonly bytes: Uint8Array }
  | { readonly type: 'absent' }
  | { readonly type: 'foreign'; readonly found: string }
  | { readonly type: 'damaged' };

const COLUMNS = 64;
const CHECKSUM_BYTES = 6;
const CHECKSUM_LINE = /^=([A-Za-z0-9+/]{8})$/;
const BASE64_LINE = /^[A-Za-z0-9+/]+={0,2}$/;
/** A kit or bundle has some kilobytes; whatever is a thousand times larger is some other file. */
const MAX_TEXT_CHARACTERS = 4 * 1024 * 1024;

function checksum(type: string, bytes: Uint8Array): Uint8Array {
  return sha256(labelled('aliquot/v1/armor'), concat(utf8(type), new Uint8Array(1)), bytes).slice(
    0,
    CHECKSUM_BYTES,
  );
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}

/**
 * Bytes of canonical base64, else `undefined`: Node's decoder skips what it does not know, and so
 * would hide damage.
 */
function fromBase64(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(Buffer.from(text, 'base64'));
  return base64(bytes) === text ? bytes : undefined;
}

/** Control characters must not make lines of their own. */
function printable(line: string): string {
  return line.replace(/\p{C}/gu, '?');
}

/**
 * The armoured text, ending in a newline. `headers` are lines for people, in order; the last one
 * ends in a full stop, so that even its last word, put on a line of its own by a mail program, is
 * no base64.
 */
export function armor(type: ArmorType, headers: readonly string[], bytes: Uint8Array): string {
  const text = base64(bytes);
  const lines: string[] = [`-----BEGIN ${type}-----`, ...headers.map(printable), ''];
  for (let at = 0; at < text.length; at += COLUMNS) lines.push(text.slice(at, at + COLUMNS));
  lines.push(`=${base64(checksum(type, bytes))}`, `-----END ${type}-----`, '');
  return lines.join('\n');
}

/** Where each kind of file belongs: for a user who gave one where another is wanted. */
const belongsTo: ReadonlyMap<string, string> = new Map<ArmorType, string>([
  ['ALIQUOT RECOVERY KIT', '; a kit is given with --kit'],
  ['ALIQUOT OPERATOR KEY', '; an operator key is given with --by'],
  ['ALIQUOT ENROLMENT BUNDLE', '; a bundle is for `aliquot-agent enroll` on the PC'],
  ['ALIQUOT COLLECTOR ADDRESSES', '; addresses are for `aliquot-agent address set` on the PC'],
]);

/**
 * What is said of a file of another kind: what it holds, what was wanted (`a recovery kit`), and
 * where it belongs, if it is one of ours.
 */
export function foreignFile(found: string, wanted: string): string {
  return `this file holds "${found}", not ${wanted}${belongsTo.get(found) ?? ''}`;
}

/**
 * The first armoured block of `text`. Line ends, indentation and whatever stands around the block
 * do not matter.
 */
export function dearmor(type: ArmorType, text: string): Dearmored {
  if (text.length > MAX_TEXT_CHARACTERS) return { type: 'absent' };
  if (isUtf16(text)) return { type: 'foreign', found: UTF16_TEXT };
  const lines = text.split(/\r\n|\n|\r/).map((line) => line.trim());
  const begin = lines.findIndex((line) => line.startsWith('-----BEGIN ') && line.endsWith('-----'));
  if (begin < 0) return { type: 'absent' };
  const found = (lines[begin] ?? '').slice('-----BEGIN '.length, -'-----'.length);
  if (found !== type) return { type: 'foreign', found: printable(found).slice(0, 64) };
  const end = lines.indexOf(`-----END ${type}-----`, begin);
  if (end < 0) return { type: 'damaged' };
  const inside = lines.slice(begin + 1, end).filter((line) => line !== '');
  const sum = CHECKSUM_LINE.exec(inside.pop() ?? '')?.[1];
  if (sum === undefined) return { type: 'damaged' };
  // Not by the empty line: mail may have doubled or dropped it. A damaged body line cuts the body
  // short: the checksum tells.
  const body = inside.slice(inside.findLastIndex((line) => !BASE64_LINE.test(line)) + 1);
  const bytes = fromBase64(body.join(''));
  const expected = fromBase64(sum);
  if (bytes === undefined || expected === undefined || !equalBytes(expected, checksum(type, bytes)))
    return { type: 'damaged' };
  return { type: 'bytes', bytes };
}
