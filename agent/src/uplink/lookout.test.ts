import { createServer } from 'node:net';
import { seededRandom } from '@aliquot/shared/testing/keys/fixtures';
import { describe, expect, test } from 'vitest';
import { ManualTimers } from '../../testing/uplink/test-agent.ts';
import { Backoff } from './backoff.ts';
import { ConnectionWatch } from './connection-watch.ts';
import { UplinkError } from './errors.ts';
import { Lookout } from './lookout.ts';
import { tcpProbe } from './tcp.ts';
import { systemTimers } from './timers.ts';

const server = { url: 'http://127.0.0.1:1', tlsCa: '', tlsPins: [] };
const nobody = new UplinkError('UPLINK_UNREACHABLE', 'nobody', {
  cause: Object.assign(new Error('no'), { code: 'ECONNREFUSED' }),
});
const turnedAway = new UplinkError('UPLINK_CLOSED', 'HTTP 503');

/** A lookout whose looks are answered by hand, and what it has called. */
function lookingOut(failure: UplinkError) {
  const timers = new ManualTimers();
  let answer = false;
  let back = 0;
  const lookout = new Lookout(timers, seededRandom('lookout'), async () => answer);
  const stop = lookout.watch([server], failure, () => {
    back += 1;
  });
  const look = async (there: boolean): Promise<number> => {
    answer = there;
    const [next] = timers.waiting;
    timers.fire();
    await new Promise((resolve) => setImmediate(resolve));
    return next?.milliseconds ?? 0;
  };
  return { timers, look, stop, back: () => back };
}

describe('the lookout', () => {
  test('looks every few seconds for a collector that was not to be reached, and tells of its return once', async () => {
    const { look, back, timers } = lookingOut(nobody);
    for (let turn = 0; turn < 50; turn += 1) {
      const pause = await look(false);
      expect(pause).toBeGreaterThanOrEqual(1_000);
      expect(pause).toBeLessThanOrEqual(3_000);
    }
    expect(back()).toBe(0);
    await look(true);
    expect(back()).toBe(1);
    expect(timers.waiting).toHaveLength(0);
  });

  test('leaves a collector that is there and turns us away to the backoff, until it was gone and is back', async () => {
    const { look, back } = lookingOut(turnedAway);
    await look(true);
    expect(await look(true)).toBeGreaterThanOrEqual(5_000);
    expect(back()).toBe(0);
    await look(false);
    await look(true);
    expect(back()).toBe(1);
  });

  test('says nothing once it was stopped, not even what it was just finding out', async () => {
    const { look, back, stop, timers } = lookingOut(nobody);
    const looked = look(true);
    stop();
    await looked;
    expect(back()).toBe(0);
    expect(timers.waiting).toHaveLength(0);
  });

  test('a look finds out whether somebody listens', async () => {
    const listener = createServer((socket) => socket.end());
    await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
    const address = listener.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const at = { ...server, url: `https://127.0.0.1:${port}` };
    expect(await tcpProbe(at, systemTimers)).toBe(true);
    expect(await tcpProbe({ ...at, url: `http://localhost:${port}/below` }, systemTimers)).toBe(
      true,
    );
    await new Promise((resolve) => listener.close(resolve));
    expect(await tcpProbe(at, systemTimers)).toBe(false);
  });

  test('a look that is not answered ends', async () => {
    const timers = new ManualTimers();
    // 192.0.2.0/24 is for documentation (RFC 5737): nobody is there, and mostly nobody says so
    // either.
    const looked = tcpProbe({ ...server, url: 'http://192.0.2.1:9' }, timers);
    await Promise.race([looked, timers.longer(1_000).then(() => timers.fire())]);
    expect(await looked).toBe(false);
  });
});

describe('the line watch', () => {
  function watching(patienceMs = 12_000) {
    const timers = new ManualTimers();
    let dead = 0;
    const watch = new ConnectionWatch(timers, patienceMs, () => {
      dead += 1;
    });
    watch.heard();
    return {
      timers,
      watch,
      dead: () => dead,
      wait: () => timers.waiting.map(({ milliseconds }) => milliseconds),
    };
  }

  /** Something that is awaited for ever. */
  const never = (): Promise<void> => new Promise(() => undefined);

  test('bears three missed pings of an idle line', () => {
    const { timers, dead, wait } = watching();
    expect(wait()).toEqual([90_000]);
    timers.fire();
    expect(dead()).toBe(1);
  });

  test('has little patience while something is awaited, and looks a second time before it gives up', () => {
    const { timers, watch, dead, wait } = watching();
    void watch.during(never);
    expect(wait()).toEqual([12_000]);
    timers.fire();
    expect([dead(), wait()]).toEqual([0, [1_000]]);
    watch.heard();
    expect(wait()).toEqual([12_000]);
    timers.fire();
    timers.fire();
    expect(dead()).toBe(1);
  });

  test('is patient again when nothing is awaited any more', async () => {
    const { watch, wait } = watching();
    await watch.during(async () => undefined);
    expect(wait()).toEqual([90_000]);
  });

  test('concludes nothing while we ourselves do not listen, nor after the end', () => {
    const { watch, wait } = watching();
    void watch.during(never);
    watch.deaf(true);
    expect(wait()).toEqual([]);
    watch.deaf(false);
    expect(wait()).toEqual([12_000]);
    watch.stop();
    watch.heard();
    expect(wait()).toEqual([]);
  });
});

describe('the backoff', () => {
  test('draws anywhere below its bound, so that a fleet spreads', () => {
    const waits = Array.from({ length: 500 }, (_, pc) => {
      const backoff = new Backoff(seededRandom(`pc ${pc}`));
      return [
        backoff.next('transient'),
        backoff.next('transient'),
        backoff.next('transient'),
      ] as const;
    });
    for (const [attempt, bound] of [1_000, 2_000, 4_000].entries()) {
      const tenths = new Array<number>(10).fill(0);
      for (const wait of waits) {
        const tenth = Math.min(9, Math.floor(((wait[attempt] ?? 0) * 10) / bound));
        tenths[tenth] = (tenths[tenth] ?? 0) + 1;
      }
      expect(Math.max(...tenths)).toBeLessThan(100);
    }
  });

  test('is more patient with a line that was perhaps only slow, until a session was of use', () => {
    const backoff = new Backoff(seededRandom('pc'));
    const first = backoff.patienceMs;
    backoff.silent();
    expect(backoff.patienceMs).toBe(2 * first);
    for (let turn = 0; turn < 10; turn += 1) backoff.silent();
    expect(backoff.patienceMs).toBe(8 * first);
    backoff.reset();
    expect(backoff.patienceMs).toBe(first);
  });
});
