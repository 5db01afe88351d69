import type { CollectorAddress, Signed } from '@aliquot/proto';
import { FileError } from '@aliquot/shared/durable/errors';
import type { Random, Timers } from '@aliquot/shared/ports';
import { type AddressBook, sameAddress } from '../identity/addresses.ts';
import { IdentityError } from '../identity/errors.ts';
import { UplinkError } from './errors.ts';
import { moveSoon } from './move.ts';
import type { Session } from './session.ts';

/** What learning addresses in a session needs. */
export interface LearningParts {
  readonly book: AddressBook;
  /** Where the session is. */
  readonly here: CollectorAddress;
  readonly session: Session;
  readonly random: Random;
  readonly timers: Timers;
  /** Nothing waits to be sent. */
  readonly isCaughtUp: () => boolean;
}

/**
 * What the collector hands out is kept, and tried soon: a mistake shows while the old address is
 * still there. Errors: `UPLINK_PROTOCOL` when nobody may hand them out.
 */
export async function learnAddresses(
  addresses: Signed,
  { book, here, session, random, timers, isCaughtUp }: LearningParts,
): Promise<void> {
  const before = book.revision;
  try {
    await kept(book.learn(addresses));
  } catch (error) {
    if (!(error instanceof IdentityError)) throw error;
    throw new UplinkError(
      'UPLINK_PROTOCOL',
      `the collector hands out addresses that nobody may: ${error.message}`,
      { cause: error },
    );
  }
  const [first] = book.candidates();
  if (book.revision === before || first === undefined || sameAddress(first, here)) return;
  moveSoon(session, random, timers, isCaughtUp);
}

/**
 * A disk that cannot take a note must not stop the sending: the problem is named in this process,
 * addresses are handed out again.
 */
export async function kept(note: Promise<unknown>): Promise<void> {
  try {
    await note;
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
  }
}
