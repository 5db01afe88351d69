import { isUtf8 } from 'node:buffer';
import { isUtf16, UTF16_TEXT } from '@aliquot/shared/cli/utf16';

/** What an agent may be called, and an operator: it is a file name and a command's argument. */
export const AGENT_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
/** As the refusal of another says it. */
export const AGENT_NAME_RULE =
  'use 1 to 64 letters, digits, dots, dashes and underscores, starting with a letter or digit';

/** More is no list that anybody carries to PCs one by one; a group's bundle is for them. */
const MAX_NAMES = 1000;

/** What is wrong with a list, and where; lines count from 1. */
export interface ListMistake {
  readonly line: number;
  readonly message: string;
}

export interface ListedName {
  readonly line: number;
  readonly name: string;
}

/**
 * Reads a list of agents' names: one on each line; blank lines, and what stands behind a `#`, are
 * skipped. All mistakes are reported at once. Names that differ in case alone are one mistake too:
 * on Windows their bundles would be one file.
 */
export function readNameList(
  bytes: Uint8Array,
): { readonly names: readonly ListedName[] } | { readonly mistakes: readonly ListMistake[] } {
  const text = textOf(bytes);
  if (typeof text !== 'string') return { mistakes: [text] };
  const names: ListedName[] = [];
  const mistakes: ListMistake[] = [];
  const first = new Map<string, ListedName>();
  for (const [at, whole] of text.split(/\r\n|\n|\r/).entries()) {
    const line = at + 1;
    const name = whole.replace(/#.*$/, '').trim();
    if (name === '') continue;
    const before = first.get(name.toLowerCase());
    if (!AGENT_NAME.test(name))
      mistakes.push({ line, message: `"${shown(name)}" is no agent name; ${AGENT_NAME_RULE}` });
    else if (before !== undefined) mistakes.push({ line, message: twice(name, before) });
    else first.set(name.toLowerCase(), { line, name });
    names.push({ line, name });
  }
  if (mistakes.length > 0) return { mistakes };
  if (names.length === 0)
    return { mistakes: [{ line: 1, message: 'no name in it; write one on each line' }] };
  const tooMany = names[MAX_NAMES];
  if (tooMany !== undefined) {
    const way = 'split the list, or make one bundle for all of them with --group';
    return { mistakes: [{ line: tooMany.line, message: `more than ${MAX_NAMES} names; ${way}` }] };
  }
  return { names };
}

function twice(name: string, before: ListedName): string {
  if (before.name === name)
    return `${name} stands in line ${before.line} already; take one of the two away`;
  return `${name} differs from ${before.name} in line ${before.line} by case alone; on Windows both would be one file`;
}

/** The list as text, or why it cannot be one. */
function textOf(bytes: Uint8Array): string | ListMistake {
  if (isUtf16(bytes)) return { line: 1, message: `written in ${UTF16_TEXT}` };
  if (!isUtf8(bytes)) return { line: 1, message: 'not UTF-8; save it as UTF-8' };
  return Buffer.from(bytes)
    .toString('utf8')
    .replace(/^\ufeff/, '');
}

/** What somebody else wrote, on one line of a terminal. */
function shown(text: string): string {
  const printable = text.replace(/\p{C}/gu, '?');
  return printable.length <= 40 ? printable : `${printable.slice(0, 39)}…`;
}
