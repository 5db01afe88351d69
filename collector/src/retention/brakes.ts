/*
 * What a run may do by itself, and where it waits for a person. Weaker policies and new locks have
 * their own brakes, in `ruling.ts`.
 */

/** So long after it was ordered nobody approves a purge: time to find a mistake. */
export const PURGE_DELAY_MS = 86_400_000;

/** What a run would let go, and what others let go in the days before it. */
export interface RunSize {
  /** Bytes of all versions that have not expired. */
  readonly vaultBytes: bigint;
  readonly expiringBytes: bigint;
  /** Of these days, for the whole vault. */
  readonly lately: Lately<bigint>;
  readonly agents: readonly AgentShare[];
}

/** What a run would let go of one PC. */
export interface AgentShare {
  readonly agent: string;
  /** All that have not expired. */
  readonly versions: number;
  readonly expiring: number;
  readonly lately: Lately<number>;
}

/** Of the last `BRAKE_DAYS` days: what runs expired that no person approved, and what came. */
export interface Lately<Amount> {
  readonly expired: Amount;
  readonly arrived: Amount;
}

/** What a person has let pass: so much more than the brakes allow. */
export interface Passed {
  readonly bytes: bigint;
  readonly versions: ReadonlyMap<string, number>;
}

/**
 * Why a run waits for a person. `-in-days`: together with what others of the last days let go, it
 * is too much, and more than what came in them.
 */
export type Brake =
  | { readonly kind: 'bytes' | 'bytes-in-days'; readonly of: bigint; readonly expiring: bigint }
  | {
      readonly kind: 'versions' | 'versions-in-days';
      readonly agent: string;
      readonly of: number;
      readonly expiring: number;
    };

/** For so many days runs are counted together. */
export const BRAKE_DAYS = 7;
const MOST_BYTES_PERCENT = 5n;
const MOST_VERSIONS_PERCENT = 10;
/** Of a PC with few versions, so many may go at once whatever share they are. */
const FEW_VERSIONS = 100;

const nothing: Passed = { bytes: 0n, versions: new Map() };

/**
 * Every brake that holds a run; none: it may go on. Each is strict: exactly 5 % of the bytes pass.
 * What a person has let pass does not count.
 *
 * A vault in which as much goes as comes is no cause to call anybody: so runs of several days are
 * held together only by what they let go beyond that.
 */
export function brakesFor(
  { vaultBytes, expiringBytes, lately, agents }: RunSize,
  passed: Passed = nothing,
): readonly Brake[] {
  const brakes: Brake[] = [];
  const bytes = expiringBytes - passed.bytes;
  const inDays = bytes + lately.expired;
  const hadBytes = vaultBytes + lately.expired;
  if (bytes * 100n > vaultBytes * MOST_BYTES_PERCENT)
    brakes.push({ kind: 'bytes', of: vaultBytes, expiring: expiringBytes });
  else if (bytes > 0n && inDays > lately.arrived && inDays * 100n > hadBytes * MOST_BYTES_PERCENT)
    brakes.push({ kind: 'bytes-in-days', of: hadBytes, expiring: inDays });
  for (const share of agents)
    brakes.push(...agentBrakes(share, passed.versions.get(share.agent) ?? 0));
  return brakes;
}

function agentBrakes(
  { agent, versions, expiring, lately }: AgentShare,
  passed: number,
): readonly Brake[] {
  const beyond = expiring - passed;
  const inDays = beyond + lately.expired;
  const had = versions + lately.expired;
  if (isTooMany(beyond, versions)) return [{ kind: 'versions', agent, of: versions, expiring }];
  if (beyond > 0 && inDays > lately.arrived && isTooMany(inDays, had))
    return [{ kind: 'versions-in-days', agent, of: had, expiring: inDays }];
  return [];
}

function isTooMany(going: number, of: number): boolean {
  return going > FEW_VERSIONS && going * 100 > of * MOST_VERSIONS_PERCENT;
}
