import { expect, it } from 'vitest';
import { standingOf, stillHolds } from './one-set.ts';
import { isWorthAnEpoch, mayAnnounce, mayDrop, nextSweepEpoch } from './progress.ts';
import { isDead, isSettled, mayRemovePack } from './removal.ts';
import { compareLeaving, fateOf, isRoot, sweepRefusal } from './sweeping.ts';

it('I-C8 a set answers for what its lineage has, sound, and proved since something was lost', () => {
  expect(standingOf(undefined, true, false)).toBeUndefined();
  expect(standingOf('referenced', false, false)).toBeUndefined();
  expect(standingOf('referenced', true, false)).toBe('referenced');
  expect(standingOf('referenced', true, true)).toBe('uploaded');
  expect(standingOf('uploaded', true, true)).toBe('uploaded');
});

it('I-C9 a walk holds until something leaves the set, or the vault is opened again', () => {
  const opening = {};
  expect(stillHolds({ opening, shrunk: 3 }, { opening, shrunk: 3 })).toBe(true);
  expect(stillHolds({ opening, shrunk: 3 }, { opening, shrunk: 4 })).toBe(false);
  expect(stillHolds({ opening, shrunk: 3 }, { opening: {}, shrunk: 3 })).toBe(false);
});

it('nothing is dropped, and no epoch announced, between an announcement and the end of its sweep', () => {
  const under = { announced: 7, swept: 5, hasDropped: true };
  expect([mayDrop(under), mayAnnounce(under)]).toEqual([false, false]);
  const done = { announced: 7, swept: 7, hasDropped: true };
  expect([mayDrop(done), mayAnnounce(done)]).toEqual([true, true]);
  expect(mayAnnounce({ ...done, hasDropped: false })).toBe(false);
  expect(mayDrop({ announced: 0, swept: 0, hasDropped: false })).toBe(true);
});

it('an epoch is worth it from a twentieth of the bytes on, or 16 GiB, or when somebody asks', () => {
  const worth = (droppedBytes: bigint, keptBytes: bigint, isAsked = false): boolean =>
    isWorthAnEpoch({ droppedBytes, keptBytes, isAsked });
  expect([worth(5n, 95n), worth(5n, 96n), worth(5n, 96n, true)]).toEqual([true, false, true]);
  expect([worth(2n ** 34n, 2n ** 50n), worth(2n ** 34n - 1n, 2n ** 50n)]).toEqual([true, false]);
  expect([worth(0n, 0n), worth(0n, 0n, true)]).toEqual([false, true]);
});

it('the next epoch is above the newest, and no number is given twice while the clock goes on', () => {
  expect(nextSweepEpoch(3, 1000.5)).toBe(1000);
  expect(nextSweepEpoch(2000, 1000)).toBe(3001);
  expect(nextSweepEpoch(2000, 1001)).toBe(3002);
});

it('I-C11 a sweep goes on only while all have answered, and everything that came was walked', () => {
  const opening = {};
  const mark = { opening, logEpoch: 1, walked: 9 };
  const now = { opening, logEpoch: 1, came: 9, isAnnounced: true, waits: 0 };
  expect(sweepRefusal(mark, now)).toBeUndefined();
  expect(sweepRefusal(mark, { ...now, isAnnounced: false })).toBe('not-announced');
  expect(sweepRefusal(mark, { ...now, waits: 1 })).toBe('waits');
  expect(sweepRefusal(mark, { ...now, came: 10 })).toBe('unwalked');
  expect(sweepRefusal(mark, { ...now, logEpoch: 2 })).toBe('reopened');
  expect(sweepRefusal(mark, { ...now, opening: {} })).toBe('reopened');
});

it('what nothing reaches leaves, pages from the deepest on, and what is expired still reaches', () => {
  expect((['kept', 'expired', 'dropped'] as const).map(isRoot)).toEqual([true, true, false]);
  const items = [undefined, 0, 2, undefined, 1].map((depth) => ({ depth, isReached: false }));
  const fates = (depth: number | undefined, isTouched: boolean) => [
    fateOf({ depth, isReached: true }, isTouched),
    fateOf({ depth, isReached: false }, isTouched),
  ];
  expect(fates(undefined, false)).toEqual(['stays', 'leaves']);
  expect(fates(undefined, true)).toEqual(['stays', 'stays']);
  expect(fates(1, false)).toEqual(['stays', 'leaves']);
  expect(fates(1, true)).toEqual(['stays', 'unwalked']);
  const order = items.toSorted(compareLeaving).map(({ depth }) => depth);
  expect(order).toEqual([2, 1, 0, undefined, undefined]);
});

it('bytes go when nobody has them, and a pack when the catalog without it is on the disk', () => {
  expect(isDead({ owners: 0, isPending: false })).toBe(true);
  expect(isDead({ owners: 1, isPending: false })).toBe(false);
  expect(isDead({ owners: 0, isPending: true })).toBe(false);
  const pack = { places: 0, isWritten: true, readers: 0 };
  expect(mayRemovePack(pack)).toBe(true);
  expect(mayRemovePack({ ...pack, places: 1 })).toBe(false);
  expect(mayRemovePack({ ...pack, isWritten: false })).toBe(false);
  expect(mayRemovePack({ ...pack, readers: 1 })).toBe(false);
  expect([isSettled(5, 5), isSettled(6, 5)]).toEqual([true, false]);
});
