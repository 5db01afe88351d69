/**
 * A release's version in its parts; undefined when the text is no version (`isReleaseVersion`).
 * Build names after `+` say nothing.
 */
function partsOf(
  version: string,
): { readonly numbers: readonly number[]; readonly before: readonly string[] } | undefined {
  const match = /^(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z.-]+))?(?:\+.*)?$/.exec(version);
  if (match === null) return undefined;
  return { numbers: match.slice(1, 4).map(Number), before: match[4]?.split('.') ?? [] };
}

/**
 * Below 0 where `a` is the older release, above 0 where it is the newer one, 0 where they are the
 * same or one of them is no version. Precedence as in Semantic Versioning 2.0.0, clause 11.
 */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [partsOf(a), partsOf(b)];
  if (left === undefined || right === undefined) return 0;
  for (const [index, number] of left.numbers.entries()) {
    const difference = number - (right.numbers[index] ?? 0);
    if (difference !== 0) return difference;
  }
  if (left.before.length === 0 || right.before.length === 0)
    return right.before.length - left.before.length;
  for (const [index, one] of left.before.entries()) {
    const other = right.before[index];
    if (other === undefined) return 1;
    if (one === other) continue;
    const [isNumber, otherIsNumber] = [/^\d+$/.test(one), /^\d+$/.test(other)];
    if (isNumber && otherIsNumber) return Number(one) - Number(other);
    if (isNumber !== otherIsNumber) return isNumber ? -1 : 1;
    return one < other ? -1 : 1;
  }
  return left.before.length - right.before.length;
}
