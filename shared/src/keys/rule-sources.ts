import { type RuleSources, SUMMARY_MARK_BYTES } from '@aliquot/proto';
import { concat, mapKey, utf8 } from '../crypto/bytes.ts';
import { type Lineage, pathKeyFor, sourceIdFor } from './derive.ts';
import { pathIdentity } from './path-case.ts';

/**
 * The sources that a rule of retention is for, as it is signed: of each lineage those of its ids
 * that these root folders have. Whoever reads it learns neither the folders nor, of another id,
 * whether it is one of these.
 */
export function ruleSources(
  pathSecret: Uint8Array,
  lineages: readonly Lineage[],
  folders: readonly string[],
): RuleSources {
  const paths = distinct(
    folders.map((folder) => utf8(folder)),
    pathIdentity,
  );
  const rows = distinct(lineages, ({ lineageId }) => lineageId)
    .map((lineage) => {
      const pathKey = pathKeyFor(pathSecret, lineage);
      const ids = paths.map((path) => markOf(sourceIdFor(pathKey, path)));
      return { mark: markOf(lineage.lineageId), ids: ids.sort(Buffer.compare) };
    })
    .sort((a, b) => Buffer.compare(a.mark, b.mark));
  return {
    lineages: concat(...rows.map(({ mark }) => mark)),
    sources: concat(...rows.flatMap(({ ids }) => ids)),
  };
}

function markOf(id: Uint8Array): Uint8Array {
  return id.subarray(0, SUMMARY_MARK_BYTES);
}

function distinct<T>(all: readonly T[], bytesOf: (one: T) => Uint8Array): T[] {
  return [...new Map(all.map((one) => [mapKey(bytesOf(one)), one])).values()];
}
