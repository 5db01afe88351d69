import { type RuleSources, SUMMARY_MARK_BYTES } from '@aliquot/proto';

/**
 * Whether a rule is for a source; undefined: it does not know the source's lineage, which the vault
 * had not yet when the policy was set, so nobody can tell.
 */
export function isAmong(
  { lineages, sources }: RuleSources,
  lineageId: Uint8Array,
  sourceId: Uint8Array,
): boolean | undefined {
  const at = placeOf(lineages, lineageId);
  if (at === undefined) return undefined;
  const bytes = (sources.length / lineages.length) * SUMMARY_MARK_BYTES;
  return placeOf(sources.subarray(at * bytes, (at + 1) * bytes), sourceId) !== undefined;
}

/** Where the mark of an id, its first bytes, stands among rising ones. */
function placeOf(marks: Uint8Array, id: Uint8Array): number | undefined {
  const mark = id.subarray(0, SUMMARY_MARK_BYTES);
  let [low, high] = [0, marks.length / SUMMARY_MARK_BYTES - 1];
  while (low <= high) {
    const middle = (low + high) >>> 1;
    const from = middle * SUMMARY_MARK_BYTES;
    const order = Buffer.compare(marks.subarray(from, from + SUMMARY_MARK_BYTES), mark);
    if (order === 0) return middle;
    if (order < 0) low = middle + 1;
    else high = middle - 1;
  }
  return undefined;
}
