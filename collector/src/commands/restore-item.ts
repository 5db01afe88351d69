import type { RestoreItem } from '@aliquot/shared/restore/restore-files';
import type { OpenVersion } from './verified.ts';

/** A verified version as the restore takes it; its content keys open only now. */
export function toRestoreItem(version: OpenVersion): RestoreItem {
  return { entry: version.entry, list: version.list, read: version.read() };
}
