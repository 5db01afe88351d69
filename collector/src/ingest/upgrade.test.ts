import { createServer, request, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { type ChunkId, MAX_FRAME_BYTES } from '@aliquot/proto';
import { systemRandom } from '@aliquot/shared/ports';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { Front } from '../../testing/front.ts';
import { socketWire, type Wire } from '../../testing/wire.ts';
import { HandshakeGate } from './handshake-gate.ts';
import { AGENT_PATH, attachIngest, type Ingest } from './upgrade.ts';

let front: Front;
let server: Server;
let ingest: Ingest;
let port: number;

async function start(gate?: HandshakeGate): Promise<void> {
  server = createServer((_request, answer) => answer.end('not for agents'));
  const { store, hub, clock, timers, log } = front;
  ingest = attachIngest(server, { store, hub, clock, random: systemRandom, timers, log }, gate);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ({ port } = server.address() as AddressInfo);
}

beforeEach(async () => {
  front = await Front.open();
});

afterEach(async () => {
  await ingest.stop();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await front.close();
});

const dial = (path = AGENT_PATH): Promise<Wire> =>
  socketWire(new WebSocket(`ws://127.0.0.1:${port}${path}`));

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

  it('turns a flood of unproved connections away and forgets them when they close', async () => {
    await start(new HandshakeGate({ total: 2, perAddress: 2 }));
    const [first] = [await dial(), await dial()];
    await expect(dial()).rejects.toThrow(/503/);
    first.close();
    await first.closed;
    await expect
      .poll(async () =>
        dial().then(
          () => 'in',
          () => 'out',
        ),
      )
      .toBe('in');
  });

  it('takes only a few handshakes at once while it is behind with its work, and all again when it is not', async () => {
    await start();
    await Promise.all(Array.from({ length: 16 }, () => dial()));
    await dial();
    front.nowMs += 5_000;
    await expect(dial()).rejects.toThrow(/503/);
    front.timers.elapse();
    await Promise.all(Array.from({ length: 3 }, () => dial().catch(() => undefined)));
    front.timers.elapse();
    await dial();
  });

  it('keeps a place for others once an agent has proved itself', async () => {
    await start(new HandshakeGate({ total: 1, perAddress: 1 }));
    const agent = await front.agent('hplc-1');
    await agent.open(await dial());
    await dial();
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
