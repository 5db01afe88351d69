import type { CollectorAddress } from '@aliquot/proto';
import { bySystem } from '../identity/tls.ts';
import { UplinkError } from './errors.ts';

/** How an attempt at one address ended. */
export interface Attempt {
  readonly failure: UplinkError;
  /**
   * Whether a collector of the vault proved itself there, or nobody wants to go on: then no other
   * address is tried.
   */
  readonly final: boolean;
}

/**
 * Tries addresses in their order until a collector of the vault has proved itself at one: old and
 * new ones serve side by side. Where the trust of an address does not hold, the system's may. The
 * answer is why that session ended; when there was none, what may pass counts before what does not,
 * and the first address before the others.
 */
export async function everyAddress(
  addresses: readonly CollectorAddress[],
  attempt: (address: CollectorAddress) => Promise<Attempt>,
): Promise<UplinkError> {
  const failures: UplinkError[] = [];
  for (const address of addresses) {
    const { failure, final } = await attempt(address);
    if (final) return failure;
    failures.push(failure);
    const otherwise = failure.code === 'UPLINK_TLS' ? bySystem(address) : undefined;
    if (otherwise === undefined) continue;
    const second = await attempt(otherwise);
    if (second.final) return second.failure;
  }
  const told = failures.find(({ retryable }) => retryable) ?? failures[0];
  if (told === undefined)
    return new UplinkError(
      'UPLINK_OFFLINE',
      'no address of the collector is known; enrol this PC again',
    );
  // What to do depends on which address failed, so each is named: once, for one address may be
  // known twice, with the old trust and the new.
  const others = new Set(failures.map(({ message }) => message));
  others.delete(told.message);
  if (others.size === 0) return told;
  return new UplinkError(told.code, `${told.message}; also tried: ${[...others].join('; ')}`, {
    cause: told.cause,
  });
}
