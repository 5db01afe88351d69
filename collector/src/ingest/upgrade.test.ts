import { createServer, request, type Server } from 'node:http';
import { type AddressInfo, connect, type Server as NetServer } from 'node:net';
import { type ChunkId, MAX_FRAME_BYTES } from '@aliquot/proto';
import { systemRandom } from '@aliquot/shared/ports';
import { ClientHandshake } from '@aliquot/shared/session/handshake';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { Front } from '../../testing/front.ts';
import { socketWire, type Wire } from '../../testing/wire.ts';
import type { GateLimits } from '../limits.ts';
import { FrontDoor } from './unproved.ts';
import { AGENT_PATH, attachIngest, type Ingest } from './upgrade.ts';

let front: Front;
let server: Server;
let listening: NetServer;
let ingest: Ingest;
let port: number;

async function start(limits?: GateLimits): Promise<void> {
  server = createServer((_request, answer) => answer.end('not for agents'));
  const { store, hub, clock, timers, log } = front;
  const door = new FrontDoor({ log, timers, ...(limits === undefined ? {} : { limits }) });
  ingest = attachIngest(server, { store, hub, clock, random: systemRandom, timers, log }, door);
  listening = door.front(server);
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve));
  ({ port } = listening.address() as AddressInfo);
}

beforeEach(async () => {
  front = await Front.open();
});

afterEach(async () => {
  await ingest.stop();
  server.closeAllConnections();
  await new Promise((resolve) => listening.close(resolve));
  await front.close();
});

const dial = (path = AGENT_PATH): Promise<Wire> =>
  socketWire(new WebSocket(`ws://127.0.0.1:${port}${path}`));

/** A handshake that waits for the agent's proof. */
async function begun(): Promise<void> {
  const wire = await dial();
  const { vaultId, authorityKey } = front.vault.descriptor;
  wire.send(new ClientHandshake({ vaultId, authorityKey, random: systemRandom }).start());
  await wire.next();
}

function countOf(socket: WebSocket, event: 'ping' | 'pong'): () => number {
  let count = 0;
  socket.on(event, () => {
    count += 1;
  });
  return () => count;
}

