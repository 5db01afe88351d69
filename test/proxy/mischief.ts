import { createConnection, type Socket } from 'node:net';
import type { SeededRandom } from '@aliquot/shared/testing/random';
import type { CutBench, Recording } from './cuts.ts';
import type { Direction, Piece } from './frames.ts';
import type { RelayLine } from './relay.ts';

/**
 * What a bad network does to a session besides breaking it. Each resolves when everything holds
 * again, and throws `Unmet` if it does not.
 */
export type Mischief = (
  bench: CutBench,
  recording: Recording,
  random: SeededRandom,
) => Promise<void>;

const pause = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds));
const plain = (line: RelayLine) => (piece: Piece) => line.pass(piece.direction, piece.bytes);

/** Every piece comes late, each direction for itself. */
const delayed: Mischief = async (bench, _recording, random) => {
  bench.relay.handle = (line) => async (piece) => {
    await pause(random.below(15));
    await plain(line)(piece);
  };
  await bench.session();
};

/** Everything comes in crumbs: the first bytes of a frame one by one, the rest in small parts. */
const crumbled: Mischief = async (bench, _recording, random) => {
  bench.relay.handle = (line) => {
    line.near.setNoDelay();
    line.far.setNoDelay();
    return async ({ direction, bytes, offset }) => {
      for (let at = 0; at < bytes.length; ) {
        const size = offset + at < 16 ? 1 : 1 + random.below(300);
        await line.pass(direction, bytes.subarray(at, at + size));
        at += size;
        await new Promise((resolve) => setImmediate(resolve));
      }
    };
  };
  await bench.session();
};

/**
 * From one piece on one end is told that the other says no more, while the other direction goes on.
 */
const halfClosed =
  (closed: Direction): Mischief =>
  async (bench, recording, random) => {
    const frame = 1 + random.below(recording.frames[closed].length - 1);
    const first = bench.relay.connections;
    bench.relay.closesBoth = false;
    bench.relay.handle = (line) => {
      if (line.number !== first) return plain(line);
      // Once either program gives the line up, the other hears of it: it is half open only until
      // then.
      line.near.once('close', () => line.far.destroy());
      line.far.once('close', () => line.near.destroy());
      return async (piece) => {
        await plain(line)(piece);
        if (piece.direction !== closed || piece.frame !== frame) return;
        if (closed === 'to-agent') line.near.end();
        else line.far.end();
      };
    };
    try {
      await bench.session();
    } finally {
      bench.relay.closesBoth = true;
      for (const { near, far } of bench.relay.lines) {
        near.destroy();
        far.destroy();
      }
    }
  };

/**
 * From one frame on nothing passes any more in one direction or both, and nobody is told. The agent
 * finds out by its own timers and comes back; then, `late`, what was held arrives at the collector
 * after all, behind the new session's beginning.
 */
const frozen =
  (late: boolean): Mischief =>
  async (bench, recording, random) => {
    const direction = random.pick(['to-collector', 'to-agent'] as const);
    const frame = random.below(recording.frames[direction].length);
    const both = random.chance(0.5);
    const first = bench.relay.connections;
    const held: Buffer[] = [];
    let ice: RelayLine | undefined;
    let releaseAt = 1 + random.below(recording.frames['to-agent'].length);
    bench.relay.closesBoth = false;
    bench.relay.handle = (line) => {
      if (line.number === first) {
        return async (piece) => {
          if (ice === undefined && piece.direction === direction && piece.frame === frame) {
            ice = line;
            bench.timers.shorten(true);
            line.near.once('end', () => line.near.end());
            line.near.once('close', () => bench.timers.shorten(false));
          }
          const stuck = ice !== undefined && (both || piece.direction === direction);
          if (!stuck) return plain(line)(piece);
          if (piece.direction === 'to-collector') held.push(piece.bytes);
        };
      }
      return async (piece) => {
        await plain(line)(piece);
        if (piece.direction !== 'to-agent') return;
        releaseAt -= 1;
        if (!late || releaseAt !== 0) return;
        for (const bytes of held.splice(0)) if (ice?.far.writable === true) ice.far.write(bytes);
      };
    };
    try {
      await bench.session();
    } finally {
      bench.timers.shorten(false);
      bench.relay.closesBoth = true;
      for (const { near, far } of bench.relay.lines) {
        near.destroy();
        far.destroy();
      }
    }
  };

