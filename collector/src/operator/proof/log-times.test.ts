import { asVaultId, type ClockCorrectionBody, encodeEventBody } from '@aliquot/proto';
import { newSigningKey } from '@aliquot/shared/crypto/sign';
import { issueClockCorrection } from '@aliquot/shared/keys/clock-correction';
import { eventLeaf } from '@aliquot/shared/log/leaf';
import { systemRandom } from '@aliquot/shared/ports';
import { describe, expect, it } from 'vitest';
import { timesOf } from './log-times.ts';
import { LogWalk } from './log-walk.ts';

const vaultId = asVaultId(new Uint8Array(16).fill(1));
const authority = newSigningKey(systemRandom);
const stranger = newSigningKey(systemRandom);
const NOW = 1_790_000_000_000;

function corrected(signer = authority, change: Partial<ClockCorrectionBody> = {}): Uint8Array {
  const body: ClockCorrectionBody = {
    ...{ version: 1, vaultId, fromLeaf: 0 },
    head: { logEpoch: 1, size: 1, root: new Uint8Array(32) },
    ...{ fromMs: NOW, toMs: NOW + 1000, isMs: NOW - 500 },
    ...{ notBeforeMs: 0, notAfterMs: NOW + 5000 },
    ...change,
  };
  const correction = issueClockCorrection(signer, body);
  return encodeEventBody({ type: 'clockCorrected', timeMs: NOW + 2000, correction });
}
const confirmed = encodeEventBody({ type: 'clockConfirmed', timeMs: NOW + 100, heldMs: NOW });

/** The times of a log of these events, of which a collector tells what `shown` says. */
async function times(events: readonly Uint8Array[], shown: readonly (Uint8Array | undefined)[]) {
  const walk = await LogWalk.open();
  for (const event of events)
    walk.add(eventLeaf(event, event === confirmed ? NOW + 100 : NOW + 2000));
  const log = {
    async *decisions(from: number) {
      const event = shown[from];
      if (event !== undefined) yield { leafIndex: from, event };
    },
  };
  const vault = { log } as unknown as Parameters<typeof timesOf>[0];
  return timesOf(
    vault,
    { vaultId, authorityKey: authority.publicKey },
    await LogWalk.open(walk.saved),
  );
}

describe('the times of a log, to who has the kit', () => {
  it('are as recorded where no leaf is a correction, and nobody is asked', async () => {
    expect((await times([confirmed], [])).corrections).toEqual([]);
  });

  it('P5: follow each correction among the leaves', async () => {
    const log = [confirmed, corrected()];
    const followed = await times(log, log);
    expect(followed.corrections.map(({ leafIndex }) => leafIndex)).toEqual([1]);
    expect(followed.of(0, NOW + 100)).toBe(NOW - 400);
  });

  it('P5: are none where a collector drops one, shows another, or made it up', async () => {
    const log = [confirmed, corrected()];
    const left = { code: 'COMMAND_LEFT_OUT', message: expect.stringContaining('leaf 1') };
    await expect(times(log, [])).rejects.toMatchObject(left);
    const other = corrected(authority, { isMs: NOW - 900 });
    await expect(times(log, [confirmed, other])).rejects.toMatchObject(left);
    await expect(times(log, [confirmed, confirmed])).rejects.toMatchObject(left);
    const forged = [confirmed, corrected(stranger)];
    await expect(times(forged, forged)).rejects.toMatchObject({ code: 'COMMAND_UNVERIFIED' });
    const foreign = [confirmed, corrected(authority, { vaultId: asVaultId(new Uint8Array(16)) })];
    await expect(times(foreign, foreign)).rejects.toMatchObject({ code: 'COMMAND_UNVERIFIED' });
  });

  it('P5: are none where a correction stands at a place that it was not signed for', async () => {
    const upTo = (size: number, fromLeaf: number) =>
      corrected(authority, {
        fromLeaf,
        head: { logEpoch: 1, size, root: new Uint8Array(32) },
      });
    const unverified = { code: 'COMMAND_UNVERIFIED', message: expect.stringContaining('leaf 2') };
    for (const misplaced of [upTo(3, 0), upTo(2, 0), upTo(2, 1)]) {
      const log = [confirmed, corrected(), misplaced];
      await expect(times(log, log)).rejects.toMatchObject(unverified);
    }
    const again = [confirmed, corrected(), corrected(authority, { isMs: NOW })];
    expect((await times(again, again)).of(0, NOW + 100)).toBe(NOW + 100);
  });
});
