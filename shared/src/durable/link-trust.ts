import type { FileFacts } from './file-port.ts';

const ROOT = 0;
const STICKY = 0o1000;

/** Whether an owner is this user, or root, who may do anything anyway. */
export function isOurs(owner: number, user: number | undefined): boolean {
  return owner === ROOT || owner === user;
}

/**
 * Whether others than the owner may change what is in a folder. A group says something to root
 * only: an ordinary user's folders often belong to a group of his own.
 */
export function othersMayWrite(
  { mode, group }: Pick<FileFacts, 'mode' | 'group'>,
  user: number | undefined,
): boolean {
  // Nobody takes away what is another's there, nor gives it another name.
  if ((mode & STICKY) !== 0) return false;
  return (mode & 0o002) !== 0 || ((mode & 0o020) !== 0 && user === ROOT && group !== ROOT);
}

/** Whether somebody else may take names out of a folder, or put others in. */
export function othersMayChange(folder: FileFacts, user: number | undefined): boolean {
  return !isOurs(folder.owner, user) || othersMayWrite(folder, user);
}
