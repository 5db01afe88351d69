import { once } from 'node:events';
import { createServer } from 'node:http';
import {
  type ChunkId,
  decodeClientFrame,
  encodeClientFrame,
  encodeFrame,
  MAX_FRAME_BYTES,
  splitFrame,
} from '@aliquot/proto';
import { FRAME_OVERHEAD_BYTES, FrameOpener, FrameSealer } from '@aliquot/shared/session/frames';
import { WebSocketServer } from 'ws';
import { connectWebSocket, type MessageSocket } from '../../agent/src/uplink/socket.ts';
import type { MicroTask } from './task.ts';

const FRAMES = 48;
const BODY = 1 << 20;
const keys = {
  clientToServer: new Uint8Array(32).fill(1),
  serverToClient: new Uint8Array(32).fill(2),
};
const header = encodeClientFrame({
  type: 'chunks',
  items: [{ id: new Uint8Array(32) as ChunkId, kind: 'chunk', size: BODY }],
});

/** Sealing and opening frames of 1 MiB, without a network between. */
export const frames: MicroTask = {
  name: 'frames, sealed and opened',
  unit: 'MB/s',
  async open() {
    const sealer = new FrameSealer(keys, 'client');
    const opener = new FrameOpener(keys, 'server');
    const body = new Uint8Array(BODY).fill(7);
    return {
      run() {
        for (let frame = 0; frame < FRAMES; frame += 1)
          decodeClientFrame(splitFrame(opener.open(sealer.seal(encodeFrame(header, body)))).header);
        return FRAMES * BODY;
      },
    };
  },
};

/**
 * The whole way of chunks from the agent's socket to the collector's door, over TCP on loopback.
 * Both ends share one thread.
 */
export const wire: MicroTask = {
  name: 'wire, both ends',
  unit: 'MB/s',
  async open() {
    const server = createServer();
    const sockets = new WebSocketServer({
      server,
      perMessageDeflate: false,
      maxPayload: MAX_FRAME_BYTES + FRAME_OVERHEAD_BYTES,
      skipUTF8Validation: true,
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('the server has no port');
    const opener = new FrameOpener(keys, 'server');
    let arrived = 0;
    let wake: () => void = () => undefined;
    sockets.on('connection', (socket) => {
      socket.on('message', (data: Buffer) => {
        decodeClientFrame(splitFrame(opener.open(data)).header);
        arrived += 1;
        wake();
      });
    });
    const client = await new Promise<MessageSocket>((resolve, reject) => {
      const trust = { url: `http://127.0.0.1:${address.port}`, tlsCa: '', tlsPins: [] };
      const socket = connectWebSocket(trust, {
        onOpen: () => resolve(socket),
        onMessage: () => undefined,
        onSign: () => undefined,
        onClose: reject,
      });
    });
    const sealer = new FrameSealer(keys, 'client');
    const body = new Uint8Array(BODY).fill(7);
    return {
      async run() {
        const until = arrived + FRAMES;
        const all = new Promise<void>((resolve) => {
          wake = () => {
            if (arrived >= until) resolve();
          };
        });
        for (let frame = 0; frame < FRAMES; frame += 1)
          await client.send(sealer.seal(encodeFrame(header, body)));
        await all;
        return FRAMES * BODY;
      },
      close() {
        client.terminate();
        sockets.close();
        server.close();
      },
    };
  },
};
