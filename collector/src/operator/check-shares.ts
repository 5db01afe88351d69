/** What may be read back of any vault, however little it holds. */
const ALLOWED_BYTES = 2 * 1024 ** 3;
/**
 * And so many times what it holds sealed: more than honest files say together, compressed and
 * stored once as they are.
 */
const TIMES_HELD = 16;

/**
 * How many bytes of each agent's files may be read back whole, in the order of `claims`, the bytes
 * that their files say to have. Sizes are what agents claim, and pages that name the same chunk a
 * thousandfold make petabytes of nothing: so the work is bounded by what the vault holds. Whoever
 * claims less than an even part gets all of it, and what is left is shared by those who claim more
 * (max-min fairness): nobody's claims take anything from others.
 */
export function sharesOf(claims: readonly number[], storedBytes: number): number[] {
  const shares = claims.map(() => 0);
  let left = ALLOWED_BYTES + TIMES_HELD * storedBytes;
  const rising = [...claims.entries()].sort(([, a], [, b]) => a - b);
  for (const [at, [agent, claimed]] of rising.entries()) {
    const share = Math.min(claimed, Math.floor(left / (rising.length - at)));
    shares[agent] = share;
    left -= share;
  }
  // What came since the claims were asked for has its place in what nobody claimed.
  return shares.map((share) => share + Math.floor(left / Math.max(1, shares.length)));
}
