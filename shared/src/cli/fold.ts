/**
 * Text in lines of at most `width` characters, broken between words only: a word that is longer stands on a line of its own. `first`
 * and `indent` begin the first and the other lines.
 */
export function foldWords(text: string, width: number, indent = '', first = ''): string {
  const lines: string[] = [];
  let line = first;
  let empty = true;
  for (const word of text.split(' ')) {
    if (!empty && line.length + 1 + word.length > width) {
      lines.push(line);
      [line, empty] = [indent, true];
    }
    line += empty ? word : ` ${word}`;
    empty = false;
  }
  return [...lines, line].join('\n');
}
