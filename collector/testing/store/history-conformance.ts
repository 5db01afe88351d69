import { seededSource } from '@aliquot/shared/testing/random';
import { describe, expect, test } from 'vitest';
import { StoreError } from '../../src/store/errors.ts';
import {
  compareHistory,
  type HistoryItem,
  type HistoryKind,
  type HistoryLog,
  type HistoryOpening,
  type HistoryPlace,
  type HistoryPoint,
  type HistoryRecord,
  historyStart,
} from '../../src/store/history/history-log.ts';

/** A medium under test, empty at first: a log is opened on it again and again, one at a time. */
export interface HistoryFixture {
  /** Opens the log with files of about `TEST_FILE_BYTES`. */
  open(opening?: HistoryOpening): Promise<HistoryLog>;
  /** One byte of a record's payload rots. No log is open. */
  rot(place: HistoryPlace): Promise<void>;
}

export const TEST_FILE_BYTES = 4096;

const random = seededSource('history');
const kinds: readonly HistoryKind[] = ['uploads', 'commit', 'event'];

function rows(count: number, length = 300): HistoryRecord[] {
  return Array.from({ length: count }, (_, at) => ({
    kind: kinds[at % kinds.length] ?? 'event',
    payload: Buffer.from(random.bytes(length)),
  }));
}

async function codeOf(run: Promise<unknown>): Promise<string | undefined> {
  try {
    await run;
    return undefined;
  } catch (error) {
    if (error instanceof StoreError) return error.code;
    throw error;
  }
}

async function replayed(log: HistoryLog, from: HistoryPoint = historyStart) {
  const items: HistoryItem[] = [];
  for await (const item of log.replay(from)) items.push(item);
  return items;
}

const contentOf = (all: readonly HistoryRecord[]) =>
  all.map(({ kind, payload }) => `${kind} ${Buffer.from(payload).toString('hex')}`);