/**
 * Everything that the agent says is said to the collector a second time, over a connection of its
 * own.
 */
const doubled: Mischief = async (bench, _recording, random) => {
  const seconds: Socket[] = [];
  const { hostname, port } = new URL(bench.pair.url);
  const ahead = random.chance(0.5);
  bench.relay.handle = (line) => {
    const second = createConnection({ host: hostname, port: Number(port) });
    second.on('error', () => undefined);
    second.resume();
    seconds.push(second);
    return async (piece) => {
      const copy = (): void => {
        if (piece.direction === 'to-collector' && second.writable) second.write(piece.bytes);
      };
      if (ahead) copy();
      await plain(line)(piece);
      if (!ahead) copy();
    };
  };
  try {
    await bench.session();
  } finally {
    for (const second of seconds) second.destroy();
  }
};

/**
 * A whole recorded session is played again: to the collector what the agent said, to the agent what
 * the collector said.
 */
const replayed: Mischief = async (bench, _recording, random) => {
  const said: Record<Direction, Buffer[]> = { 'to-collector': [], 'to-agent': [] };
  bench.relay.handle = (line) => async (piece) => {
    said[piece.direction].push(Buffer.from(piece.bytes));
    await plain(line)(piece);
  };
  await bench.session();
  const before = bench.pair.vault.log.treeHead().size;
  await playTo(bench.pair.url, said['to-collector'], random);
  const grown = bench.pair.vault.log.treeHead().size - before;
  if (grown !== 0)
    throw new Error(`a session that was played again left ${grown} leaves in the log`);
  const first = bench.relay.connections;
  bench.relay.handle = (line) => {
    if (line.number !== first) return plain(line);
    let answered = 0;
    return async ({ direction, frame, frameBytes, offset, bytes }) => {
      if (direction !== 'to-collector' || offset + bytes.length < frameBytes) return;
      // An answer for each frame, as it was then; the first message is the HTTP answer, for another
      // key.
      for (; answered <= frame; answered += 1) {
        const old = said['to-agent'][answered];
        if (old !== undefined) await line.pass('to-agent', old);
      }
      if (frame > 2) line.cut();
    };
  };
  await bench.session();
};

async function playTo(
  url: string,
  messages: readonly Buffer[],
  random: SeededRandom,
): Promise<void> {
  const { hostname, port } = new URL(url);
  const socket = createConnection({ host: hostname, port: Number(port) });
  socket.on('error', () => undefined);
  socket.resume();
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  for (const bytes of messages) {
    if (socket.writable) socket.write(bytes);
    if (random.chance(0.5)) await new Promise((resolve) => setImmediate(resolve));
  }
  socket.end();
  await closed;
}

/** The line breaks again and again, at random places, until a session gets through. */
const tattered: Mischief = async (bench, recording, random) => {
  let breaks = 4;
  bench.relay.handle = (line) => {
    if (breaks === 0) return plain(line);
    breaks -= 1;
    const direction = random.pick(['to-collector', 'to-agent'] as const);
    let left = random.below(recording.frames[direction].reduce((sum, size) => sum + size, 0));
    const hard = random.chance(0.5);
    return async (piece) => {
      if (line.broken) return;
      if (piece.direction !== direction || left >= piece.bytes.length) {
        if (piece.direction === direction) left -= piece.bytes.length;
        return plain(line)(piece);
      }
      await line.pass(direction, piece.bytes.subarray(0, left));
      if (hard) line.reset();
      else line.cut();
    };
  };
  await bench.session();
};

export const mischiefs: Readonly<Record<string, Mischief>> = {
  delayed,
  crumbled,
  'half closed to the collector': halfClosed('to-collector'),
  'half closed to the agent': halfClosed('to-agent'),
  frozen: frozen(false),
  'frozen, and released behind the next session': frozen(true),
  'said twice': doubled,
  'played again': replayed,
  'broken again and again': tattered,
};
