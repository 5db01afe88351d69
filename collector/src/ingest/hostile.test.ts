import { EventEmitter } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { systemRandom } from '@aliquot/shared/ports';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { Front } from '../../testing/front.ts';
import { socketWire } from '../../testing/wire.ts';
import { FrontDoor, UnprovedBytes } from './unproved.ts';
import { AGENT_PATH, attachIngest } from './upgrade.ts';

const KIB = 1024;
const closing: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function listening(server: Server, door: FrontDoor): Promise<number> {
  const front = door.front(server);
  await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve));
  closing.push(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => front.close(resolve));
  });
  return (front.address() as AddressInfo).port;
}

describe('bytes of connections that have proved nothing', () => {
  class Half extends EventEmitter {
    dropped = false;
    terminate(): void {
      this.dropped = true;
    }
  }
  const watched = (bytes: UnprovedBytes) => {
    const half = new Half();
    return {
      half,
      release: bytes.watch(half as never, half as never),
      send: (size: number) => half.emit('data', Buffer.alloc(size)),
    };
  };

  it('each may send only a little, and many together less', () => {
    const bytes = new UnprovedBytes();
    const one = watched(bytes);
    one.send(256 * KIB);
    expect(one.half.dropped).toBe(false);
    one.send(1);
    expect(one.half.dropped).toBe(true);
    one.release();
    const many = Array.from({ length: 64 }, () => watched(bytes));
    for (const { send } of many) send(256 * KIB);
    expect(many.every(({ half }) => !half.dropped)).toBe(true);
    // Sixteen mebibytes are held now: anyone who sends a usual hello is let, anyone who sends more
    // is not.
    const honest = watched(bytes);
    honest.send(16 * KIB);
    expect(honest.half.dropped).toBe(false);
    honest.send(1);
    expect(honest.half.dropped).toBe(true);
  });

  it('bodies of enrolments count among them', () => {
    const bytes = new UnprovedBytes();
    const releases = Array.from({ length: 1024 }, () => bytes.reserve(16 * KIB));
    const large = watched(bytes);
    large.send(16 * KIB);
    expect(large.half.dropped).toBe(false);
    for (const release of releases.slice(0, 2)) {
      release();
      release();
    }
    large.send(16 * KIB);
    expect(large.half.dropped).toBe(false);
    large.send(1);
    expect(large.half.dropped).toBe(true);
  });

  it('what was proved, or is gone, counts no longer, once', () => {
    const bytes = new UnprovedBytes();
    const many = Array.from({ length: 64 }, () => watched(bytes));
    for (const { send } of many) send(256 * KIB);
    for (const { release } of many) {
      release();
      release();
    }
    const next = watched(bytes);
    next.send(200 * KIB);
    expect(next.half.dropped).toBe(false);
  });
});

describe('a proved session', () => {
  it('that takes nothing of what it asked for is dropped after some minutes, and not before', async () => {
    const front = await Front.open();
    closing.push(() => front.close());
    const server = createServer();
    const { store, hub, clock, timers, log } = front;
    const door = new FrontDoor({ log, timers });
    const ingest = attachIngest(
      server,
      { store, hub, clock, random: systemRandom, timers, log },
      door,
    );
    const port = await listening(server, door);
    const agent = await front.agent('hplc-1');
    const socket = new WebSocket(`ws://127.0.0.1:${port}${AGENT_PATH}`);
    await agent.open(await socketWire(socket));
    const made = agent.commitOf([
      { path: '/data/a', bytes: systemRandom.bytes(16_000_000), chunkBytes: 2_000_000 },
    ]);
    await agent.upload(made.items);
    await agent.ask((requestId) => ({ type: 'commit', requestId }), made.bytes);
    socket.pause();
    agent.send({ type: 'fetch', requestId: 9, ids: made.items.map(({ id }) => id) });
    await expect.poll(() => front.hub.size).toBe(1);
    // Until the kernel takes no more and the rest waits in the collector.
    await new Promise((resolve) => setTimeout(resolve, 300));
    for (let turn = 0; turn < 8; turn += 1) timers.elapse();
    expect(front.hub.size).toBe(1);
    await expect
      .poll(() => {
        timers.elapse();
        return front.hub.size;
      })
      .toBe(0);
    socket.terminate();
    await ingest.stop();
  });
});