/** What every history must do. A new one's test file is its fixture and one call of this. */
export function historyLogConformance(title: string, fixture: () => HistoryFixture): void {
  describe(`history log: ${title}`, () => {
    const begin = async () => {
      const medium = fixture();
      return { medium, log: await medium.open() };
    };

    test('what is appended is read at its place and replayed in order, over several files', async () => {
      const { medium, log } = await begin();
      const all = rows(40);
      const places: HistoryPlace[] = [];
      for (const row of all) places.push(...(await log.append([row])).places);
      await log.sync();
      const check = async (open: HistoryLog) => {
        for (const [at, row] of all.entries())
          expect(contentOf([await open.read(places[at] as HistoryPlace)])).toEqual(
            contentOf([row]),
          );
        const items = await replayed(open);
        expect(contentOf(items)).toEqual(contentOf(all));
        expect(items.map(({ place }) => place)).toEqual(places);
        expect(items.at(-1)?.end).toEqual(open.end);
      };
      expect(places.at(-1)?.file).toBeGreaterThan(places[0]?.file ?? 0);
      expect(places.toSorted(compareHistory)).toEqual(places);
      await check(log);
      const { end, bytes } = log;
      expect(bytes).toBeGreaterThan(40 * 300);
      await log.close();
      for (const opening of [{}, { durable: end }, { durable: end, discard: true }]) {
        const again = await medium.open(opening);
        expect([again.end, again.synced, again.bytes]).toEqual([end, end, bytes]);
        await check(again);
        await again.close();
      }
    });

    test('a batch stands where it was told that it would, in one file', async () => {
      const { log } = await begin();
      for (let round = 0; round < 12; round += 1) {
        const batch = rows(4, 250 + round);
        const told = await log.placesOf(batch.map(({ payload }) => payload.length));
        expect(await log.placesOf(batch.map(({ payload }) => payload.length))).toEqual(told);
        expect(new Set(told.places.map(({ file }) => file)).size).toBe(1);
        expect(await log.append(batch)).toEqual(told);
        expect(log.end).toEqual(told.end);
        for (const [at, place] of told.places.entries())
          expect(contentOf([await log.read(place)])).toEqual(contentOf(batch.slice(at, at + 1)));
      }
      await log.close();
    });

    test('a replay goes on from the end of any record', async () => {
      const { log } = await begin();
      const all = rows(30);
      for (const row of all) await log.append([row]);
      const items = await replayed(log);
      for (const [at, { end }] of items.entries())
        expect(contentOf(await replayed(log, end))).toEqual(contentOf(all.slice(at + 1)));
      await log.close();
    });

    test('what was synced stays, and an opening that discards drops the rest', async () => {
      const { medium, log } = await begin();
      const kept = rows(20);
      for (const row of kept) await log.append([row]);
      await log.sync();
      expect(log.synced).toEqual(log.end);
      for (const row of rows(3)) await log.append([row]);
      const durable = log.synced;
      expect(compareHistory(durable, log.end)).toBeLessThan(0);
      // A file that became full meanwhile was synced as a whole.
      const before = (await replayed(log)).filter(({ end }) => compareHistory(end, durable) <= 0);
      expect(contentOf(before).slice(0, kept.length)).toEqual(contentOf(kept));
      await log.close();
      const again = await medium.open({ durable, discard: true });
      expect(contentOf(await replayed(again))).toEqual(contentOf(before));
      const more = rows(5);
      await again.append(more);
      await again.sync();
      await again.close();
      const last = await medium.open();
      expect(contentOf(await replayed(last))).toEqual(contentOf([...before, ...more]));
      await last.close();
    });

    test('an end that was durable and is not there stops the opening', async () => {
      const { medium, log } = await begin();
      await log.append(rows(3));
      await log.sync();
      const { end } = log;
      await log.close();
      for (const durable of [
        { file: end.file, offset: end.offset + 1 },
        { file: end.file + 1, offset: 4000 },
      ])
        expect(await codeOf(medium.open({ durable }))).toBe('STORE_CORRUPT');
      const again = await medium.open({ durable: end });
      expect(again.end).toEqual(end);
      await again.close();
    });

    test('a durable record that rotted is marked, and mended by its own bytes alone', async () => {
      for (const at of [0, 5, 19]) {
        const { medium, log } = await begin();
        const written = rows(20);
        for (const row of written) await log.append([row]);
        await log.sync();
        const { end } = log;
        const places = (await replayed(log)).map(({ place }) => place);
        await log.close();
        const bad = places[at] as HistoryPlace;
        await medium.rot(bad);
        const replay = async () => {
          const again = await medium.open({ durable: end });
          try {
            expect(await codeOf(again.read(bad))).toBe('STORE_DAMAGED');
            expect(contentOf([await again.read(places[1] as HistoryPlace)])).toHaveLength(1);
            return (await replayed(again)).map(({ isBroken }) => isBroken === true);
          } finally {
            await again.close();
          }
        };
        expect(await replay()).toEqual(places.map((_, place) => place === at));
        const mending = await medium.open({ durable: end });
        const [sound, other] = [written[at], written[(at + 1) % 20]];
        if (sound === undefined || other === undefined) throw new Error('no row');
        expect(await mending.mend(bad, other)).toBe(false);
        expect(await mending.mend(bad, sound)).toBe(true);
        expect(contentOf([await mending.read(bad)])).toEqual(contentOf([sound]));
        expect((await replayed(mending)).every(({ isBroken }) => isBroken !== true)).toBe(true);
        await mending.close();
      }
    });

    test('a place where no such record stands gives nothing', async () => {
      const { log } = await begin();
      const { places } = await log.append(rows(4));
      const one = places[1] as HistoryPlace;
      for (const wrong of [
        { ...one, offset: one.offset + 1 },
        { ...one, offset: 0xffff_fff0 },
        { ...one, length: one.length - 1 },
        { ...one, length: 0xffff_ffff },
        { ...one, file: one.file + 7 },
      ])
        expect(await codeOf(log.read(wrong))).toBe('STORE_DAMAGED');
      await log.close();
    });

    test('syncs, reads and a replay may overlap with what is appended', async () => {
      const { log } = await begin();
      const all = rows(60);
      await log.append(all.slice(0, 10));
      const replay = replayed(log);
      const under: Promise<unknown>[] = [];
      for (const row of all.slice(10)) {
        const { places } = await log.append([row]);
        under.push(log.sync(), log.read(places[0] as HistoryPlace));
      }
      await Promise.all(under);
      expect(log.synced).toEqual(log.end);
      const seen = contentOf(await replay);
      expect(seen.length).toBeGreaterThanOrEqual(10);
      expect(seen).toEqual(contentOf(all.slice(0, seen.length)));
      expect(contentOf(await replayed(log))).toEqual(contentOf(all));
      await log.close();
    });

    test('a record larger than a file gets one of its own', async () => {
      const { medium, log } = await begin();
      const all = [...rows(1), ...rows(1, 3 * TEST_FILE_BYTES), ...rows(1)];
      for (const row of all) await log.append([row]);
      await log.sync();
      await log.close();
      const again = await medium.open();
      expect(contentOf(await replayed(again))).toEqual(contentOf(all));
      await again.close();
    });

    test('a file that is ended takes nothing more, also where it was written before the opening', async () => {
      const { medium, log } = await begin();
      await log.endFile();
      const all = rows(4);
      const places = [...(await log.append(all.slice(0, 1))).places];
      await log.endFile();
      await log.endFile();
      const ended = log.end;
      places.push(...(await log.append(all.slice(1, 2))).places);
      expect(places[1]?.file).toBe(ended.file);
      await log.sync();
      await log.close();
      const again = await medium.open();
      await again.endFile();
      await again.close();
      const third = await medium.open();
      places.push(...(await third.append(all.slice(2))).places);
      await third.sync();
      expect(places.map(({ file }) => file)).toEqual([1, 2, 3, 3]);
      expect(contentOf(await replayed(third))).toEqual(contentOf(all));
      expect((await replayed(third, ended)).length).toBe(3);
      expect(await third.shortFiles()).toEqual([]);
      await third.close();
    });

    test('a closed log says so', async () => {
      const { log } = await begin();
      const { places } = await log.append(rows(1));
      await log.close();
      expect(await codeOf(log.append(rows(1)))).toBe('STORE_CLOSED');
      expect(await codeOf(log.placesOf([1]))).toBe('STORE_CLOSED');
      expect(await codeOf(log.sync())).toBe('STORE_CLOSED');
      expect(await codeOf(log.read(places[0] as HistoryPlace))).toBe('STORE_CLOSED');
      expect(await codeOf(replayed(log))).toBe('STORE_CLOSED');
    });
  });
}
