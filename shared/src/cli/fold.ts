import { widthOf } from './format.ts';

/**
 * Text in lines of at most `width` characters, broken between words only: a word that is longer,
 * such as a path, stays whole on a line of its own. `indent` begins what follows a break, `first`
 * the first line. A line feed in the text stays one, and so do blanks at the beginning of a line.
 */
export function foldWords(text: string, width: number, indent = '', first = ''): string {
  const fold = (line: string, at: number): string => {
    const words = line.trimStart();
    const begin = (at === 0 ? first : '') + line.slice(0, line.length - words.length);
    return foldPieces(words.split(' '), width, indent, begin);
  };
  return text.split('\n').map(fold).join('\n');
}

/**
 * The same for pieces that are whole though they may hold blanks; `mark` ends each line that goes
 * on.
 */
export function foldPieces(
  pieces: readonly string[],
  width: number,
  indent = '',
  first = '',
  mark = '',
): string {
  const lines: string[] = [];
  let line = first;
  let empty = true;
  for (const piece of pieces) {
    if (!empty && widthOf(line) + 1 + widthOf(piece) > width) {
      lines.push(line);
      [line, empty] = [indent, true];
    }
    line += empty ? piece : ` ${piece}`;
    empty = false;
  }
  return [...lines, line].join(`${mark}\n`);
}
