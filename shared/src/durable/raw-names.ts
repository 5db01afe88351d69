import { parentOf } from './file-port.ts';

export const SLASH = 0x2f;
const BACKSLASH = 0x5c;
/** The name of the folder above. */
export const UP = Buffer.from('..');

/** The last name of a path; `above` is its folder. */
export function lastName(path: Buffer, above = parentOf(path)): Buffer {
  const last = above.at(-1);
  return path.subarray(last === SLASH || last === BACKSLASH ? above.length : above.length + 1);
}

/** The names of a POSIX path, without those that stay where they are. */
export function namesOf(path: Buffer): Buffer[] {
  const names: Buffer[] = [];
  for (let from = 0; from <= path.length; ) {
    const slash = path.indexOf(SLASH, from);
    const end = slash < 0 ? path.length : slash;
    const name = path.subarray(from, end);
    if (name.length > 0 && !(name.length === 1 && name[0] === 0x2e)) names.push(name);
    from = end + 1;
  }
  return names;
}

/** `\\server\share`, `\\?\C:`, `\\?\UNC\server\share`: what stands before the first folder. */
export function isShare(path: Buffer): boolean {
  return /^\\\\(\?\\UNC\\)?[^\\]+\\[^\\]+\\?$/i.test(path.toString('latin1'));
}
