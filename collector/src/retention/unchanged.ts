import type { SetPolicy } from './ruling.ts';

/**
 * The revision of the first policy since which the rules are those of the newest: one that only
 * tells PCs something else changes nothing of what stays. 0: none was set.
 *
 * @param policies All that were set, the oldest first.
 */
export function rulesUnchangedSince(policies: readonly SetPolicy[]): number {
  const newest = textOf(policies.at(-1));
  let since = 0;
  for (const policy of policies.toReversed()) {
    if (textOf(policy) !== newest) break;
    since = policy.revision;
  }
  return since;
}

function textOf(policy: SetPolicy | undefined): string {
  const { revision: _, setAtMs: _when, ...says } = policy ?? { revision: 0, setAtMs: 0, rules: [] };
  return JSON.stringify(says, (_key, value: unknown) =>
    value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value,
  );
}
