/** How a pattern of names of PCs is written. */
export const NAME_PATTERN = /^[A-Za-z0-9*][A-Za-z0-9._*-]{0,63}$/;

/**
 * Whether a name fits a pattern in which `*` stands for any characters. Each part between two stars
 * is looked for once, at its first place: no pattern takes long.
 */
export function fitsName(pattern: string, name: string): boolean {
  const [first = '', ...rest] = pattern.split('*');
  const last = rest.pop();
  if (last === undefined) return name === pattern;
  if (!name.startsWith(first)) return false;
  let at = first.length;
  for (const part of rest) {
    const found = name.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return name.length - last.length >= at && name.endsWith(last);
}
