/** Plain settings, as a text gave them. */
export type Plain = Readonly<Record<string, unknown>>;

/** Whether a value is a map. */
export function isMap(value: unknown): value is Plain {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * Settings over settings: maps are merged key by key; everything else, lists too, takes the place
 * of what was there. A list that grew by merging could never be made shorter by a group.
 */
export function mergeSettings(layers: readonly Plain[]): Plain {
  return layers.reduce<Plain>((below, above) => mergeTwo(below, above), {});
}

function mergeTwo(below: Plain, above: Plain): Plain {
  const merged: Record<string, unknown> = { ...below };
  for (const [key, value] of Object.entries(above)) {
    const under = merged[key];
    merged[key] = isMap(under) && isMap(value) ? mergeTwo(under, value) : value;
  }
  return merged;
}
