import { resolve } from 'node:path';
import type { Output } from '@aliquot/shared/cli/output';
import { perform } from './open.ts';

/** `queue export FILE`: through the running service, or by opening the folder here. */
export function queueExport(file: string, dataOption: string, output: Output): Promise<void> {
  return perform(dataOption, { op: 'queueExport', file: resolve(file) }, output);
}

/** `queue import RECEIPTS`: as above. */
export function queueImport(file: string, dataOption: string, output: Output): Promise<void> {
  return perform(dataOption, { op: 'queueImport', file: resolve(file) }, output);
}
