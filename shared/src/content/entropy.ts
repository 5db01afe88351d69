/** Costs are in 1/1024 bit, and integers: every platform decides alike. */
const ONE_BIT = 1024;
/** The most values that a histogram may hold. */
const MOST_VALUES = 4096;
const FRACTION_BITS = 14;
/**
 * Half a nat: how much too small the entropy of a short sample comes out, for each distinct value
 * but one (Miller and Madow, 1955).
 */
const BIAS = 738;

let table: Float64Array | undefined;

/**
 * `count * log2(count)` for each count, in `ONE_BIT`. Made at the first use, in a few milliseconds.
 */
function weightedLogarithms(): Float64Array {
  const weighted = new Float64Array(MOST_VALUES + 1);
  for (let count = 2; count <= MOST_VALUES; count += 1)
    weighted[count] = Math.floor(count * log2(count) * ONE_BIT);
  return weighted;
}

/**
 * By repeated squaring, which is exact to the last bit everywhere (IEEE 754); `Math.log2` is as
 * each platform's library has it.
 */
function log2(value: number): number {
  let result = 31 - Math.clz32(value);
  let rest = value / 2 ** result;
  for (let bit = 1; bit <= FRACTION_BITS; bit += 1) {
    rest *= rest;
    if (rest < 2) continue;
    rest /= 2;
    result += 2 ** -bit;
  }
  return result;
}

/**
 * What an order-0 coder would need for the `total` values counted in `histogram` (256 counts), in
 * 1/1024 bit.
 */
export function histogramCost(histogram: Uint16Array, total: number): number {
  table ??= weightedLogarithms();
  let cost = table[total] as number;
  let distinct = 0;
  for (let value = 0; value < 256; value += 1) {
    const count = histogram[value] as number;
    if (count === 0) continue;
    cost -= table[count] as number;
    distinct += 1;
  }
  return distinct === 0 ? 0 : cost + (distinct - 1) * BIAS;
}