describe('ingest over sockets', () => {
  it('takes a whole backup', async () => {
    await start();
    const agent = await front.agent('hplc-1');
    await agent.open(await dial());
    expect(
      (
        await agent.backUp([
          { path: '/data/a', bytes: systemRandom.bytes(3_000_000), chunkBytes: 200_000 },
        ])
      ).type,
    ).toBe('receipt');
    expect(front.hub.size).toBe(1);
  });

  it('is at its own path only', async () => {
    await start();
    await expect(dial('/v1/other')).rejects.toThrow(/404/);
    await expect(dial('//')).rejects.toThrow(/404/);
    const plain = await new Promise<number | undefined>((resolve) =>
      request({ port, path: AGENT_PATH }, (answer) => resolve(answer.statusCode)).end(),
    );
    expect(plain).toBe(200);
  });

  it('ends the oldest of many that say nothing, so that an agent of the same address gets in', async () => {
    await start({ inside: 4, perNetwork: 2, waiting: 4, aSecond: 1000 });
    const first = await dial();
    const second = await dial();
    const third = await dial();
    await first.closed;
    const agent = await front.agent('hplc-1');
    await agent.open(await dial());
    await second.closed;
    expect(front.logged.join('')).toContain('INGEST_LIMIT');
    // Who has proved itself has no place that anybody could take.
    for (const _ of Array(4)) await dial();
    await third.closed;
    expect((await agent.backUp([{ path: '/data/a', bytes: new Uint8Array(9) }])).type).toBe(
      'receipt',
    );
  });

  it('takes only a few handshakes at once while it is behind with its work, and all again when it is not', async () => {
    await start();
    // Who only holds a connection is no handshake.
    for (const _ of Array(20)) await dial();
    await Promise.all(Array.from({ length: 16 }, () => begun()));
    await dial();
    front.nowMs += 5_000;
    await expect(dial()).rejects.toThrow(/503/);
    front.timers.elapse();
    await Promise.all(Array.from({ length: 3 }, () => dial().catch(() => undefined)));
    front.timers.elapse();
    await dial();
  });

  it('P6 has an agent wait that begins session after session, names it, and lets others in at once', async () => {
    await start();
    const evil = await front.agent('evil');
    for (const _ of Array(20)) {
      const wire = await dial();
      await evil.open(wire);
      wire.close();
      await wire.closed;
    }
    const { vaultId } = front.vault.descriptor;
    const named = () => front.hub.misconduct(vaultId, evil.bundle.enrolment.agentId);
    expect(named()).toEqual([]);
    await evil.greet(await dial());
    let isReady = false;
    const ready = evil.next().then(({ frame }) => {
      isReady = true;
      return frame.type;
    });
    await expect.poll(named).toMatchObject([{ code: 'repeats-sessions' }]);
    const honest = await front.agent('hplc-1');
    await honest.open(await dial());
    expect(isReady).toBe(false);
    front.timers.elapse(1000);
    expect(await ready).toBe('ready');
  });

  it('drops a connection that sends much before it proved itself, whatever length it announced', async () => {
    await start();
    const socket = connect(port, '127.0.0.1');
    socket.write(
      `GET ${AGENT_PATH} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n`,
    );
    await new Promise((resolve) => socket.once('data', resolve));
    // One binary message of 7 MiB is announced; the collector must not wait for its end.
    const header = Buffer.alloc(14);
    header.writeUInt8(0x82, 0);
    header.writeUInt8(0x80 | 127, 1);
    header.writeBigUInt64BE(7n * 1024n * 1024n, 2);
    socket.write(header);
    socket.on('error', () => undefined);
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.write(Buffer.alloc(1024 * 1024));
    await closed;
  });

  it('refuses a message above the limit', async () => {
    await start();
    const agent = await front.agent('hplc-1');
    const wire = await dial();
    await agent.open(wire);
    wire.send(new Uint8Array(MAX_FRAME_BYTES + 4096));
    expect((await wire.closed).code).toBe(1009);
    expect(front.logged.join('')).toContain('INGEST_PROTOCOL');
  });

  it('drops a line that has gone silent: asked once, not heard, ended', async () => {
    await start();
    const agent = await front.agent('hplc-1');
    const socket = new WebSocket(`ws://127.0.0.1:${port}${AGENT_PATH}`, { autoPong: false });
    const wire = await socketWire(socket);
    await agent.open(wire);
    const pinged = new Promise((resolve) => socket.once('ping', resolve));
    front.timers.elapse();
    await pinged;
    front.timers.elapse();
    expect((await wire.closed).code).toBe(1006);
  });

  it('gives a sign of life while bytes arrive, and only then', async () => {
    await start();
    const agent = await front.agent('hplc-1');
    const socket = new WebSocket(`ws://127.0.0.1:${port}${AGENT_PATH}`, { autoPong: false });
    const wire = await socketWire(socket);
    const signs = countOf(socket, 'pong');
    await agent.open(wire);
    front.timers.elapse();
    await expect.poll(signs).toBe(1);
    front.timers.elapse();
    await wire.closed;
    expect(signs()).toBe(1);
  });

  it('waits for a message that takes longer than any silence would be borne, as long as its bytes arrive', async () => {
    await start();
    const agent = await front.agent('hplc-1');
    const socket = new WebSocket(`ws://127.0.0.1:${port}${AGENT_PATH}`, { autoPong: false });
    const wire = await socketWire(socket);
    await agent.open(wire);
    const message = agent.sealed({
      type: 'have',
      requestId: 1,
      ids: [new Uint8Array(32) as ChunkId],
    });
    const half = message.length >> 1;
    socket.send(message.subarray(0, half), { fin: false });
    for (let turn = 0; turn < 5; turn += 1) {
      socket.send(new Uint8Array(0), { fin: false });
      // Answered by the collector's WebSocket layer: what was sent before has arrived.
      const arrived = new Promise<void>((resolve) => {
        socket.on('pong', (data: Buffer) => data.toString() === `turn ${turn}` && resolve());
      });
      socket.ping(`turn ${turn}`);
      await arrived;
      front.timers.elapse();
    }
    socket.send(message.subarray(half), { fin: true });
    expect((await agent.next()).frame).toMatchObject({ type: 'haveAnswer' });
  });

  it('says goodbye to every agent when it stops', async () => {
    await start();
    const agent = await front.agent('hplc-1');
    const wire = await dial();
    await agent.open(wire);
    await ingest.stop();
    expect((await agent.next()).frame).toMatchObject({ type: 'notice', code: 'session-ended' });
    expect((await wire.closed).code).toBe(1001);
    await expect(dial()).rejects.toThrow();
  });
});
