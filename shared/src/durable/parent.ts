import { dirname } from 'node:path';
import type { RawPath } from './file-port.ts';

const onWindows = process.platform === 'win32';

/** The folder that a path's last name is in. */
export function parentOf(path: Buffer): Buffer;
export function parentOf(path: RawPath): RawPath;
export function parentOf(path: RawPath): RawPath {
  if (typeof path === 'string') return dirname(path);
  const slash = Math.max(path.lastIndexOf(0x2f), onWindows ? path.lastIndexOf(0x5c) : -1);
  if (slash < 0) return Buffer.from('.');
  const isRoot = slash === 0 || (onWindows && slash === 2 && path[1] === 0x3a);
  return path.subarray(0, isRoot ? slash + 1 : slash);
}
