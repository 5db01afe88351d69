import { createCipheriv, createHash } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, fsyncSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import { join } from 'node:path';
import { constants, zstdCompressSync } from 'node:zlib';
import { waveformBytes } from '../data/waveform.ts';
import { median } from './statistics.ts';

/**
 * What the machine itself can do, in bytes a second: no backup is faster than the slowest of what
 * it needs.
 */
export interface MachineLimits {
  readonly memoryCopy: number;
  readonly sha256: number;
  readonly aes256gcm: number;
  /** zstd level 1 on generated 16-bit waveforms, in pieces of 256 KiB. */
  readonly zstd1: number;
  readonly diskWriteSynced: number;
  readonly loopback: number;
}

const ROUNDS = 5;
const BLOCK = 8 << 20;
const PIECE = 256 << 10;

/**
 * Measures the limits, each five times, in turns, and takes the medians. Some seconds. `folder` is
 * where the disk is written.
 */
export async function measureLimits(folder: string): Promise<MachineLimits> {
  const block = Buffer.from(waveformBytes('limits', 1, BLOCK, 8));
  const target = Buffer.allocUnsafe(BLOCK);
  const key = block.subarray(0, 32);
  const zstd = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };
  const tasks: { [Name in keyof MachineLimits]: () => number | Promise<number> } = {
    memoryCopy: () => repeat(16, () => block.copy(target)),
    sha256: () => repeat(4, () => createHash('sha256').update(block).digest()),
    aes256gcm: () =>
      repeat(4, () => {
        const cipher = createCipheriv('aes-256-gcm', key, key.subarray(0, 12));
        cipher.update(block);
        cipher.final();
      }),
    zstd1: () =>
      repeat(1, () => {
        for (let at = 0; at < BLOCK; at += PIECE)
          zstdCompressSync(block.subarray(at, at + PIECE), zstd);
      }),
    diskWriteSynced: () => diskWrite(folder, block, 16),
    loopback: () => loopback(block, 32),
  };
  const rates = new Map<string, number[]>();
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [name, task] of Object.entries(tasks)) {
      const began = performance.now();
      const bytes = await task();
      const rate = (bytes * 1000) / (performance.now() - began);
      rates.set(name, [...(rates.get(name) ?? []), rate]);
    }
  }
  const rate = (name: keyof MachineLimits): number => median(rates.get(name) ?? []);
  return {
    memoryCopy: rate('memoryCopy'),
    sha256: rate('sha256'),
    aes256gcm: rate('aes256gcm'),
    zstd1: rate('zstd1'),
    diskWriteSynced: rate('diskWriteSynced'),
    loopback: rate('loopback'),
  };
}

function repeat(times: number, task: () => void): number {
  for (let turn = 0; turn < times; turn += 1) task();
  return times * BLOCK;
}

function diskWrite(folder: string, block: Buffer, times: number): number {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, 'limit.tmp');
  const file = openSync(path, 'w');
  try {
    for (let turn = 0; turn < times; turn += 1) writeSync(file, block);
    fsyncSync(file);
  } finally {
    closeSync(file);
    rmSync(path);
  }
  return times * block.length;
}

/**
 * One way over TCP within this process: both ends share its thread, so two processes may reach
 * more.
 */
async function loopback(block: Buffer, times: number): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the loopback has no port');
  const arrived = new Promise<void>((resolve) => {
    server.once('connection', (socket) => {
      socket.resume();
      socket.once('end', () => {
        socket.destroy();
        resolve();
      });
    });
  });
  const client = createConnection(address.port, '127.0.0.1');
  for (let turn = 0; turn < times; turn += 1) if (!client.write(block)) await once(client, 'drain');
  client.end();
  await arrived;
  server.close();
  return times * block.length;
}
