import { Lexer, LineCounter, Parser, parseDocument, YAMLMap } from 'yaml';
import { isUtf16, UTF16_TEXT } from '../cli/utf16.ts';

/** A place in a file of settings; line and column are counted from 1. */
export interface TextPlace {
  readonly line: number;
  /** Absent where only the line is known. */
  readonly column?: number;
}

/** One mistake in a file of settings. */
export interface Mistake extends TextPlace {
  readonly message: string;
  /** A key that this release does not know: perhaps a newer one does. */
  readonly unknown?: true;
}

/** The file as plain values, with the way back from a value to its place. */
export interface SettingsText {
  readonly value: unknown;
  placeOf(path: readonly PropertyKey[]): TextPlace;
  /** The place of a key, for keys that should not be there. */
  placeOfKey(path: readonly PropertyKey[], key: string): TextPlace;
}

/** What is said of `"C:\Data"`, and of `"C:\temp"`, which is a path with a tab in it. */
export const BACKSLASH_HINT =
  'in double quotes a backslash begins an escape; write the path without quotes, or in single ones, as C:\\Data';

/** Settings nest six deep; each level is up to two entries of the parser's stack. */
const MAX_DEPTH = 100;

const tooDeep: Mistake = { line: 1, message: 'is nested too deeply to be read' };

/** Step one of reading a configuration: text to plain values, or every mistake of syntax. Pure. */
export function parseSettingsText(
  text: string,
): SettingsText | { readonly mistakes: readonly Mistake[] } {
  if (isUtf16(text)) return { mistakes: [{ line: 1, message: `is written in ${UTF16_TEXT}` }] };
  // Read as if it were UTF-8, other encodings leave these. A path with such a character in it would
  // be of a folder that is not there.
  const foreign = text.search(/[\ufffd\0]/);
  if (foreign >= 0) {
    const line = text.slice(0, foreign).split('\n').length;
    return {
      mistakes: [
        {
          line,
          message: 'holds a character that is not UTF-8; save the file as UTF-8 (not as ANSI)',
        },
      ],
    };
  }
  if (isDeeperThan(text, MAX_DEPTH)) return { mistakes: [tooDeep] };
  const lines = new LineCounter();
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    uniqueKeys: true,
    logLevel: 'error',
  });
  const placeAt = (offset: number): TextPlace => {
    const { line, col } = lines.linePos(offset);
    return { line: line || 1, column: col || 1 };
  };
  if (document.errors.length > 0) {
    return {
      mistakes: document.errors.map(({ pos, code, message }) => ({
        ...placeAt(pos[0]),
        message: spoken(code, message),
      })),
    };
  }
  const nodeAt = (path: readonly PropertyKey[]): unknown =>
    path.length === 0 ? document.contents : document.getIn(path, true);
  const placeOf = (path: readonly PropertyKey[]): TextPlace => {
    // What is missing has no place: then that of what it is missing from.
    for (let length = path.length; length >= 0; length -= 1) {
      const node = nodeAt(path.slice(0, length));
      if (hasRange(node)) return placeAt(node.range[0]);
    }
    return { line: 1 };
  };
  let value: unknown;
  try {
    value = document.toJS();
  } catch (error) {
    // An alias of nothing, or aliases that would grow without end: the library finds both only
    // here, and says them without a place.
    if (!(error instanceof ReferenceError)) throw error;
    return { mistakes: [{ ...placeOf([]), message: error.message }] };
  }
  return {
    value,
    placeOf,
    placeOfKey(path, key) {
      const map = nodeAt(path);
      if (map instanceof YAMLMap) {
        for (const { key: name } of map.items)
          if (hasRange(name) && 'value' in name && name.value === key)
            return placeAt(name.range[0]);
      }
      return placeOf(path);
    },
  };
}

/** The library's parser keeps a stack of its own; what builds values from it recurses. */
function isDeeperThan(text: string, depth: number): boolean {
  const parser = new Parser();
  for (const token of new Lexer().lex(text)) {
    Array.from(parser.next(token));
    if (parser.stack.length > depth) return true;
  }
  return false;
}

/** The library's words, and for `"C:\Data"` the reason, which is hard to find. */
function spoken(code: string, message: string): string {
  const [first = message] = message.split('\n');
  return code === 'BAD_DQ_ESCAPE' ? `${first}: ${BACKSLASH_HINT}` : first;
}

function hasRange(node: unknown): node is { readonly range: readonly [number, number, number] } {
  return typeof node === 'object' && node !== null && 'range' in node && Array.isArray(node.range);
}
